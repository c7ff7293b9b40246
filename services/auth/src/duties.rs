//! What this service does when maintenance runs: takes away what is expired, and guests who do not
//! come back.

use std::time::Duration;

use async_trait::async_trait;
use database::{Timestamp, Tx};
use event_store::{HandlerError, Outbox};
use serde_json::{Value, json};
use service::duties::{Ask, Duty, Portion};

use crate::{
    accounts::{self, SERVICE},
    store::{attempts, directory, mails, oidc, resets, tokens},
};

/// Rows of each kind that one portion takes away: well within the seconds of a transaction.
const EXPIRED_PORTION: u32 = 500;

/// Guests of one portion: each is an event, too.
const GUESTS_PORTION: u32 = 100;

/// The shortest life of a guest: whoever plays is seen with each refresh, every 15 minutes, so
/// nobody who is here just now is ever deleted, whatever a setting or an operator's slip says.
pub const GUEST_LIFETIME_MIN: Duration = Duration::from_hours(1);

/// `expired-tokens`: refresh and reset tokens, counted attempts, old mails, sign-ins with providers
/// that nobody finished.
#[derive(Clone, Copy, Debug)]
pub struct ExpiredTokens;

/// `guest-cleanup`: guests who were not here for long.
#[derive(Clone, Copy, Debug)]
pub struct GuestCleanup {
    /// How long a guest may stay away; the run's `olderThanSeconds` wins over it.
    pub lifetime: Duration,
}

#[async_trait]
impl Duty for ExpiredTokens {
    fn job(&self) -> &'static str {
        "expired-tokens"
    }

    async fn perform(&self, tx: &mut Tx, _ask: &Ask) -> Result<Portion, HandlerError> {
        let now = tx.now().await?;
        let limit = i64::from(EXPIRED_PORTION);
        let refresh = tokens::sweep(tx, now, limit).await?;
        let reset = resets::sweep(tx, now, limit).await?;
        let attempts = attempts::sweep(tx, now, limit).await?;
        let mails = mails::sweep(tx, now, limit).await?;
        let sign_ins = oidc::sweep(tx, now, limit).await?;
        let is_full = |removed: u64| removed >= u64::from(EXPIRED_PORTION);
        Ok(Portion {
            more: [refresh, reset, attempts, mails, sign_ins]
                .into_iter()
                .any(is_full),
            detail: json!({
                "refreshTokens": refresh, "resetTokens": reset, "attempts": attempts,
                "mails": mails, "signIns": sign_ins,
            }),
        })
    }
}

#[async_trait]
impl Duty for GuestCleanup {
    fn job(&self) -> &'static str {
        "guest-cleanup"
    }

    async fn perform(&self, tx: &mut Tx, ask: &Ask) -> Result<Portion, HandlerError> {
        let lifetime = lifetime(&ask.parameters)?.unwrap_or(self.lifetime);
        let now: Timestamp = tx.now().await?;
        let idle = directory::idle_guests(tx, now - lifetime, GUESTS_PORTION.into()).await?;
        let outbox = Outbox::new(SERVICE);
        for guest in &idle {
            accounts::delete(tx, &outbox, *guest, now).await?;
        }
        Ok(Portion {
            more: idle.len() >= GUESTS_PORTION as usize,
            detail: json!({ "guests": idle.len() }),
        })
    }
}

/// What the run says about it.
fn lifetime(parameters: &Value) -> Result<Option<Duration>, HandlerError> {
    match parameters.get("olderThanSeconds") {
        None | Some(Value::Null) => Ok(None),
        Some(given) => given
            .as_u64()
            .map(Duration::from_secs)
            .filter(|lifetime| *lifetime >= GUEST_LIFETIME_MIN)
            .map(Some)
            .ok_or_else(|| {
                let least = GUEST_LIFETIME_MIN.as_secs();
                HandlerError::poison(format!(
                    "olderThanSeconds must be a number of seconds, {least} at least"
                ))
            }),
    }
}
