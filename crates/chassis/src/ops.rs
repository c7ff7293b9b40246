//! `/ops`: what the operators' verbs call, guarded by a token off loopback.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderMap, header, request::Parts};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Problem, config::Faults};

/// Who acts, for the record: `X-Banyan-Actor`, else `operator`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(pub String);

/// An actor's name is shown in tables; longer ones are cut.
const MAX_ACTOR: usize = 64;

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let given = parts
            .headers
            .get("x-banyan-actor")
            .and_then(|value| value.to_str().ok());
        let name = given
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .unwrap_or("operator");
        Ok(Self(name.chars().take(MAX_ACTOR).collect()))
    }
}

/// What is wrong with serving `/ops` on `listen` with this token, if anything.
pub fn fault(listen: SocketAddr, token: Option<&str>) -> Option<String> {
    match token {
        None if !listen.ip().is_loopback() => Some(format!(
            "ops_token: required, since `listen` ({listen}) is reachable from other machines"
        )),
        Some(token) if token.len() < 16 => {
            Some("ops_token: must have at least 16 characters".to_owned())
        }
        _ => None,
    }
}

/// As [`fault`], for a caller that stops at it.
///
/// # Errors
/// The fault.
pub fn check(listen: SocketAddr, token: Option<&str>) -> Result<(), Faults> {
    match fault(listen, token) {
        Some(fault) => Err(Faults(vec![fault])),
        None => Ok(()),
    }
}

/// Puts `verbs` under `/ops`. With a token, it must come as `Authorization: Bearer`; without one
/// (loopback), the Host must be a loopback name, so that no web page can reach it by DNS tricks.
pub fn router(token: Option<String>, verbs: Router) -> Router {
    let guard = Arc::new(token.map(|token| Sha256::digest(token.as_bytes())));
    let guarded = verbs
        .fallback(async || Problem::not_found("no_such_verb", "There is no such path under /ops."))
        .layer(middleware::from_fn_with_state(guard, admit));
    Router::new().nest("/ops", guarded)
}

type Guard = Arc<Option<sha2::digest::Output<Sha256>>>;

async fn admit(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match guard.as_ref() {
        Some(expected) => {
            let given = request
                .headers()
                .get(header::AUTHORIZATION)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.strip_prefix("Bearer "))
                .unwrap_or_default();
            // Digests are compared, so that neither length nor content shows in the time.
            let given = Sha256::digest(given.as_bytes());
            if !bool::from(given.as_slice().ct_eq(expected.as_slice())) {
                return Err(Problem::unauthorized(
                    "ops_token_required",
                    "No or a wrong token.",
                ));
            }
        }
        None => check_origin(request.headers())?,
    }
    Ok(next.run(request).await)
}

fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let local = |authority: &str| {
        let name = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    };
    let origin = headers
        .get(header::ORIGIN)
        .map(|value| value.to_str().unwrap_or_default());
    let foreign = origin.is_some_and(|origin| {
        !origin
            .split_once("://")
            .is_some_and(|(_, authority)| local(authority))
    });
    if !local(host) || foreign {
        let detail = "Without a token, /ops answers only to requests for a loopback name.";
        return Err(Problem::forbidden("foreign_origin", detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn status(token: Option<&str>, headers: &[(&str, &str)]) -> u16 {
        let verbs = Router::new().route("/ping", get(async || "pong"));
        let mut request = http::Request::get("/ops/ping");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let router = router(token.map(ToOwned::to_owned), verbs);
        router
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    #[tokio::test]
    async fn with_a_token_only_the_token_opens() {
        let token = Some("0123456789abcdef");
        assert_eq!(status(token, &[("host", "localhost")]).await, 401);
        assert_eq!(
            status(token, &[("authorization", "Bearer 0123456789abcdeX")]).await,
            401
        );
        assert_eq!(
            status(token, &[("authorization", "Bearer 0123456789abcdef")]).await,
            200
        );
    }

    #[tokio::test]
    async fn without_a_token_foreign_names_and_origins_are_refused() {
        assert_eq!(status(None, &[("host", "127.0.0.1:9003")]).await, 200);
        assert_eq!(status(None, &[("host", "[::1]:9003")]).await, 200);
        assert_eq!(status(None, &[("host", "evil.example")]).await, 403);
        let origin = [("host", "localhost"), ("origin", "https://evil.example")];
        assert_eq!(status(None, &origin).await, 403);
    }

    #[test]
    fn a_token_is_required_off_loopback() {
        assert!(fault(([0, 0, 0, 0], 1).into(), None).is_some());
        assert!(fault(([127, 0, 0, 1], 1).into(), None).is_none());
        assert!(fault(([0, 0, 0, 0], 1).into(), Some("short")).is_some());
    }
}
