//! The public API, as a browser sees it: one connection pool, one request at a time per caller.

#[cfg(test)]
pub(crate) mod fake;

use std::time::Duration;

use contracts::http::Session;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::outcome::Outcome;

/// Above the 8 s that an answer may wait, and bounded, so that a phase ends.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The system's public side.
#[derive(Clone, Debug)]
pub struct Site {
    http: reqwest::Client,
    base: String,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// What became of it.
    pub outcome: Outcome,
    /// Who served it, as the gateway says.
    pub upstream: Option<String>,
    body: Vec<u8>,
}

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
}

impl Site {
    /// The site at `base`, the gateway's data port.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(usize::MAX)
            .build()?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// A request to be completed and sent.
    pub fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request that opens an account.
    pub fn register(&self, who: &Credentials, name: &str) -> RequestBuilder {
        let body = json!({ "email": who.email, "password": who.password, "displayName": name });
        self.request(Method::POST, "/api/auth/register", None)
            .json(&body)
    }

    /// A request that logs in.
    pub fn login(&self, who: &Credentials) -> RequestBuilder {
        let body = json!({ "email": who.email, "password": who.password });
        self.request(Method::POST, "/api/auth/login", None)
            .json(&body)
    }

    /// A request for a session without an account.
    pub fn guest(&self) -> RequestBuilder {
        let request = self.request(Method::POST, "/api/auth/guest", None);
        request.json(&json!({}))
    }

    /// Sends and reads all of the response; outside the load, such as for a registration.
    ///
    /// # Errors
    /// When it is not the success that was asked for, or not to be read.
    pub async fn session(request: RequestBuilder) -> anyhow::Result<Session> {
        let reply = send(request).await;
        anyhow::ensure!(reply.outcome.is_good(), "{}", reply.describe());
        reply
            .read()
            .ok_or_else(|| anyhow::anyhow!("no session: {}", reply.describe()))
    }
}

impl Reply {
    /// The body, when it is what it should be.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A member of the body at a JSON pointer.
    pub fn member(&self, pointer: &str) -> Option<Value> {
        let body: Value = self.read()?;
        body.pointer(pointer).cloned()
    }

    /// For people.
    pub fn describe(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text: String = text.chars().take(300).collect();
        format!("{} {text}", self.outcome)
    }
}

/// Sends a request and reads all of the response.
pub async fn send(request: RequestBuilder) -> Reply {
    let lost = |error: &reqwest::Error| Reply {
        outcome: Outcome::of_error(error),
        upstream: None,
        body: Vec::new(),
    };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return lost(&error),
    };
    let status = response.status();
    let upstream = response.headers().get("x-banyan-upstream");
    let upstream = upstream
        .and_then(|name| name.to_str().ok())
        .map(ToOwned::to_owned);
    match response.bytes().await {
        Ok(body) => Reply {
            outcome: Outcome::of(status, &body),
            upstream,
            body: body.into(),
        },
        // A response that breaks off is none: its outcome is unknown.
        Err(error) => lost(&error),
    }
}
