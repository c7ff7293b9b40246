//! Whether a response is an answer or a failure.
//!
//! A 5xx with a problem `code` is the application speaking: it must reach the client unrepeated,
//! and opens no circuit (DESIGN.md, "Gateway"). To see the code the body's beginning is read, for
//! problem documents only, so that a large error page is never held up.

use http::{Response, header};

use super::deadline::Patience;
use super::relay::Relay;
use super::{Answer, Cause, Failure, Sent, Verdict, retry};

/// Problem documents are small; what is larger has no code that matters.
const MAX_PROBLEM: usize = 16 * 1024;

/// What a framework writes when a handler broke, with a code or without: never a documented answer.
const UNDOCUMENTED: &str = "internal_error";

/// Judges a response, reading the beginning of its body where that decides, as long as there is
/// patience.
pub(super) async fn judge(
    mut response: Response<Relay>,
    patience: impl FnOnce() -> Patience,
) -> Result<Answer, Failure> {
    let is_failure = retry::may_be_failure(response.status())
        && !(is_problem(&response) && has_code(&mut response, patience()).await?);
    let verdict = if is_failure {
        Verdict::Failed
    } else {
        Verdict::Outcome
    };
    Ok(Answer { response, verdict })
}

fn is_problem(response: &Response<Relay>) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/problem+json"))
}

async fn has_code(response: &mut Response<Relay>, patience: Patience) -> Result<bool, Failure> {
    let failed = |cause| Failure {
        cause,
        sent: Sent::Something,
    };
    let peeking = response.body_mut().peek(MAX_PROBLEM);
    let peeked = tokio::time::timeout(patience.within, peeking).await;
    let (body, is_whole) = peeked
        .map_err(|_| failed(patience.cause))?
        .map_err(|error| {
            tracing::debug!(%error, "a problem document broke off");
            failed(Cause::Unreachable)
        })?;
    Ok(is_whole && is_documented(&body))
}

fn is_documented(problem: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Problem {
        code: Option<String>,
    }
    serde_json::from_slice::<Problem>(problem)
        .ok()
        .and_then(|problem| problem.code)
        .is_some_and(|code| !code.is_empty() && code != UNDOCUMENTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_makes_a_problem_an_answer() {
        assert!(is_documented(
            br#"{"code":"answer_compensated","status":503}"#
        ));
        assert!(!is_documented(br#"{"status":503}"#));
        assert!(!is_documented(br#"{"code":""}"#));
        assert!(!is_documented(br#"{"code":7}"#));
        assert!(!is_documented(br#"{"code":"internal_error"}"#));
        assert!(!is_documented(b"<html>"));
    }
}
