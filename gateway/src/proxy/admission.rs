//! Whether a request is let in, and by which route: strict reading, match, authentication.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;

use super::cors::Question;
use super::plane::{Entry, Plane};
use super::reply::{Refusal, ReplyBody};
use super::{Record, compress, since_epoch};
use crate::config::{Coding, EncodedSlash, PathForm};
use crate::forward::Cause;
use crate::headers;
use crate::identity::{self, Denied, Identity, Standing};
use crate::path::{self, PathError};
use crate::table::{Demands, Judged, Route, Unjudged};

/// What a client of HTTP/1.1 says of the HTTP/2 that it offers (RFC 7540 §3.2.1).
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What goes no further, whether or not `Connection` names it. The interim response that `Expect` asks for
/// is ours to send: the server does when the body is first asked for.
static FOR_THE_GATEWAY: [HeaderName; 2] = [HTTP2_SETTINGS, header::EXPECT];

/// A request that a route takes.
pub(super) struct Admitted<'a> {
    pub(super) route: &'a Arc<Route>,
    pub(super) entry: &'a Entry,
    /// Those of the route of the method that was sent, and of the one that is acted on.
    demands: Demands<'a>,
    /// The method that an override header asks the upstream to act on instead of the one sent.
    pub(super) acts_as: Option<Method>,
    /// Another `Accept` might have found another route.
    pub(super) varies_by_accept: bool,
    /// The path as it is forwarded.
    pub(super) path: String,
    /// What the client put in `Host`, or the authority of an absolute URI.
    pub(super) host: Option<Authority>,
}

/// What the client asked of this connection, before those headers were removed.
pub(super) struct Asked {
    pub(super) upgrade: Option<(HeaderValue, OnUpgrade)>,
    /// A proxy before this one says whether the client speaks TLS; whether it is believed is judged
    /// by who it is.
    pub(super) is_secure: Option<bool>,
    /// How the answer is to be compressed, where the route does so and the client can read it.
    pub(super) coding: Option<Coding>,
}

/// Reads the request strictly and finds its route, which stands in the record before anything is
/// refused on its account: such a refusal is counted there and carries what the route's answers carry.
pub(super) fn admit<'a>(
    plane: &'a Plane,
    parts: &Parts,
    record: &mut Record<'a>,
) -> Result<Admitted<'a>, Refusal> {
    refuse_ambiguous(parts)?;
    let authority = authority(parts)?;
    let host = authority.as_ref().map(Authority::host);
    let raw = parts.uri.path();
    let normal = path::normalize(raw).map_err(|error| bad_path(parts, &error))?;
    let Judged {
        route,
        demands,
        acts_as,
        varies_by_accept,
    } = plane
        .table
        .judge(host, &parts.method, &normal.path, &parts.headers)
        .map_err(unjudged)?;
    let entry = plane
        .entry(route)
        .ok_or_else(|| unjudged(Unjudged::NoRoute))?;
    record.route = Some(route);
    if entry.cors.is_some() {
        record.origin = parts.headers.get(header::ORIGIN).cloned();
    }
    if normal.has_encoded_separator && route.config.encoded_slash == EncodedSlash::Reject {
        let detail = "The path holds an encoded slash, backslash or NUL.";
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "encoded_separator",
            detail,
        ));
    }
    refuse_large(route, &parts.headers)?;
    let path = match route.config.path {
        PathForm::Normalized => normal.path.into_owned(),
        PathForm::Keep => raw.to_owned(),
    };
    Ok(Admitted {
        route,
        entry,
        demands,
        acts_as,
        varies_by_accept,
        path,
        host: authority,
    })
}

/// A browser's question, answered.
pub(super) struct Preflight<'a> {
    pub(super) route: &'a Arc<Route>,
    pub(super) answer: Response<ReplyBody>,
}

