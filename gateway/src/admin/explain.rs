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
    config::RateKey,
    flag::{DecidedBy, FlagState, Side, decide},
    headers,
    id::{FlagId, RouteId, UpstreamId},
    identity::Standing,
    path,
    subject::{self, Subject},
    table::{Judged, Route, Unjudged},
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
    /// The method that an override header asks for, which the route was found by.
    acts_as: Option<String>,
    /// Those of the headers that no upstream gets: they describe the connection, are the gateway's to
    /// say, or ask for a method that the route does not take from them.
    removed_headers: Vec<String>,
    /// By what the route's limit counts this request.
    limited_by: Option<String>,
    /// The route's settings.
    settings: serde_json::Value,
}

async fn explain(
    State(admin): State<Admin>,
    Json(asked): Json<Asked>,
) -> Result<Json<Explained>, Problem> {
    let method = Method::from_bytes(asked.method.as_bytes())
        .map_err(|_| invalid("method", "is no HTTP method"))?;
    let mut headers = header_map(&asked.headers)?;
    let client = address(&headers);
    let raw = asked.path.split(['?', '#']).next().unwrap_or_default();
    let normal = path::normalize(raw).map_err(|error| invalid("path", &error.to_string()))?;
    let host = asked.host.as_deref().map(without_port);
    let table = admin.control.table().clone();
    let judged = table
        .judge(host, &method, &normal.path, &headers)
        .map_err(|error| unjudged(error, &method, &normal.path))?;
    if normal.has_encoded_separator
        && judged.route.config.encoded_slash == crate::config::EncodedSlash::Reject
    {
        let route = &judged.route.id;
        let what = format!("holds an encoded slash, backslash or NUL, which `{route}` refuses");
        return Err(invalid("path", &what));
    }
    let mut explained = undecided(&judged, normal.path.into_owned());
    // What decides is what is left of the headers, as it is for a request.
    let named: Vec<HeaderName> = headers.keys().cloned().collect();
    headers::clean(&mut headers, judged.route.config.method_override);
    let removed = named.iter().filter(|name| !headers.contains_key(*name));
    explained.removed_headers = removed.map(ToString::to_string).collect();
    let asking = Asking {
        headers: &headers,
        client,
        given: asked.subject,
    };
    if let Some(cell) = &judged.route.flag {
        let state = cell.snapshot();
        let asking = asking.clone();
        decided(&admin, &mut explained, judged.route, &state, asking).await;
    }
    explained.limited_by = limited_by(&admin, &judged, asking).await;
    Ok(Json(explained))
}

/// Who a request that need not happen comes from.
#[derive(Clone)]
struct Asking<'a> {
    headers: &'a HeaderMap,
    client: IpAddr,
    /// A subject instead of the one that the headers name.
    given: Option<String>,
}

fn unjudged(error: Unjudged, method: &Method, path: &str) -> Problem {
    match error {
        Unjudged::NoRoute => {
            Problem::not_found("no_route", format!("No route takes {method} {path}."))
        }
        Unjudged::Ambiguous(_) | Unjudged::OverrideRefused => {
            invalid("headers", &error.to_string())
        }
    }
}

/// By what the route's limit counts, as `proxy::limit` finds it.
async fn limited_by(
    admin: &Admin,
    judged: &Judged<'_>,
    Asking {
        headers,
        client,
        given,
    }: Asking<'_>,
) -> Option<String> {
    let limit = judged.route.config.rate_limit.as_ref()?;
    let subject = match (limit.per, given) {
        (RateKey::Route, _) => return Some("everybody on the route together".to_owned()),
        (RateKey::Ip, _) => None,
        (RateKey::Subject, Some(given)) => Some(given),
        (RateKey::Subject, None) => {
            let identity = (admin.identify)(headers.clone()).await;
            let valid = identity.filter(|identity| identity.standing() == Standing::Valid);
            valid.and_then(|identity| identity.subject().map(str::to_owned))
        }
    };
    Some(match subject {
        Some(subject) => format!("the subject `{subject}`"),
        None => format!("the address {client}"),
    })
}

fn undecided(found: &Judged<'_>, path: String) -> Explained {
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
            .demands
            .iter()
            .map(crate::config::RouteAuth::declaration)
            .collect(),
        path,
        acts_as: found.acts_as.as_ref().map(ToString::to_string),
        removed_headers: Vec::new(),
        limited_by: None,
        settings: found.route.config.declaration(),
    }
}

async fn decided(
    admin: &Admin,
    explained: &mut Explained,
    route: &Route,
    state: &FlagState,
    asking: Asking<'_>,
) {
    let Asking {
        headers,
        client,
        given,
    } = asking;
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
                client,
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

fn header_map(asked: &BTreeMap<String, String>) -> Result<HeaderMap, Problem> {
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
