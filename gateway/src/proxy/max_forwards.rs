//! `Max-Forwards`: how many hops an OPTIONS or TRACE may still go (RFC 9110 §7.6.2).

use http::header::{self, HeaderMap};
use http::{Method, Response, StatusCode};

use super::reply::{Refusal, ReplyBody};

/// How far a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// To an upstream.
    Upstream,
    /// To the gateway, which has to answer as if it were the last.
    Gateway,
}

/// Takes one hop off. What is no number is left to whoever understands it.
pub(super) fn count_down(method: &Method, headers: &mut HeaderMap) -> Reach {
    if !matches!(*method, Method::OPTIONS | Method::TRACE) {
        return Reach::Upstream;
    }
    let Some(value) = headers.get(header::MAX_FORWARDS) else {
        return Reach::Upstream;
    };
    let digits = value.as_bytes();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let left = value.to_str().ok().filter(|_| is_number);
    match left.and_then(|left| left.parse::<u64>().ok()) {
        None => Reach::Upstream,
        Some(0) => Reach::Gateway,
        Some(left) => {
            headers.insert(header::MAX_FORWARDS, (left - 1).into());
            Reach::Upstream
        }
    }
}

/// The gateway's own answer: it has no more to say of its resources than that they are there, and does
/// not show anybody what it received.
pub(super) fn answer(method: &Method) -> Result<Response<ReplyBody>, Refusal> {
    if *method == Method::TRACE {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let detail = "The gateway answers no TRACE by itself.";
        return Err(Refusal::new(status, "method_not_allowed", detail));
    }
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