/// Answers a browser that asks beforehand whether a page may send a request, for the route that would
/// take it, where that route has rules for it. Before authentication: browsers ask without a token.
pub(super) fn preflight<'a>(
    plane: &'a Plane,
    parts: &Parts,
) -> Result<Option<Preflight<'a>>, Refusal> {
    let Some(question) = Question::of(&parts.method, &parts.headers) else {
        return Ok(None);
    };
    refuse_ambiguous(parts)?;
    let authority = authority(parts)?;
    let host = authority.as_ref().map(Authority::host);
    let normal = path::normalize(parts.uri.path()).map_err(|error| bad_path(parts, &error))?;
    let found = plane
        .table
        .find(host, &question.method, &normal.path, &parts.headers);
    let answered = found.and_then(|found| {
        let rules = plane.entry(found.route)?.cors.as_ref()?;
        Some(Preflight {
            route: found.route,
            answer: rules.answer(&question),
        })
    });
    Ok(answered)
}

/// Checks the token where the route demands one, and reads it where its flag wants a claim.
pub(super) async fn authenticate(
    plane: &Plane,
    admitted: &Admitted<'_>,
    headers: &HeaderMap,
    client: IpAddr,
) -> Result<Option<Identity>, Refusal> {
    let demands = || admitted.demands.iter();
    let is_wanted = demands().next().is_some() || admitted.route.reads_claims();
    let Some(verifier) = plane.verifier.as_ref().filter(|_| is_wanted) else {
        if demands().any(|demand| demand.required) {
            return Err(denied(Denied::Unverifiable));
        }
        return Ok(None);
    };
    let identity = verifier.recognize(headers, client, since_epoch()).await;
    for demand in demands() {
        identity::authorize(demand, identity.as_ref().map_err(|error| *error)).map_err(denied)?;
    }
    Ok(identity.ok())
}

/// Removes what must not go further; says what the client wanted of this connection.
pub(super) fn clean(admitted: &Admitted<'_>, parts: &mut Parts, has_body: bool) -> Asked {
    let compression = admitted.route.config.compress.as_ref();
    let coding = compression.and_then(|rules| compress::negotiate(rules, parts));
    if compression.is_some() {
        compress::strengthen(&mut parts.headers);
    }
    let on_upgrade = parts.extensions.remove::<OnUpgrade>();
    let is_plain = !headers::has_any(&parts.headers, &headers::ABOUT_THE_CONNECTION);
    let upgrade = match is_plain {
        true => None,
        false => headers::upgrade_of(&parts.headers)
            .filter(|_| parts.version == Version::HTTP_11)
            .filter(|protocol| !offers_requests(protocol)),
    };
    let accepts_trailers = !is_plain && headers::accepts_trailers(&parts.headers);
    // HTTP/2 frames a body without a word in the headers.
    let is_chunked = !is_plain && parts.headers.contains_key(header::TRANSFER_ENCODING)
        || (has_body && !parts.headers.contains_key(header::CONTENT_LENGTH));
    let headers = &mut parts.headers;
    let is_secure = headers
        .get(headers::X_FORWARDED_PROTO)
        .map(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    headers::clean(headers, admitted.route.config.method_override);
    if headers::has_any(headers, &FOR_THE_GATEWAY) {
        for name in &FOR_THE_GATEWAY {
            headers.remove(name);
        }
    }
    if let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(header::HOST, host);
    }
    if accepts_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if is_chunked {
        // Said explicitly, since a client library would take a GET's body of unknown length for none.
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
    }
    if let Some(protocol) = &upgrade {
        headers.append(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
    Asked {
        upgrade: upgrade.zip(on_upgrade),
        is_secure,
        coding,
    }
}

/// True when one of the protocols that are offered is HTTP in some form: its tunnel would carry requests
/// that no route and no guard has seen.
fn offers_requests(offer: &HeaderValue) -> bool {
    let mut protocols = offer.as_bytes().split(|byte| b", \t".contains(byte));
    protocols.any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next();
        let name = name.unwrap_or_default();
        let is_http_2 = name
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"h2"));
        is_http_2 || name.eq_ignore_ascii_case(b"http") || name.eq_ignore_ascii_case(b"tls")
    })
}

/// An identity whose claims may be told to an upstream: one that is within its time.
pub(super) fn vouched(identity: Option<&Identity>) -> Option<&Identity> {
    identity.filter(|identity| identity.standing() == Standing::Valid)
}

