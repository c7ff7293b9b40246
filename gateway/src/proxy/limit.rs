//! The route's rate limit: by address before authentication, else after it, since it may count by who
//! that is, and before the flag decides, since who is refused goes to no side.

use http::StatusCode;

use super::admission::{Admitted, vouched};
use super::reply::Refusal;
use super::{Call, Record};
use crate::config::RateKey;
use crate::identity::Identity;
use crate::limits::{CountedBy, RouteLimit, Who, whole_seconds};

/// Counts the request where it is counted by its address, before who sends it is asked about: that
/// costs more, and asking is what a limit by address is to bound. 429 where it is one too many.
pub(super) async fn before_who(
    admitted: &Admitted<'_>,
    call: &Call,
    record: &mut Record<'_>,
) -> Result<(), Refusal> {
    match &admitted.entry.limit {
        Some(limit) if limit.setting().per == RateKey::Ip => {
            count(limit, Who::Address(call.client), admitted, record).await
        }
        _ => Ok(()),
    }
}

/// Counts the request otherwise, now that it is known who sends it: a refused token must cost the
/// others on a route nothing. 429 where it is one too many.
pub(super) async fn by_who(
    admitted: &Admitted<'_>,
    call: &Call,
    identity: Option<&Identity>,
    record: &mut Record<'_>,
) -> Result<(), Refusal> {
    let Some(limit) = &admitted.entry.limit else {
        return Ok(());
    };
    let who = match limit.setting().per {
        RateKey::Ip => return Ok(()),
        RateKey::Route => Who::Everybody,
        RateKey::Subject => {
            // Only a name that is proven: any other one is had for nothing, by who wants a burst more
            // or somebody else's spent.
            let proven = vouched(identity).and_then(Identity::subject);
            proven.map_or(Who::Address(call.client), Who::Subject)
        }
    };
    count(limit, who, admitted, record).await
}

async fn count(
    limit: &RouteLimit,
    who: Who<'_>,
    admitted: &Admitted<'_>,
    record: &mut Record<'_>,
) -> Result<(), Refusal> {
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
