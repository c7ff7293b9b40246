//! The route's rate limit: after authentication, since it may count by who that is, and before the
//! flag decides, since who is refused goes to no side.

use http::{HeaderMap, StatusCode};

use super::admission::{Admitted, vouched};
use super::reply::Refusal;
use super::{Call, Record, course};
use crate::config::RateKey;
use crate::identity::Identity;
use crate::limits::{CountedBy, RouteLimit, Who, whole_seconds};
use crate::subject::CookieSigner;

/// Who sends a request.
pub(super) struct Caller<'a> {
    pub(super) call: &'a Call,
    pub(super) headers: &'a HeaderMap,
    pub(super) identity: Option<&'a Identity>,
}

/// Counts the request; 429 where it is one too many.
pub(super) async fn check(
    limit: &RouteLimit,
    signer: &CookieSigner,
    admitted: &Admitted<'_>,
    caller: &Caller<'_>,
    record: &mut Record,
) -> Result<(), Refusal> {
    let subject;
    let who = match limit.setting().per {
        RateKey::Route => Who::Everybody,
        RateKey::Ip => Who::Address(caller.call.client),
        RateKey::Subject => {
            subject = subject_of(signer, admitted, caller);
            // A client that keeps no cookies has a new name with each request, and one address.
            let address = Who::Address(caller.call.client);
            subject.as_deref().map_or(address, Who::Subject)
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

fn subject_of(
    signer: &CookieSigner,
    admitted: &Admitted<'_>,
    caller: &Caller<'_>,
) -> Option<String> {
    let Caller {
        call,
        headers,
        identity,
    } = *caller;
    course::named(signer, admitted, call, headers, identity).or_else(|| {
        vouched(identity)
            .and_then(Identity::subject)
            .map(str::to_owned)
    })
}