fn refuse_ambiguous(parts: &Parts) -> Result<(), Refusal> {
    let headers = &parts.headers;
    if parts.method == Method::CONNECT {
        let detail = "The gateway is no forward proxy.";
        let status = StatusCode::METHOD_NOT_ALLOWED;
        return Err(Refusal::new(status, "connect_refused", detail));
    }
    let has_length = headers.contains_key(header::CONTENT_LENGTH);
    if has_length && headers.contains_key(header::TRANSFER_ENCODING) {
        let detail = "The request has both Content-Length and Transfer-Encoding.";
        return Err(Refusal::malformed("ambiguous_length", detail));
    }
    let expectation = headers.get(header::EXPECT);
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if expectation.is_some_and(|value| !is_known(value)) {
        let detail = "The only expectation that is met is 100-continue.";
        let status = StatusCode::EXPECTATION_FAILED;
        return Err(Refusal::new(status, "expectation_failed", detail));
    }
    Ok(())
}

/// A body that says beforehand that it is too large is not read at all; one that does not is
/// stopped on its way.
fn refuse_large(route: &Route, headers: &HeaderMap) -> Result<(), Refusal> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    let limit = route.config.max_body.map(u64::from);
    match (length, limit) {
        (Some(length), Some(limit)) if length > limit => {
            Err(Refusal::of_failure(Cause::BodyTooLarge, 1))
        }
        _ => Ok(()),
    }
}

/// The host that is asked for: exactly one, and readable (RFC 9112 §3.2).
fn authority(parts: &Parts) -> Result<Option<Authority>, Refusal> {
    let wrong = |detail: &str| Refusal::malformed("bad_host", detail);
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(wrong("The request names more than one Host."));
    }
    let needs_host = match parts.version {
        Version::HTTP_11 => true,
        Version::HTTP_2 => parts.uri.authority().is_none(),
        _ => false,
    };
    if host.is_none() && needs_host {
        return Err(wrong("The request names no Host."));
    }
    let authority = match (parts.uri.authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, None) => return Ok(None),
        (None, Some(host)) if host.is_empty() => return Ok(None),
        (None, Some(host)) => Authority::try_from(host.as_bytes())
            .map_err(|_| wrong("The Host is no host and port."))?,
    };
    if authority.as_str().contains('@') {
        return Err(wrong("The Host holds user information."));
    }
    // An empty port is the scheme's own (RFC 9110 §4.2). Nothing else stands behind a host, not behind
    // an address in brackets either.
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host);
    let is_sound = |rest: &str| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    if !port.is_some_and(is_sound) {
        return Err(wrong("The Host's port is no number from 0 to 65535."));
    }
    Ok(Some(authority))
}

/// Digits only: the standard library's numbers may have a sign.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn bad_path(parts: &Parts, error: &PathError) -> Refusal {
    let detail = format!("{error}.");
    match error {
        // Not one of the forms of a target (RFC 9112 §3.2): what comes behind it is in doubt, too.
        PathError::NotAPath if parts.uri.path() != "*" => Refusal::malformed("bad_path", detail),
        _ => Refusal::new(StatusCode::BAD_REQUEST, "bad_path", detail),
    }
}

fn unjudged(error: Unjudged) -> Refusal {
    match error {
        Unjudged::NoRoute => {
            let detail = "No route of the gateway takes this path and method.";
            Refusal::new(StatusCode::NOT_FOUND, "no_route", detail)
        }
        Unjudged::Ambiguous(_) | Unjudged::OverrideRefused => {
            let detail = format!("{error}.");
            Refusal::new(StatusCode::BAD_REQUEST, "bad_method_override", detail)
        }
    }
}

fn denied(denied: Denied) -> Refusal {
    let detail = format!("{denied}.");
    match denied {
        Denied::Unauthenticated(_) | Denied::OutOfTime => {
            Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        }
        Denied::MissingRole | Denied::MissingScope => {
            Refusal::new(StatusCode::FORBIDDEN, "forbidden", detail)
        }
        Denied::Unverifiable => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Refusal::new(status, "auth_unavailable", detail).retry_after(1)
        }
    }
}
