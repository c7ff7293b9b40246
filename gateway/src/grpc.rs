//! What the gateway has to know of gRPC: how a call says how long it may take, and how an answer says
//! that there is none. Everything else of it is HTTP/2.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// A call's outcome, in trailers or in an answer that consists of nothing else.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What people read of it, percent-encoded.
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How long the client waits.
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The content type of calls and answers.
pub(crate) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// Whether a request is a call: a POST with the content type of one. No client of gRPC sends another
/// method, and to anything else an outcome in the words of gRPC would be a success.
pub(crate) fn is_call(method: &Method, headers: &HeaderMap) -> bool {
    if method != Method::POST {
        return false;
    }
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    // `application/grpc-web` is another protocol.
    kind.and_then(|kind| kind.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// How long a call may take in all, where it says so.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// gRPC's code for one of HTTP (grpc's `http-grpc-status-mapping.md`, and finer where a code of the
/// gateway's own says more).
pub(crate) fn code(status: StatusCode) -> u16 {
    match status {
        StatusCode::REQUEST_TIMEOUT => 1,
        StatusCode::GATEWAY_TIMEOUT => 4,
        StatusCode::FORBIDDEN => 7,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::NOT_FOUND => 12,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::UNAUTHORIZED => 16,
        status if status.is_client_error() => 13,
        _ => 2,
    }
}

/// A text as `grpc-message` takes it.
pub(crate) fn message(text: &str) -> HeaderValue {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn a_call_is_a_post_with_a_content_type_of_its_own() {
        for (kind, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=x", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let headers = with(header::CONTENT_TYPE, kind);
            assert_eq!(is_call(&Method::POST, &headers), is, "{kind}");
            assert!(!is_call(&Method::GET, &headers), "{kind}");
        }
        assert!(!is_call(&Method::POST, &HeaderMap::new()));
    }

    #[test]
    fn a_timeout_is_at_most_eight_digits_and_a_unit() {
        let told = |value| timeout(&with(GRPC_TIMEOUT, value));
        assert_eq!(told("100m"), Some(Duration::from_millis(100)));
        assert_eq!(told("2S"), Some(Duration::from_secs(2)));
        assert_eq!(
            told("99999999H"),
            Some(Duration::from_secs(359_999_996_400))
        );
        for wrong in ["", "S", "100", "123456789S", "-1S", "1 S", "1s", "\u{e9}"] {
            assert_eq!(told(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_message_is_printable_ascii() {
        assert_eq!(message("50 % caf\u{e9}\n"), "50 %25 caf%C3%A9%0A");
    }
}
