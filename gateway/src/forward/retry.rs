//! What may be tried again, and where. Pure.
//!
//! DESIGN.md, "Gateway": within one upstream, what was not sent always and what was sent for methods
//! that are idempotent, or that carry an `Idempotency-Key` on a route that says that its upstreams
//! honour it; across sides, safe methods or what provably was not processed. A key never licenses the
//! other side, which has never seen it.

use std::time::Duration;

use http::{Method, StatusCode};

/// What is known about an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sent {
    /// Not one byte of the request was written: it cannot have been processed.
    Nothing,
    /// Something was written: whether it was processed is unknown.
    Something,
}

/// Within one upstream: may the request be tried again?
pub(crate) fn may_repeat(method: &Method, sent: Sent, is_keyed: bool) -> bool {
    sent == Sent::Nothing || method.is_idempotent() || is_keyed
}

/// May the other side be asked, given the most that any attempt has sent?
pub(crate) fn may_cross(method: &Method, sent: Sent) -> bool {
    sent == Sent::Nothing || method.is_safe()
}

/// The statuses by which a server says that it failed rather than answered, unless a documented
/// problem `code` in the body says that this is the answer.
pub(crate) fn may_be_failure(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The pause before attempt number `next` (2 is the first repeat): exponential with full jitter, so
/// that many clients that failed together do not come back together. `draw` is within 0 and 1.
pub(crate) fn pause(next: u32, draw: f64) -> Duration {
    let doublings = next.saturating_sub(2).min(MAX_DOUBLINGS);
    FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .mul_f64(draw.clamp(0.0, 1.0))
}

/// Long enough for a restarted process to listen again, short against what a user notices.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// No pause is longer than 1.6 s.
const MAX_DOUBLINGS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_may_go_anywhere() {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::PATCH] {
            assert!(may_repeat(&method, Sent::Nothing, false));
            assert!(may_cross(&method, Sent::Nothing));
        }
    }

    #[test]
    fn what_was_sent_is_repeated_by_its_method() {
        let rules = [
            (Method::GET, true, true),
            (Method::HEAD, true, true),
            (Method::OPTIONS, true, true),
            (Method::PUT, true, false),
            (Method::DELETE, true, false),
            (Method::POST, false, false),
            (Method::PATCH, false, false),
        ];
        for (method, repeats, crosses) in rules {
            assert_eq!(
                may_repeat(&method, Sent::Something, false),
                repeats,
                "{method}"
            );
            assert!(may_repeat(&method, Sent::Something, true), "{method}");
            assert_eq!(may_cross(&method, Sent::Something), crosses, "{method}");
        }
    }

    #[test]
    fn pauses_grow_are_jittered_and_bounded() {
        assert_eq!(pause(2, 1.0), Duration::from_millis(50));
        assert_eq!(pause(4, 1.0), Duration::from_millis(200));
        assert_eq!(pause(4, 0.5), Duration::from_millis(100));
        assert_eq!(pause(2, 0.0), Duration::ZERO);
        assert_eq!(pause(u32::MAX, 1.0), Duration::from_millis(1600));
    }
}
