//! How long a client wants to wait for the outcome: the `Prefer` header of RFC 7240.
//!
//! Invariant: a preference is a wish. What cannot be read is ignored, never refused.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

/// Waited without a preference: a saga's deadline of 5 s, and room to take back what it did.
const WAIT_DEFAULT: Duration = Duration::from_secs(8);

/// The longest wait a client gets; the gateway gives an answer up after 15 s.
const WAIT_MAX_SECONDS: u64 = 10;

/// How long to wait, and what of the client's wish that grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until what is not decided is answered with 202.
    pub wait: Duration,
    /// The `Preference-Applied` header, where a preference was honoured.
    pub applied: Option<HeaderValue>,
}

impl Patience {
    /// Reads all `Prefer` headers; of a repeated preference the first counts.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut wait = None;
        let mut is_async = false;
        let preferences = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for preference in preferences {
            // Parameters after `;` refine a preference; none is defined for these two.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "wait" if wait.is_none() => wait = value.parse::<u64>().ok(),
                "respond-async" => is_async = true,
                _ => {}
            }
        }
        let seconds = wait.map(|seconds| seconds.min(WAIT_MAX_SECONDS));
        match (seconds, is_async) {
            (Some(seconds), true) => {
                Self::granted(seconds, format!("respond-async, wait={seconds}"))
            }
            (Some(seconds), false) => Self::granted(seconds, format!("wait={seconds}")),
            (None, true) => Self::granted(0, "respond-async".to_owned()),
            (None, false) => Self {
                wait: WAIT_DEFAULT,
                applied: None,
            },
        }
    }

    fn granted(seconds: u64, applied: String) -> Self {
        Self {
            wait: Duration::from_secs(seconds),
            applied: HeaderValue::try_from(applied).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(values: &[&'static str]) -> (u64, Option<String>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", HeaderValue::from_static(value));
        }
        let patience = Patience::of(&headers);
        let applied = patience
            .applied
            .map(|value| value.to_str().unwrap().to_owned());
        (patience.wait.as_secs(), applied)
    }

    fn applied(seconds: u64, text: &str) -> (u64, Option<String>) {
        (seconds, Some(text.to_owned()))
    }

    #[test]
    fn without_a_preference_the_wait_is_eight_seconds() {
        assert_eq!(patience(&[]), (8, None));
        assert_eq!(patience(&["handling=lenient"]), (8, None));
    }

    #[test]
    fn a_wait_is_granted_up_to_ten_seconds() {
        assert_eq!(patience(&["wait=3"]), applied(3, "wait=3"));
        assert_eq!(patience(&["WAIT = \"3\"; foo"]), applied(3, "wait=3"));
        assert_eq!(patience(&["wait=600"]), applied(10, "wait=10"));
    }

    #[test]
    fn respond_async_does_not_wait_unless_it_says_how_long() {
        assert_eq!(patience(&["respond-async"]), applied(0, "respond-async"));
        assert_eq!(
            patience(&["respond-async, wait=2"]),
            applied(2, "respond-async, wait=2")
        );
    }

    #[test]
    fn of_a_repeated_preference_the_first_counts_and_nonsense_is_ignored() {
        assert_eq!(
            patience(&["wait=2, wait=9", "wait=4"]),
            applied(2, "wait=2")
        );
        assert_eq!(patience(&["wait=soon"]), (8, None));
        assert_eq!(patience(&["wait=-1"]), (8, None));
    }
}
