//! Where a browser goes after a sign-in: a path of ours and nothing else. Pure.

/// Characters of a path at most; the whole of it goes through a query and a header.
const MAX_LENGTH: usize = 512;

/// A path on the host that the browser is at anyway, with query and fragment.
///
/// Invariant: it begins with one slash, and holds no backslash, no empty segment and no letter that
/// a browser drops or rewrites; so none can be read as another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

impl ReturnPath {
    /// The path, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let is_extra = |c: char| is_plain(c) || matches!(c, '/' | '?');
        let inner = path.strip_prefix('/')?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let is_root = path == "/";
        let is_path = is_root
            || inner
                .split('/')
                .all(|segment| !segment.is_empty() && segment.chars().all(is_plain));
        (is_path && query.chars().all(is_extra) && fragment.chars().all(is_extra))
            .then(|| Self(text.to_owned()))
    }

    /// The path with `code` in its query.
    #[must_use]
    pub fn with_code(&self, code: &str) -> String {
        let (rest, fragment) = match self.0.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (&*self.0, None),
        };
        let joint = if rest.contains('?') { '&' } else { '?' };
        let fragment = fragment.map_or(String::new(), |fragment| format!("#{fragment}"));
        format!("{rest}{joint}code={code}{fragment}")
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What RFC 3986 allows in a segment.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._~!$&'()*+,;=:@%-".contains(c)
}

#[cfg(test)]
mod tests {
    use openidconnect::url::Url;

    use super::*;

    #[test]
    fn paths_of_ours_are_taken() {
        let own = Url::parse("https://play.example").unwrap();
        for text in [
            "/",
            "/play",
            "/play/",
            "/a/b?x=1&y=/z?#top",
            "/#",
            "/?",
            "/%2F%2Fevil",
        ] {
            let path = ReturnPath::parse(text).unwrap_or_else(|| panic!("{text}"));
            let url = own.join(path.as_str()).unwrap();
            assert_eq!(url.host_str(), Some("play.example"), "{text}");
        }
    }

    #[test]
    fn nothing_that_leads_elsewhere_is_taken() {
        for text in [
            "",
            "play",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/play//evil",
            "/\n",
            "/ä",
            "/a b",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "/<script>",
            "/a?\\",
            "/a#\0",
        ] {
            assert_eq!(ReturnPath::parse(text), None, "{text:?}");
        }
        let long = format!("/{}", "x".repeat(MAX_LENGTH));
        assert_eq!(ReturnPath::parse(&long), None);
    }

    #[test]
    fn the_code_joins_the_query_before_the_fragment() {
        let with = |text: &str| ReturnPath::parse(text).unwrap().with_code("c");
        assert_eq!(with("/play"), "/play?code=c");
        assert_eq!(with("/play?a=1#top"), "/play?a=1&code=c#top");
    }
}
