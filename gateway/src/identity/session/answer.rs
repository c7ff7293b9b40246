//! What the session server says. Pure.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::config::{self, Told};
use crate::identity::{Identity, Standing};

/// An answer, and how long it may be kept.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) said: Said,
    /// `None` when it may not be kept at all.
    pub(super) keep_for: Option<Duration>,
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// This one's.
    Session(Identity),
    /// Nobody's: it has ended, or never was.
    Nobody,
    /// The answer says neither, or there is none.
    Nothing,
}

/// A longer subject is no name.
const MAX_SUBJECT: usize = 256;

impl Answer {
    /// The server could not be asked.
    pub(super) fn nothing() -> Self {
        Self {
            said: Said::Nothing,
            keep_for: None,
        }
    }

    /// 2xx with a subject is a session. 2xx without one, 401, 403 and a redirect (to the login) are
    /// nobody's. Anything else is no answer.
    pub(super) fn read(settings: &config::Forward, response: &Response<Bytes>) -> Self {
        let status = response.status();
        let said = if status.is_success() {
            identity(settings, response)
        } else if status.is_redirection()
            || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        {
            Said::Nobody
        } else {
            Said::Nothing
        };
        if said == Said::Nothing {
            tracing::warn!(%status, url = settings.url, "no answer about a session");
        }
        let longest = match said {
            Said::Session(_) => settings.ttl,
            _ => settings.denied_ttl,
        };
        Self {
            keep_for: keep_for(response.headers(), longest),
            said,
        }
    }
}

fn identity(settings: &config::Forward, response: &Response<Bytes>) -> Said {
    let reads_body = [Some(&settings.subject), settings.roles.as_ref()]
        .into_iter()
        .flatten()
        .any(|told| matches!(told, Told::Field(_)));
    let body = match reads_body {
        true => match serde_json::from_slice::<Value>(response.body()) {
            Ok(body) => body,
            // An empty 204 is how some say that nobody is logged in.
            Err(_) if response.body().is_empty() => Value::Null,
            Err(_) => return Said::Nothing,
        },
        false => Value::Null,
    };
    let Ok(subject) = texts(&settings.subject, response.headers(), &body, Split::Whole) else {
        return Said::Nothing;
    };
    let subject = match subject.as_slice() {
        [] => return Said::Nobody,
        [subject] if subject.is_empty() => return Said::Nobody,
        [subject] if is_name(subject) => subject,
        _ => return Said::Nothing,
    };
    let roles = settings.roles.as_ref().map_or(Ok(Vec::new()), |roles| {
        texts(roles, response.headers(), &body, Split::Words)
    });
    let Ok(roles) = roles else {
        return Said::Nothing;
    };
    let claims: [(String, Value); 2] = [
        ("sub".to_owned(), json!(subject)),
        ("roles".to_owned(), json!(roles)),
    ];
    Said::Session(Identity {
        claims: Arc::new(Map::from_iter(claims)),
        standing: Standing::Valid,
    })
}

/// It becomes a header's value.
fn is_name(text: &str) -> bool {
    text.len() <= MAX_SUBJECT && !text.chars().any(char::is_control)
}

/// Whether a text is one value, or several with commas or spaces between them.
#[derive(Clone, Copy)]
enum Split {
    Whole,
    Words,
}

/// The texts at a place of the answer; an absent one has none.
///
/// # Errors
/// When what stands there is no text.
fn texts(told: &Told, headers: &HeaderMap, body: &Value, split: Split) -> Result<Vec<String>, ()> {
    let mut texts = Vec::new();
    let mut take = |text: &str| match split {
        Split::Whole => texts.push(text.trim().to_owned()),
        Split::Words => texts.extend(
            text.split([',', ' '])
                .filter(|word| !word.is_empty())
                .map(str::to_owned),
        ),
    };
    match told {
        Told::Header(name) => {
            for value in headers.get_all(name) {
                take(value.to_str().map_err(|_| ())?);
            }
        }
        Told::Field(path) => {
            let found = path
                .split('.')
                .try_fold(body, |value, name| value.get(name))
                .unwrap_or(&Value::Null);
            let items = match found {
                Value::Array(items) => items.as_slice(),
                one => std::slice::from_ref(one),
            };
            for item in items {
                match item {
                    Value::Null => {}
                    Value::String(text) => take(text),
                    Value::Number(number) => take(&number.to_string()),
                    _ => return Err(()),
                }
            }
        }
    }
    Ok(texts)
}

