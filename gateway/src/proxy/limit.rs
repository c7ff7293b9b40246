//! The route's rate limit: after authentication, since it may count by who that is, and before the
//! flag decides, since who is refused goes to no side.

use http::StatusCode;

use super::admission::{Admitted, vouched};
use super::reply::Refusal;
use super::{Call, Record};
use crate::config::RateKey;
use crate::identity::Identity;
use crate::limits::{CountedBy, RouteLimit, Who, whole_seconds};

/// Who sends a request.
pub(super) struct Caller<'a> {
    pub(super) call: &'a Call,
    pub(super) identity: Option<&'a Identity>,
}

/// Counts the request; 429 where it is one too many.
pub(super) async fn check(
    limit: &RouteLimit,
    admitted: &Admitted<'_>,
    caller: &Caller<'_>,
    record: &mut Record,
) -> Result<(), Refusal> {
    let who = match limit.setting().per {
        RateKey::Route => Who::Everybody,
        RateKey::Ip => Who::Address(caller.call.client),
        RateKey::Subject => {
            // Only a name that is proven: any other one is had for nothing, by who wants a burst more
            // or somebody else's spent.
            let proven = vouched(caller.identity).and_then(Identity::subject);
            let address = Who::Address(caller.call.client);
            proven.map_or(address, Who::Subject)
        }
    };
    let (verdict, by) = limit.check(who).await;
    if by == CountedBy::Alone {
        admitted.entry.stats.record_counted_alone();
    }
    record.limit = limit.told(verdict).map(Box::new);
    if verdict.is_allowed {
        return Ok(());
    }
    let status = StatusCode::TOO_MANY_REQUESTS;
    let detail = "More requests came than this path takes from one client.";
    Err(Refusal::new(status, "rate_limited", detail).retry_after(whole_seconds(verdict.resets)))
}
