//! What HTTP/2 allows to be said in ways that HTTP/1 has no words for (RFC 9113 §8).
//!
//! The library refuses what makes a message malformed by its names: connection-specific headers,
//! pseudo-headers that are missing, doubled or out of place, a length that the data contradicts. What
//! is left is judged here, before anything else reads the request, so that the upstream gets by
//! HTTP/1 exactly what was judged.
//!
//! A fragment in `:path` is the one thing that cannot be seen here: the library cuts it off. Nothing
//! of it is matched or forwarded.

use http::header::{self, HeaderValue};
use http::request::Parts;

use super::reply::Refusal;

/// More do not fit into the 64 bits that servers count with.
const MAX_DIGITS: usize = 19;

/// Refuses what would be another message in HTTP/1, and joins the cookie that may have come in
/// crumbs (§8.2.3).
pub(super) fn accept(parts: &mut Parts) -> Result<(), Refusal> {
    let malformed = |detail: &str| Refusal::malformed("malformed_request", detail);
    let scheme = parts.uri.scheme_str();
    if scheme.is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(malformed("The request's scheme is neither http nor https."));
    }
    let target = parts.uri.path_and_query();
    if !target.is_none_or(|target| target.as_str().is_ascii()) {
        return Err(malformed("The request's path holds bytes above ASCII."));
    }
    // Who reads one of them and who reads the other would disagree (§8.3.1).
    let authority = parts.uri.authority().map(|it| it.as_str().as_bytes());
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let differs =
        |host: &HeaderValue| authority.is_some_and(|it| !it.eq_ignore_ascii_case(host.as_bytes()));
    if hosts.any(differs) {
        let detail = "The request's Host is not its :authority.";
        return Err(Refusal::malformed("bad_host", detail));
    }
    // An HTTP/1 server would not see this space (§8.2.1).
    if parts.headers.values().any(is_padded) {
        return Err(malformed(
            "A field's value begins or ends with white space.",
        ));
    }
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || !is_length(length))
    {
        return Err(malformed("The request's length is not one number."));
    }
    join_cookies(parts);
    Ok(())
}

/// The library takes an empty one for none, and several that say the same for one; a server of HTTP/1
/// may not (RFC 9112 §6.3).
fn is_length(value: &HeaderValue) -> bool {
    let digits = value.as_bytes();
    (1..=MAX_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
}

fn is_padded(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    is_space(bytes.first()) || is_space(bytes.last())
}

fn join_cookies(parts: &mut Parts) {
    let mut crumbs = parts.headers.get_all(header::COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> = parts
        .headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    // What was made of values is one.
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        parts.headers.insert(header::COOKIE, joined);
    }
}
