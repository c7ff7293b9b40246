//! Explains a decision, with the functions that the data plane decides with.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use axum::{Router, extract::State, routing::post};
use chassis::{Problem, http::Json};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::{
    flag::{DecidedBy, FlagState, Side, decide},
    id::{FlagId, RouteId, UpstreamId},
    path,
    subject::{self, Subject},
    table::{Found, Route},
};

pub(super) fn router() -> Router<Admin> {
    Router::new().route("/explain", post(explain))
}

/// A request that need not happen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    method: String,
    path: String,
    host: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    subject: Option<String>,
}

/// What would happen to it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    route: RouteId,
    side: Side,
    upstream: UpstreamId,
    flag: Option<FlagId>,
    version: Option<u64>,
    subject: Option<String>,
    bucket: Option<u16>,
    rule: Option<DecidedBy>,
    why: String,
    /// The demands on the request's token.
    auth: Vec<serde_json::Value>,
    /// The path as it is matched.
    path: String,
}

async fn explain(
    State(admin): State<Admin>,
    Json(asked): Json<Asked>,
) -> Result<Json<Explained>, Problem> {
    let method = Method::from_bytes(asked.method.as_bytes())
        .map_err(|_| invalid("method", "is no HTTP method"))?;
    let headers = headers(&asked.headers)?;
    let raw = asked.path.split(['?', '#']).next().unwrap_or_default();
    let normal = path::normalize(raw).map_err(|error| invalid("path", &error.to_string()))?;
    let host = asked.host.as_deref().map(without_port);
    let table = admin.control.table().clone();
    let found = table
        .find(host, &method, &normal.path, &headers)
        .ok_or_else(|| {
            Problem::not_found(
                "no_route",
                format!("No route takes {method} {}.", normal.path),
            )
        })?;
    let mut explained = undecided(&found, normal.path.into_owned());
    if let Some(cell) = &found.route.flag {
        let state = cell.snapshot();
        decided(
            &admin,
            &mut explained,
            found.route,
            &state,
            &headers,
            asked.subject,
        )
        .await;
    }
    Ok(Json(explained))
}

fn undecided(found: &Found<'_>, path: String) -> Explained {
    Explained {
        route: found.route.id.clone(),
        side: Side::Legacy,
        upstream: found.route.legacy.clone(),
        flag: None,
        version: None,
        subject: None,
        bucket: None,
        rule: None,
        why: "the route has no candidate: legacy serves everybody".to_owned(),
        auth: found
            .auth
            .iter()
            .map(crate::config::RouteAuth::declaration)
            .collect(),
        path,
    }
}

async fn decided(
    admin: &Admin,
    explained: &mut Explained,
    route: &Route,
    state: &FlagState,
    headers: &HeaderMap,
    given: Option<String>,
) {
    let remembered = admin.cookies.read(headers);
    let stamped = remembered
        .as_ref()
        .is_some_and(|it| it.is_stamped(state.id.as_str()));
    let mut minted = false;
    let subject = match given {
        Some(subject) => Some(subject),
        None => {
            let identity = (admin.identify)(headers.clone()).await;
            let found = subject::find(
                &state.settings,
                headers,
                identity.as_ref(),
                remembered.as_ref(),
                address(headers),
            );
            minted = found == Subject::ToMint;
            match found {
                Subject::Found(subject) => Some(subject),
                Subject::ToMint | Subject::Nobody => None,
            }
        }
    };
    let decision = decide(state, subject.as_deref(), stamped, headers);
    explained.side = decision.side;
    explained.upstream = route.upstream(decision.side).clone();
    explained.flag = Some(state.id.clone());
    explained.version = Some(state.version);
    explained.bucket = decision.bucket;
    explained.rule = Some(decision.rule);
    explained.why = decision.why(state, subject.as_deref());
    if minted && decision.rule == DecidedBy::Percent {
        explained
            .why
            .push_str("; a real client would be given a random one by its first answer");
    }
    explained.subject = subject;
}

/// The client's address is what the question says it is: nobody is kept out by the answer.
fn address(headers: &HeaderMap) -> IpAddr {
    let forwarded = headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok());
    let first = forwarded.and_then(|text| text.split(',').next());
    first
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(Ipv4Addr::LOCALHOST.into())
}

fn headers(asked: &BTreeMap<String, String>) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for (name, value) in asked {
        let field = format!("headers.{name}");
        let name: HeaderName = name
            .parse()
            .map_err(|_| invalid(&field, "is no header's name"))?;
        let value: HeaderValue = value
            .parse()
            .map_err(|_| invalid(&field, "is no header's value"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn invalid(field: &str, what: &str) -> Problem {
    Problem::unprocessable("invalid_field", format!("{field} {what}")).field(field)
}
