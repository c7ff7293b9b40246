//! What became of a request, and what counts as an error.
//!
//! **Good** is only the success that was asked for. Everything else is a fault, and of five kinds,
//! so that nobody has to guess which: an answer still undecided (202), one that was taken back (503
//! `answer_compensated`), a refusal or error with its code, no answer in time, no answer at all.

use std::fmt;

use reqwest::StatusCode;
use serde_json::Value;

/// The code with which the system says that an answer was taken back.
const COMPENSATED: &str = "answer_compensated";

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// 2xx, and not a mere promise.
    Done(u16),
    /// 202: taken, and not decided yet.
    Pending,
    /// 503 `answer_compensated`: nothing was kept.
    Compensated,
    /// Any other status, with the problem's code; also a success that cannot be read.
    Refused(u16, String),
    /// The client gave up waiting.
    Timeout,
    /// The connection was refused or broke.
    Lost(String),
}

impl Outcome {
    /// Judges a response.
    pub fn of(status: StatusCode, body: &[u8]) -> Self {
        if status == StatusCode::ACCEPTED {
            return Self::Pending;
        }
        if status.is_success() {
            return Self::Done(status.as_u16());
        }
        let problem: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let code = problem["code"].as_str().unwrap_or("no_code");
        if status == StatusCode::SERVICE_UNAVAILABLE && code == COMPENSATED {
            return Self::Compensated;
        }
        Self::Refused(status.as_u16(), code.to_owned())
    }

    /// Judges a request that got no response.
    pub fn of_error(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Lost("not connected".to_owned())
        } else {
            Self::Lost("broken off".to_owned())
        }
    }

    /// Whether it is what was asked for.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// The kind, for tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Pending => "undecided",
            Self::Compensated => "compensated",
            Self::Refused(..) => "error",
            Self::Timeout => "timeout",
            Self::Lost(_) => "lost",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(status) => write!(f, "{status}"),
            Self::Pending => f.write_str("202 undecided"),
            Self::Compensated => write!(f, "503 {COMPENSATED}"),
            Self::Refused(status, code) => write!(f, "{status} {code}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Lost(how) => write!(f, "connection {how}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_success_that_was_asked_for_is_good() {
        let of = |status: u16, body: &str| {
            Outcome::of(StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        assert!(of(200, "{}").is_good() && of(201, "").is_good());
        assert_eq!(of(202, "{}"), Outcome::Pending);
        assert_eq!(
            of(503, r#"{"code":"answer_compensated"}"#),
            Outcome::Compensated
        );
        let refused = of(503, r#"{"code":"upstream_unavailable"}"#);
        assert_eq!(refused.to_string(), "503 upstream_unavailable");
        assert_eq!(of(502, "<html>").to_string(), "502 no_code");
        for bad in [of(202, ""), of(304, ""), of(409, "{}"), Outcome::Timeout] {
            assert!(!bad.is_good(), "{bad}");
        }
    }
}
