//! What the session server is asked: the headers of a request that can carry a session, and no others.

use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest as _, Sha256};

use crate::config;
use crate::subject;

/// One question.
#[derive(Debug)]
pub(super) struct Question(HeaderMap);

/// Names a question without holding what is in it.
pub(super) type Digest = [u8; 32];

/// The longest credentials that are asked about; servers bound headers about there.
const MAX_CREDENTIALS: usize = 16 * 1024;

impl Question {
    /// The question that a request asks; `None` when it brings nothing that could be a session.
    pub(super) fn of(settings: &config::Forward, headers: &HeaderMap) -> Option<Self> {
        let mut asked = HeaderMap::new();
        for name in &settings.headers {
            if *name == header::COOKIE {
                if let Some(cookies) = cookies(settings.cookies.as_deref(), headers) {
                    asked.insert(header::COOKIE, cookies);
                }
                continue;
            }
            for value in headers.get_all(name) {
                asked.append(name.clone(), value.clone());
            }
        }
        let length: usize = asked.values().map(HeaderValue::len).sum();
        (1..=MAX_CREDENTIALS)
            .contains(&length)
            .then_some(Self(asked))
    }

    /// Two questions have one digest only when they send the same.
    pub(super) fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        for (name, value) in &self.0 {
            // Lengths keep what stands in one header apart from what stands in the next.
            hash.update((name.as_str().len() as u64).to_le_bytes());
            hash.update(name.as_str());
            hash.update((value.len() as u64).to_le_bytes());
            hash.update(value);
        }
        hash.finalize().into()
    }

    pub(super) fn into_headers(mut self) -> HeaderMap {
        let json = HeaderValue::from_static("application/json");
        self.0.entry(header::ACCEPT).or_insert(json);
        self.0
    }
}

/// The cookies that may carry the session, as one header: those that are named, or all but ours.
fn cookies(named: Option<&[String]>, headers: &HeaderMap) -> Option<HeaderValue> {
    let is_wanted = |name: &str| match named {
        Some(named) => named.iter().any(|wanted| wanted == name),
        None => name != subject::COOKIE,
    };
    let pairs: Vec<&str> = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .map(str::trim)
        .filter(|pair| {
            let name = pair.split_once('=').map(|(name, _)| name);
            name.is_some_and(is_wanted)
        })
        .collect();
    if pairs.is_empty() {
        return None;
    }
    HeaderValue::from_str(&pairs.join("; ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Told;

    fn settings(headers: &[&'static str], cookies: Option<&[&str]>) -> config::Forward {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        config::Forward {
            headers: headers
                .iter()
                .map(|name| http::HeaderName::from_static(name))
                .collect(),
            cookies: cookies.map(texts),
            ..config::Forward::of("http://127.0.0.1/session", Told::default_subject())
        }
    }

    fn request(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_what_is_named_is_sent_and_counts() {
        let settings = settings(&["cookie", "authorization"], Some(&["sid"]));
        let asked = |lines: &[(&'static str, &'static str)]| {
            Question::of(&settings, &request(lines)).map(|question| question.digest())
        };
        let plain = asked(&[("cookie", "sid=1")]);
        assert!(plain.is_some());
        assert_eq!(asked(&[("cookie", "a=b; sid=1; theme=dark")]), plain);
        assert_eq!(asked(&[("cookie", "a=b"), ("cookie", "sid=1")]), plain);
        assert_eq!(asked(&[("cookie", "sid=1"), ("x-other", "y")]), plain);
        assert_ne!(asked(&[("cookie", "sid=2")]), plain);
        assert_ne!(asked(&[("cookie", "sid=1; sid=2")]), plain);
        assert_ne!(asked(&[("cookie", "sid=1"), ("authorization", "x")]), plain);
        for nothing in [&[][..], &[("cookie", "theme=dark")], &[("cookie", "sid")]] {
            assert_eq!(asked(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn without_names_every_cookie_counts_but_our_own() {
        let settings = settings(&["cookie"], None);
        let question = Question::of(
            &settings,
            &request(&[("cookie", "banyan_subject=v1:x; a=b; c=d")]),
        );
        let headers = question.unwrap().into_headers();
        assert_eq!(headers[header::COOKIE], "a=b; c=d");
        let ours = request(&[("cookie", "banyan_subject=v1:x")]);
        assert!(Question::of(&settings, &ours).is_none());
    }

    #[test]
    fn what_is_too_long_to_be_a_session_is_none() {
        let mut headers = HeaderMap::new();
        let long = format!("sid={}", "x".repeat(MAX_CREDENTIALS));
        headers.insert(header::COOKIE, long.parse().unwrap());
        assert!(Question::of(&settings(&["cookie"], None), &headers).is_none());
    }
}
