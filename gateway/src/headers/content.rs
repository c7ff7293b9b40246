//! What a message holds and what its client wants to read: `Accept`, `Content-Type`, `Vary`.

use http::header;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The media type of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";

/// True when `Accept` names this very media type (in lower case, without parameters), and does not
/// refuse it by `q=0`. A wildcard names no type.
pub fn names_media_type(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            is_named && !parts.any(is_zero_weight)
        })
}

/// Whether a parameter is `q=0`, in any of its spellings.
fn is_zero_weight(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, weight)| {
        name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0)
    })
}

/// Tells caches that another value of this request's header would have had another response.
pub fn vary_by(headers: &mut HeaderMap, name: &HeaderName) {
    let is_told = headers
        .get_all(header::VARY)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|told| told.trim() == "*" || told.trim().eq_ignore_ascii_case(name.as_str()));
    if !is_told {
        headers.append(header::VARY, HeaderValue::from_name(name.clone()));
    }
}

/// The media type of a message's content, without its parameters.
pub fn content_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    text.split(';').next().map(str::trim)
}