/// As long as the settings say, or shorter where the answer says so.
fn keep_for(headers: &HeaderMap, longest: Duration) -> Option<Duration> {
    let mut keep_for = longest;
    let directives = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase());
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((&directive, ""));
        match name {
            "no-store" | "no-cache" => return None,
            "max-age" => {
                let seconds = value.trim_matches('"').parse().unwrap_or(0);
                keep_for = keep_for.min(Duration::from_secs(seconds));
            }
            _ => {}
        }
    }
    Some(keep_for)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_header() -> config::Forward {
        let subject = Told::Header("x-user".parse().unwrap());
        config::Forward {
            roles: Some(Told::Header("x-roles".parse().unwrap())),
            ..config::Forward::of("http://127.0.0.1/session", subject)
        }
    }

    fn by_field() -> config::Forward {
        config::Forward {
            roles: Some(Told::Field("user.roles".to_owned())),
            ..config::Forward::of("http://a/", Told::Field("user.id".to_owned()))
        }
    }

    fn said(settings: &config::Forward, status: u16, headers: &[(&str, &str)], body: &str) -> Said {
        answer(settings, status, headers, body).said
    }

    fn answer(
        settings: &config::Forward,
        status: u16,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Bytes::from(body.to_owned())).unwrap();
        Answer::read(settings, &response)
    }

    #[test]
    fn a_session_is_what_has_a_subject() {
        let headers = [("x-user", "ann"), ("x-roles", "user, admin")];
        let Said::Session(ann) = said(&by_header(), 200, &headers, "") else {
            panic!("no session");
        };
        assert_eq!(ann.subject(), Some("ann"));
        assert_eq!(ann.roles().collect::<Vec<_>>(), ["user", "admin"]);
        for (body, roles) in [
            (r#"{"user":{"id":7,"roles":["a","b"]}}"#, &["a", "b"][..]),
            (r#"{"user":{"id":"7","roles":"a b"}}"#, &["a", "b"]),
            (r#"{"user":{"id":"7"}}"#, &[]),
        ] {
            let Said::Session(seven) = said(&by_field(), 200, &[], body) else {
                panic!("no session in {body}");
            };
            assert_eq!(seven.claim("sub").as_deref(), Some("7"), "{body}");
            assert_eq!(seven.roles().collect::<Vec<_>>(), roles, "{body}");
        }
    }

    #[test]
    fn nobody_is_who_has_no_subject_or_is_sent_to_the_login() {
        for status in [301, 302, 303, 307, 308, 401, 403] {
            let subject = [("x-user", "ann"), ("location", "/login")];
            assert_eq!(said(&by_header(), status, &subject, ""), Said::Nobody);
        }
        assert_eq!(said(&by_header(), 200, &[], ""), Said::Nobody);
        assert_eq!(said(&by_header(), 200, &[("x-user", "")], ""), Said::Nobody);
        for body in [
            "",
            "{}",
            "null",
            r#"{"user":null}"#,
            r#"{"user":{"id":null}}"#,
        ] {
            assert_eq!(said(&by_field(), 200, &[], body), Said::Nobody, "{body}");
        }
    }

    #[test]
    fn what_makes_no_sense_says_nothing() {
        for status in [400, 404, 405, 418, 429, 500, 502, 503, 504] {
            assert_eq!(
                said(&by_header(), status, &[("x-user", "ann")], ""),
                Said::Nothing
            );
        }
        let two = [("x-user", "ann"), ("x-user", "bob")];
        assert_eq!(said(&by_header(), 200, &two, ""), Said::Nothing);
        for body in [
            "<html>",
            r#"{"user":{"id":{}}}"#,
            r#"{"user":{"id":true}}"#,
            r#"{"user":{"id":["a","b"]}}"#,
            r#"{"user":{"id":"a\u0000b"}}"#,
            r#"{"user":{"id":"a","roles":[{}]}}"#,
        ] {
            assert_eq!(said(&by_field(), 200, &[], body), Said::Nothing, "{body}");
        }
    }

    #[test]
    fn an_answer_is_kept_no_longer_than_it_allows() {
        let settings = by_header();
        let kept = |control: &str| {
            let headers = [("x-user", "ann"), ("cache-control", control)];
            answer(&settings, 200, &headers, "").keep_for
        };
        assert_eq!(kept("private"), Some(settings.ttl));
        assert_eq!(kept("private, max-age=2"), Some(Duration::from_secs(2)));
        assert_eq!(kept("max-age=99999"), Some(settings.ttl));
        assert_eq!(kept("max-age=x"), Some(Duration::ZERO));
        assert_eq!(kept("private, No-Store"), None);
        assert_eq!(kept("no-cache"), None);
        let denied = answer(&settings, 401, &[], "");
        assert_eq!(denied.keep_for, Some(settings.denied_ttl));
    }
}
