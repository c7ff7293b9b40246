//! The headers that the gateway writes: for upstreams before sending, for clients at the end.

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;

use super::admission::{Admitted, Asked, vouched};
use super::course::Course;
use super::exchange::Served;
use super::flip::Closing;
use super::plane::Plane;
use super::reply::{Refusal, ReplyBody};
use super::tunnel::{Terms, Tunnel};
use super::{Call, Record, Shared, compress, rewrite};
use crate::config::Coding;
use crate::flag::Side;
use crate::forward::{Answer, Relay};
use crate::headers::{self, PeerTrust, Scheme};
use crate::identity::Identity;
use crate::subject;
use crate::table::Route;

/// Names that the gateway adds at most, but for the rules of a route: room for them is made once.
const ADDED_TO_REQUESTS: usize = 9;
const ADDED_TO_ANSWERS: usize = 8;

/// Tells the upstream who asks, by whom it came, and which trace it belongs to.
pub(super) fn add_upstream_headers(
    parts: &mut Parts,
    call: &Call,
    course: &Course,
    identity: Option<&Identity>,
) {
    parts.headers.reserve(ADDED_TO_REQUESTS);
    headers::add_via(&mut parts.headers, parts.version);
    headers::add_forwarded(&mut parts.headers, &call.peer, call.trust, call.scheme);
    call.written.inject(&mut parts.headers);
    if let Some(subject) = &course.subject {
        headers::insert_text(&mut parts.headers, headers::X_BANYAN_SUBJECT, subject);
    }
    if let Some(identity) = vouched(identity) {
        if let Some(subject) = identity.subject() {
            headers::insert_text(&mut parts.headers, headers::X_AUTH_SUBJECT, subject);
        }
        let roles: Vec<&str> = identity.roles().collect();
        headers::insert_text(&mut parts.headers, headers::X_AUTH_ROLES, &roles.join(","));
    }
}

/// Makes an upstream's answer the client's.
pub(super) fn to_client(
    (plane, shared): (&Plane, &Shared),
    admitted: &Admitted<'_>,
    call: &Call,
    course: Course,
    asked: Asked,
    served: Served<'_>,
) -> Result<Response<ReplyBody>, Refusal> {
    let Served {
        outcome,
        side,
        upstream,
        fell_back,
    } = served;
    let refusal = |cause| Refusal::of_failure(cause, upstream.retry_after().as_secs());
    let Answer { mut response, .. } = outcome.map_err(|failure| refusal(failure.cause))?;
    let is_upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let version = response.version();
    let headers = response.headers_mut();
    let protocol = headers.get(header::UPGRADE).cloned();
    headers::remove_hop_by_hop(headers);
    headers::remove_own(headers);
    headers.reserve(ADDED_TO_ANSWERS);
    headers::add_via(headers, version);
    if let (Some(rules), Side::Candidate) = (&admitted.route.config.rewrite, side) {
        rewrite::map_back(
            rules,
            headers,
            admitted.host.as_ref().map(Authority::as_str),
        );
    }
    apply_rules(Some(admitted.route), headers);
    if let Some(cookie) = course.cookie
        && !subject::is_publicly_cacheable(headers)
    {
        let told = asked.is_secure.filter(|_| call.trust == PeerTrust::Proxy);
        let is_secure = told.unwrap_or(call.scheme == Scheme::Https);
        if let Some(cookie) = shared.signer.set_cookie(&cookie, is_secure) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    if admitted.varies_by_accept {
        headers::vary_by(headers, &header::ACCEPT);
    }
    if plane.route_headers {
        headers.insert(headers::X_BANYAN_UPSTREAM, upstream.name().clone());
    }
    if fell_back {
        headers.insert(headers::X_BANYAN_FALLBACK, HeaderValue::from_static("1"));
    }
    *response.version_mut() = Version::HTTP_11;
    let status = response.status();
    admitted
        .entry
        .stats
        .record(side, status, call.started.elapsed());
    let watch = course.watch.map(|watch| *watch);
    Ok(match asked.upgrade {
        Some((_, client)) if is_upgraded => {
            let idle = admitted.route.config.tunnel_idle_timeout;
            switch(response, protocol, client, Terms { idle, watch })
        }
        _ if watch.is_some() && is_event_stream(response.headers()) => {
            let closing = watch.map(Closing::of);
            response.map(|relay| ReplyBody::relayed(relay).closed_by(closing))
        }
        _ => compressed(admitted, asked.coding, shared, response),
    })
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers::content_type(headers)
        .is_some_and(|kind| kind.eq_ignore_ascii_case(headers::EVENT_STREAM))
}

/// The answer as it is, or compressed where the route does so.
fn compressed(
    admitted: &Admitted<'_>,
    coding: Option<Coding>,
    shared: &Shared,
    response: Response<Relay>,
) -> Response<ReplyBody> {
    match &admitted.route.config.compress {
        Some(rules) => {
            let stats = &admitted.entry.stats;
            compress::answer(rules, coding, &shared.encoders, stats, response)
        }
        None => response.map(ReplyBody::relayed),
    }
}

/// Changes an answer's headers as the route's file says, before the gateway adds its own.
pub(super) fn apply_rules(route: Option<&Route>, headers: &mut HeaderMap) {
    if let Some(rules) = route.and_then(|route| route.config.response_headers.as_ref()) {
        rules.apply(headers);
    }
}

/// What every response carries, refusals too.
pub(super) fn mark(plane: &Plane, call: &Call, record: &Record<'_>, headers: &mut HeaderMap) {
    call.written.insert(headers);
    if let Some(told) = &record.limit {
        headers.insert(headers::RATE_LIMIT, told.state.clone());
        headers.insert(headers::RATE_LIMIT_POLICY, told.policy.clone());
    }
    let Some(route) = record.route else {
        return;
    };
    let has_cors = route.config.cors.is_some();
    if (plane.route_headers || has_cors)
        && let Some(entry) = plane.entry(route)
    {
        if plane.route_headers {
            headers.insert(headers::X_BANYAN_ROUTE, entry.name.clone());
        }
        if let Some(cors) = &entry.cors {
            cors.mark(record.origin.as_ref(), headers);
        }
    }
}

/// Confirms the new protocol to the client, with the tunnel that follows.
fn switch(
    response: Response<Relay>,
    protocol: Option<HeaderValue>,
    client: OnUpgrade,
    terms: Terms,
) -> Response<ReplyBody> {
    let (mut parts, relay) = response.into_parts();
    let upstream = parts.extensions.remove::<OnUpgrade>();
    let tunnel = upstream.map(|upstream| Tunnel::new(client, upstream, relay, terms));
    let upgrade = HeaderValue::from_static("upgrade");
    parts.headers.insert(header::CONNECTION, upgrade);
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
    let body = tunnel.map_or_else(ReplyBody::empty, ReplyBody::switched);
    Response::from_parts(parts, body)
}
