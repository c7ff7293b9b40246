//! ETags of what is compressed on its way.
//!
//! Invariant: a client never has a strong tag for bytes that the upstream has not seen, and what it
//! says later in the weak one's words reaches the upstream in words that the upstream can agree with.

use http::{HeaderMap, HeaderValue, header};

/// The bytes are others now: the ETag only says that the meaning is the same (RFC 9110 §8.8.1).
pub(super) fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG) else {
        return;
    };
    if !tag.as_bytes().starts_with(b"\"") {
        return;
    }
    let weak = [b"W/", tag.as_bytes()].concat();
    match HeaderValue::from_bytes(&weak) {
        Ok(weak) => headers.insert(header::ETAG, weak),
        Err(_) => headers.remove(header::ETAG),
    };
}

/// `If-Match` holds for strong tags only (RFC 9110 §13.1.1), and the client may have got its weak one
/// from us: it says the upstream's own again. Not beside `Range`: parts of the upstream's bytes do not
/// fit those of the compressed ones that the client has.
pub(in crate::proxy) fn strengthen(headers: &mut HeaderMap) {
    if !headers.contains_key(header::IF_MATCH) || headers.contains_key(header::RANGE) {
        return;
    }
    if let header::Entry::Occupied(mut entry) = headers.entry(header::IF_MATCH) {
        for value in entry.iter_mut() {
            if let Ok(strong) = HeaderValue::from_bytes(&without_weak(value.as_bytes())) {
                *value = strong;
            }
        }
    }
}

/// A list of tags without their `W/`. Within a tag's quotes that is a part of its name.
fn without_weak(list: &[u8]) -> Vec<u8> {
    let mut strong = Vec::with_capacity(list.len());
    let mut rest = list;
    let mut is_quoted = false;
    while let Some((first, after)) = rest.split_first() {
        if !is_quoted && rest.starts_with(b"W/\"") {
            rest = &rest[2..];
            continue;
        }
        is_quoted ^= *first == b'"';
        strong.push(*first);
        rest = after;
    }
    strong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_tags_are_said_as_the_upstreams_own_and_nothing_else_is_touched() {
        for (told, expected) in [
            ("W/\"5\"", "\"5\""),
            ("\"5\"", "\"5\""),
            ("*", "*"),
            ("W/\"a\", \"b\",W/\"c\"", "\"a\", \"b\",\"c\""),
            ("\"a, W/\", W/\"W/\"", "\"a, W/\", \"W/\""),
            ("W/5", "W/5"),
            ("w/\"5\"", "w/\"5\""),
            ("", ""),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(header::IF_MATCH, HeaderValue::from_static("W/\"first\""));
            headers.append(header::IF_MATCH, HeaderValue::from_static(told));
            strengthen(&mut headers);
            let values: Vec<_> = headers.get_all(header::IF_MATCH).iter().collect();
            assert_eq!(values, ["\"first\"", expected], "{told}");
        }
    }

    #[test]
    fn a_part_of_what_the_client_has_compressed_is_not_asked_of_the_upstreams_bytes() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_static("W/\"5\""));
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=5-"));
        strengthen(&mut headers);
        assert_eq!(headers[header::IF_MATCH], "W/\"5\"");
    }
}
