//! Who may use the admin API.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::Response,
};
use chassis::Problem;
use http::{HeaderMap, HeaderName, Method, header, request::Parts};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::{
    config::{AdminToken, Role},
    control::Control,
    flag::is_actor,
};

/// Who acts, where there are no tokens.
const X_BANYAN_ACTOR: HeaderName = HeaderName::from_static("x-banyan-actor");
/// A POST that changes nothing; as the guard sees it, below `/admin`.
const EXPLAIN: &str = "/explain";
/// Who acts when nobody said so.
const NOBODY: &str = "operator";

/// Who makes a change: an operator's token's name, or what `X-Banyan-Actor` says on loopback.
#[derive(Debug, Clone)]
pub(super) struct Actor(pub(super) String);

/// Lets a request pass that may read, and one that may change something only for operators.
pub(super) async fn check(
    State(control): State<Arc<Control>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let tokens = control.config().admin_tokens.clone();
    let headers = request.headers();
    check_origin(headers)?;
    let actor = if tokens.is_empty() {
        check_host(headers)?;
        self_named(headers)?
    } else {
        let token = bearer(headers).and_then(|given| holder(&tokens, given));
        let token = token
            .ok_or_else(|| Problem::unauthorized("admin_token_required", "No or a wrong token."))?;
        let is_read = [Method::GET, Method::HEAD].contains(request.method())
            || request.uri().path() == EXPLAIN;
        if token.role < Role::Operator && !is_read {
            let detail = format!("`{}` may look, and not change anything.", token.name);
            return Err(Problem::forbidden("operator_required", detail));
        }
        Actor(token.name.clone())
    };
    request.extensions_mut().insert(actor);
    Ok(next.run(request).await)
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let unguarded = || Problem::internal(&"an admin handler stands outside the guard");
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(unguarded)
    }
}

fn self_named(headers: &HeaderMap) -> Result<Actor, Problem> {
    let Some(value) = headers.get(X_BANYAN_ACTOR) else {
        return Ok(Actor(NOBODY.to_owned()));
    };
    match value.to_str() {
        Ok(name) if is_actor(name) => Ok(Actor(name.to_owned())),
        _ => Err(Problem::bad_request(
            "invalid_actor",
            "X-Banyan-Actor must be 1 to 64 printable ASCII characters.",
        )),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// All tokens are compared, by their digests: the time tells neither which one was nearly right nor
/// how long it is.
fn holder<'a>(tokens: &'a [AdminToken], given: &str) -> Option<&'a AdminToken> {
    let given = Sha256::digest(given.as_bytes());
    let mut found = None;
    for token in tokens {
        let own = Sha256::digest(token.token.expose().as_bytes());
        let is_same: Choice = own.as_slice().ct_eq(given.as_slice());
        if bool::from(is_same) {
            found = Some(token);
        }
    }
    found
}

/// A web page must not reach the API through its visitor's browser: what another origin sends is
/// refused, whether or not there is a token.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    match (origin, host) {
        (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(foreign("The request comes from a page of another origin.")),
    }
}

/// Without a token only a loopback name will do: a page whose name was turned to 127.0.0.1 after it
/// was loaded (DNS rebinding) has its own name in Host.
fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let authority: Result<http::uri::Authority, _> = host.parse();
    let is_loopback = authority.is_ok_and(|authority| {
        let name = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    });
    if is_loopback {
        return Ok(());
    }
    Err(foreign(
        "Without tokens, the admin API answers only to a loopback name in Host.",
    ))
}

fn foreign(detail: &str) -> Problem {
    Problem::forbidden("foreign_origin", detail)
}
