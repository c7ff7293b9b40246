//! The task that sends what waits in the `mails` table, one letter at a time.

use std::time::Duration;

use chassis::{Shutdown, shutdown::Slept};
use database::{Database, Timestamp};

use super::{Delivery, Post};
use crate::store::mails::{self, Claimed, Ended};

/// A replica that sends holds a letter this long: above all that sending one may take.
const LEASE: Duration = Duration::from_secs(120);

/// How often the table is looked at without a signal: rows of other replicas, and pauses that end.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Attempts at most; with [`LONGEST`] between the last ones about four hours.
const ATTEMPTS: i64 = 14;

/// No pause between attempts is longer.
const LONGEST: Duration = Duration::from_secs(1800);

/// The pauses between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// The first; each further one is twice as long, up to half an hour.
    pub first: Duration,
}

/// Sends mails. Several replicas may each have one.
pub struct Courier {
    db: Database,
    post: Option<Post>,
}

impl Pauses {
    /// The pause after so many attempts, or none when it is given up.
    #[must_use]
    pub fn after(&self, attempts: i64) -> Option<Duration> {
        if attempts >= ATTEMPTS {
            return None;
        }
        let doublings = u32::try_from(attempts.max(1) - 1).unwrap_or(u32::MAX);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        Some(self.first.saturating_mul(factor).min(LONGEST))
    }
}

impl Courier {
    /// Sends what waits in `db`; without a post it waits on.
    pub fn new(db: Database, post: Option<Post>) -> Self {
        Self { db, post }
    }

    /// Runs until the shutdown. A letter that is on its way then is seen through.
    ///
    /// # Errors
    /// Never; the type is that of a supervised task.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let Some(post) = &self.post else {
            tracing::warn!("mails wait: there is no mail server (setting `mail`)");
            shutdown.cancelled().await;
            return Ok(());
        };
        let mut news = self.db.signal(mails::SIGNAL);
        while !shutdown.is_cancelled() {
            news.borrow_and_update();
            match self.next(post).await {
                Ok(true) => continue,
                Ok(false) => {}
                // The database is down, and told so elsewhere; the rows wait.
                Err(error) => tracing::warn!(%error, "cannot look for mails"),
            }
            tokio::select! {
                slept = shutdown.sleep(LOOK_EVERY) => if slept == Slept::ShutDown { break },
                _ = news.changed() => {}
            }
        }
        Ok(())
    }

    /// Sends the next letter, if one is due; whether there was one.
    async fn next(&self, post: &Post) -> database::Result<bool> {
        let lost = mails::end_lost(&self.db).await?;
        if lost > 0 {
            tracing::warn!(mails = lost, "nobody knows whether these were sent");
        }
        let Some(claimed) = mails::claim(&self.db, LEASE).await? else {
            return Ok(false);
        };
        let letter = post.reset(claimed.recipient.clone(), claimed.token.as_str());
        let delivery = post.deliver(&letter).await;
        let ended = self.judge(&claimed, delivery, post.pauses).await?;
        match &ended {
            Ended::Sent => tracing::info!(mail = %claimed.id, "sent a mail"),
            Ended::Again(error, at) => {
                tracing::warn!(mail = %claimed.id, error, again_at = %at, "cannot send a mail yet");
            }
            Ended::Failed(error) | Ended::Unknown(error) => {
                tracing::error!(mail = %claimed.id, error, "gave up a mail");
            }
        }
        mails::settle(&self.db, claimed.id, &ended).await?;
        Ok(true)
    }

    async fn judge(
        &self,
        claimed: &Claimed,
        delivery: Delivery,
        pauses: Pauses,
    ) -> database::Result<Ended> {
        Ok(match delivery {
            Delivery::Taken => Ended::Sent,
            Delivery::Refused(error) => Ended::Failed(error),
            Delivery::Unknown(error) => Ended::Unknown(error),
            Delivery::NotNow(error) => match pauses.after(claimed.attempts) {
                None => Ended::Failed(format!(
                    "given up after {} attempts: {error}",
                    claimed.attempts
                )),
                Some(pause) => {
                    let now: Timestamp = self.db.now().await?;
                    Ended::Again(error, now + pause)
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_end() {
        let pauses = Pauses {
            first: Duration::from_secs(5),
        };
        let seconds = |attempts| pauses.after(attempts).map(|pause| pause.as_secs());
        assert_eq!(seconds(1), Some(5));
        assert_eq!(seconds(2), Some(10));
        assert_eq!(seconds(13), Some(1800));
        assert_eq!(seconds(14), None);
    }
}
