//! The one reading of a request path that matching, authentication and forwarding share.
//!
//! Invariant: a normalised path is a fixed point of [`normalize`], starts with `/`, and holds no dot
//! segment, no empty segment, no `;params` and no needlessly encoded octet. Whatever a client
//! writes to look different from a protected prefix is therefore judged as that prefix
//! (RFC 3986 §6.2.2; the rule itself is in INTERFACES.md, "Gateway configuration").

use std::borrow::Cow;

/// The path of one request, as it is matched and judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'a> {
    /// Dots resolved, slashes merged, `;params` removed, unreserved octets decoded.
    pub path: Cow<'a, str>,
    /// Holds `%2F`, `%5C` or `%00`, which only a route with `encoded_slash = "keep"` lets pass.
    pub has_encoded_separator: bool,
}

/// Why a path is refused with 400, whatever route it would match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The request target is neither a path nor an absolute URI with one.
    #[error("the request target has no path")]
    NotAPath,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("the path holds a broken percent-encoding")]
    BrokenEncoding,
    /// A literal `\`, which some servers read as `/`.
    #[error("the path holds a backslash")]
    Backslash,
    /// `..%2Fadmin` and its like: a dot segment that only a second reading would show.
    #[error("the path hides a dot segment behind an encoded separator")]
    HiddenDotSegment,
}

/// Normalises `raw`, the path of a request target without its query.
///
/// Borrows when there is nothing to change, which is the case of nearly every request.
pub fn normalize(raw: &str) -> Result<NormalPath<'_>, PathError> {
    if !raw.starts_with('/') {
        return Err(PathError::NotAPath);
    }
    if is_plain(raw.as_bytes()) {
        return Ok(NormalPath {
            path: Cow::Borrowed(raw),
            has_encoded_separator: false,
        });
    }
    let mut has_encoded_separator = false;
    let mut segments: Vec<String> = Vec::new();
    let mut ends_with_slash = false;
    for raw_segment in raw[1..].split('/') {
        // A route that keeps paths forwards the params too, so they are checked before they are cut.
        let mut segment = decode_unreserved(raw_segment, &mut has_encoded_separator)?;
        refuse_hidden_dots(&segment)?;
        segment.truncate(segment.find(';').unwrap_or(segment.len()));
        ends_with_slash = true;
        match segment.as_str() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => {
                ends_with_slash = false;
                segments.push(segment);
            }
        }
    }
    let mut path = String::with_capacity(raw.len());
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if ends_with_slash || path.is_empty() {
        path.push('/');
    }
    Ok(NormalPath {
        path: Cow::Owned(path),
        has_encoded_separator,
    })
}

/// True when normalisation would change nothing: one pass over the octets, no allocation.
fn is_plain(path: &[u8]) -> bool {
    let mut previous = 0;
    for &octet in path {
        if matches!(octet, b'%' | b';' | b'\\')
            || (previous == b'/' && matches!(octet, b'/' | b'.'))
        {
            return false;
        }
        previous = octet;
    }
    true
}

/// Decodes the unreserved octets of one segment and writes other encodings with upper-case digits,
/// so that one resource has one spelling (RFC 3986 §6.2.2.1 and §6.2.2.2).
fn decode_unreserved(segment: &str, has_encoded_separator: &mut bool) -> Result<String, PathError> {
    if segment.contains('\\') {
        return Err(PathError::Backslash);
    }
    let mut decoded = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 3).ok_or(PathError::BrokenEncoding)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(PathError::BrokenEncoding);
        }
        let octet = u8::from_str_radix(digits, 16).map_err(|_| PathError::BrokenEncoding)?;
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            decoded.push(char::from(octet));
        } else {
            *has_encoded_separator |= matches!(octet, b'/' | b'\\' | 0);
            decoded.push('%');
            decoded.push_str(&digits.to_ascii_uppercase());
        }
        rest = &rest[at + 3..];
    }
    decoded.push_str(rest);
    Ok(decoded)
}

