//! HTTP calls to a running system, with errors for people.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::endpoints::Endpoints;

/// Longer than any verb's own bounded wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// An import reads the whole monolith.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Talks to one system in one operator's name.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoints: Endpoints,
    actor: String,
}

/// An answer that is not a success, as the server worded it.
#[derive(Debug, thiserror::Error)]
#[error("{detail} ({code}, HTTP {status}{trace})")]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The problem's stable code.
    pub code: String,
    /// The whole problem document.
    pub problem: Value,
    detail: String,
    trace: String,
}

impl Client {
    /// A client for `endpoints`; `actor` is who the record names.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(endpoints: Endpoints, actor: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().build()?;
        Ok(Self {
            http,
            endpoints,
            actor: actor.to_owned(),
        })
    }

    /// Where the system is.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Calls the gateway's admin API; `path` begins with `/admin`.
    ///
    /// # Errors
    /// [`Refused`], or that nobody answers.
    pub async fn admin(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let base = self.endpoints.admin.clone();
        self.call(
            &base,
            method,
            path,
            self.endpoints.admin_token.as_deref(),
            body,
        )
        .await
    }

    /// Calls a service's operator interface; `path` begins with `/ops` or `/health`. Its replicas
    /// share what they know, so the first that takes the connection is asked.
    ///
    /// # Errors
    /// [`Refused`], or that nobody answers.
    pub async fn ops(
        &self,
        service: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let replicas = self.endpoints.service(service)?.all();
        let token = self.endpoints.ops_token.as_deref();
        let (last, others) = replicas.split_last().expect("there is at least one");
        for base in others {
            let answer = self.call(base, method.clone(), path, token, body).await;
            match answer {
                // Nothing was sent to it, so the next may be asked for the same.
                Err(error) if is_away(&error) => tracing::debug!(service, "{error:#}"),
                answer => return answer.with_context(|| service.to_owned()),
            }
        }
        let answer = self.call(last, method, path, token, body).await;
        answer.with_context(|| service.to_owned())
    }

    /// Asks each replica of a service for what it alone knows; the answers in the order of the
    /// operator's file, each with the replica's name.
    ///
    /// # Errors
    /// When the operator's file does not name the service; what a replica answers is its own result.
    pub async fn each(
        &self,
        service: &str,
        path: &str,
    ) -> anyhow::Result<Vec<(String, anyhow::Result<Value>)>> {
        let replicas = self.endpoints.service(service)?.all();
        let asked = replicas.iter().map(async |base| {
            let name = match replicas {
                [_] => service.to_owned(),
                _ => format!("{service} at {base}"),
            };
            let token = self.endpoints.ops_token.as_deref();
            (name, self.call(base, Method::GET, path, token, None).await)
        });
        Ok(futures::future::join_all(asked).await)
    }

    async fn call(
        &self,
        base: &str,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let timeout = if path == "/ops/import" {
            IMPORT_TIMEOUT
        } else {
            TIMEOUT
        };
        let mut request = self
            .http
            .request(method, format!("{base}{path}"))
            .timeout(timeout)
            .header("x-banyan-actor", &self.actor);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("nobody answers at {base}; is `banyan up` running?"))?;
        let status = response.status();
        let text = response
            .text()
            .await
            .with_context(|| format!("{base}{path} broke off"))?;
        if status.is_success() {
            if text.is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_str(&text)
                .with_context(|| format!("{base}{path} did not answer with JSON"));
        }
        bail!(refused(status, &text))
    }
}

/// Whether nobody took the connection.
fn is_away(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<reqwest::Error>())
        .any(reqwest::Error::is_connect)
}

/// The answer that an error is about, where there was one.
pub fn refusal(error: &anyhow::Error) -> Option<&Refused> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

fn refused(status: StatusCode, text: &str) -> Refused {
    let problem: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let member = |name: &str| problem[name].as_str().map(ToOwned::to_owned);
    Refused {
        status: status.as_u16(),
        code: member("code").unwrap_or_else(|| "no_code".to_owned()),
        detail: member("detail").unwrap_or_else(|| text.chars().take(200).collect()),
        trace: member("traceId")
            .map(|id| format!(", trace {id}"))
            .unwrap_or_default(),
        problem,
    }
}

#[cfg(test)]
pub(crate) fn refused_for_test(status: u16, problem: &Value) -> anyhow::Error {
    let status = StatusCode::from_u16(status).unwrap();
    refused(status, &problem.to_string()).into()
}