/// What servers make of a normalised path that decode it before they look at it: as a whole, so that
/// `%2F` ends a segment, and segment by segment. No path without a `%` has any.
pub fn readings(normal: &str) -> impl Iterator<Item = String> + use<> {
    let is_encoded = normal.contains('%');
    let has_separator = is_encoded && (normal.contains("%2F") || normal.contains("%5C"));
    let whole = is_encoded.then(|| decode(normal, true));
    let by_segment = has_separator.then(|| decode(normal, false));
    whole.into_iter().chain(by_segment)
}

/// Decodes each octet once; `;params`, and what stands behind a NUL, are cut off as they are where
/// they are not encoded.
fn decode(normal: &str, ends_segments: bool) -> String {
    let mut decoded = Vec::with_capacity(normal.len());
    let mut is_cut = false;
    let mut rest = normal.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let encoded = (first == b'%').then(|| behind.get(..2)).flatten();
        let octet = encoded
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = &behind[octet.map_or(0, |_| 2)..];
        let is_separator = matches!(octet, Some(b'/' | b'\\'));
        if first == b'/' || (is_separator && ends_segments) {
            is_cut = false;
            decoded.push(b'/');
            continue;
        }
        is_cut |= matches!(octet, Some(b';' | 0));
        if !is_cut {
            // A separator within a segment is none: no pattern has one there.
            decoded.push(octet.filter(|_| !is_separator).unwrap_or(first));
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Even where encoded slashes are kept, a server that decodes them must not find a dot segment,
/// whether it cuts `;params` before it does so or after.
fn refuse_hidden_dots(segment: &str) -> Result<(), PathError> {
    if !segment.contains('%') {
        return Ok(());
    }
    let as_decoded_later = ["%2F", "%5C", "%3B"]
        .iter()
        .fold(segment.to_owned(), |text, separator| {
            text.replace(separator, "/")
        });
    // Without an encoded separator it is `..;x` at most, which is resolved and not hidden.
    let hidden = as_decoded_later != segment
        && as_decoded_later
            .split(['/', ';'])
            .any(|piece| matches!(piece, "." | ".."));
    if hidden {
        return Err(PathError::HiddenDotSegment);
    }
    Ok(())
}

#[cfg(test)]
mod attacks;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(raw: &str) -> String {
        normalize(raw).unwrap().path.into_owned()
    }

    #[test]
    fn every_disguise_of_a_prefix_is_read_as_that_prefix() {
        for disguise in [
            "/api/admin",
            "//api/admin",
            "/api//admin",
            "/api/./admin",
            "/api/x/../admin",
            "/x/../api/admin",
            "/../api/admin",
            "/api/%61dmin",
            "/api/x/%2e%2e/admin",
            "/api/x/%2E./admin",
            "/api;v=1/admin",
            "/api/admin;x",
            "/api/x/..;/admin",
            "/api/;/admin",
            "/api/.;a=b/admin",
        ] {
            assert_eq!(path(disguise), "/api/admin", "{disguise}");
        }
    }

    #[test]
    fn a_trailing_slash_and_an_ending_dot_segment_keep_the_directory_form() {
        assert_eq!(path("/a/"), "/a/");
        assert_eq!(path("/a/."), "/a/");
        assert_eq!(path("/a/b/.."), "/a/");
        assert_eq!(path("/.."), "/");
        assert_eq!(path("/"), "/");
        assert_eq!(path("//"), "/");
    }

    #[test]
    fn names_that_only_begin_with_dots_are_left_alone() {
        assert_eq!(path("/.well-known/jwks.json"), "/.well-known/jwks.json");
        assert_eq!(path("/..."), "/...");
        assert_eq!(path("/..a/b"), "/..a/b");
    }

    #[test]
    fn encoded_separators_are_reported_and_kept_encoded() {
        for raw in ["/a%2fb", "/a%5Cb", "/a%00b"] {
            let normal = normalize(raw).unwrap();
            assert!(normal.has_encoded_separator, "{raw}");
            assert!(normal.path.contains('%'), "{raw}");
        }
        for raw in ["/a;x%2fb", "/a;%5Cb", "/a;x=%00", "/;%2f"] {
            let normal = normalize(raw).unwrap();
            assert!(normal.has_encoded_separator, "{raw}");
            assert!(!normal.path.contains('%'), "{raw}");
        }
        assert!(!normalize("/a%20b").unwrap().has_encoded_separator);
        assert_eq!(path("/a%252fb"), "/a%252fb");
    }

    #[test]
    fn dot_segments_behind_encoded_slashes_are_refused() {
        for raw in [
            "/public/..%2fadmin",
            "/a%2f%2e%2e%2fadmin",
            "/a%5c..%5cb",
            "/a;x%2f..%2fadmin",
            "/a;..%2fadmin",
            "/a%2f..;x/admin",
            "/..;%2f../admin",
            "/a%2f..%3bx/admin",
        ] {
            assert_eq!(normalize(raw), Err(PathError::HiddenDotSegment), "{raw}");
        }
    }

    #[test]
    fn what_has_no_single_reading_is_refused() {
        assert_eq!(normalize("*"), Err(PathError::NotAPath));
        assert_eq!(normalize(""), Err(PathError::NotAPath));
        assert_eq!(normalize("/%zz"), Err(PathError::BrokenEncoding));
        assert_eq!(normalize("/%2"), Err(PathError::BrokenEncoding));
        assert_eq!(normalize("/%+1"), Err(PathError::BrokenEncoding));
        assert_eq!(normalize("/a\\b"), Err(PathError::Backslash));
        assert_eq!(normalize("/a;%zz"), Err(PathError::BrokenEncoding));
        assert_eq!(normalize("/a;x=%2"), Err(PathError::BrokenEncoding));
        assert_eq!(normalize("/a;x\\b"), Err(PathError::Backslash));
    }

    #[test]
    fn an_encoded_path_is_read_as_those_read_it_who_decode_it_first() {
        let read = |path| readings(path).collect::<Vec<_>>();
        assert!(read("/api/admin").is_empty());
        assert_eq!(read("/v1/reports%3Aexport"), ["/v1/reports:export"]);
        assert_eq!(read("/caf%C3%A9/a%20b"), ["/café/a b"]);
        assert_eq!(read("/api%2Fadmin"), ["/api/admin", "/api%admin"]);
        assert_eq!(read("/a%3Ab/c%5Cd"), ["/a:b/c/d", "/a:b/c%d"]);
        assert_eq!(read("/api/admin%3Bx/y"), ["/api/admin/y"]);
        assert_eq!(read("/api/admin%00.png"), ["/api/admin"]);
        assert_eq!(read("/a;b%2Fc%3Bd%2Fe")[0], "/a;b/c/e");
        assert_eq!(read("/a%252Fb"), ["/a%2Fb"], "once");
        assert_eq!(read("/%FF"), ["/\u{fffd}"]);
    }

    #[test]
    fn plain_paths_are_borrowed() {
        let normal = normalize("/api/questions/42").unwrap();
        assert!(matches!(normal.path, Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn a_normalised_path_is_a_fixed_point_without_dot_segments(
            raw in "/([a-c./;%\\\\]|%2e|%2E|%2f|%5c|%00|%41|%3b|é){0,24}"
        ) {
            if let Ok(normal) = normalize(&raw) {
                let again = normalize(&normal.path);
                prop_assert_eq!(again.as_ref().map(|n| n.path.as_ref()), Ok(normal.path.as_ref()));
                prop_assert!(normal.path.starts_with('/'));
                prop_assert!(!normal.path.contains("//"));
                prop_assert!(!normal.path.contains(';'));
                prop_assert!(normal.path.split('/').all(|s| s != "." && s != ".."));
                let decoded = normal.path.to_lowercase();
                prop_assert!(!decoded.contains("%2e"));
            }
        }
    }
}
