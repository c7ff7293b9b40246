//! Which replica is the active one of each consumer: a lease that only saves work. Two at once do
//! no harm, since the checkpoint lets one of them; nobody at all is what the terms bound.
//!
//! All leases of a process are renewed by one statement, twice a second. While another has them,
//! asking for them writes nothing.
//!
//! The parts of a split consumer are shared: each replica also holds a lease of a place among those with
//! the same number of parts, so each knows how many live and takes its share, which it gives back in
//! when more come ([`sharing`]).

mod sharing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use database::{Database, Dialect, Error, Value, params};
use tokio::{runtime::Handle, sync::watch};
use uuid::Uuid;

use self::sharing::Shared;
pub(super) use self::sharing::place_among;
use super::{Reader, Replicas};

/// How long the lease of a replica that died keeps the others waiting. With [`LOOK_AGAIN`] it is
/// below two seconds.
const TERM: Duration = Duration::from_millis(1_500);

/// Between two renewals: two may fail or be late before the lease ends.
const RENEW_EVERY: Duration = Duration::from_millis(500);

/// How often a replica that lacks a lease looks whether it is free.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// Takes what is free, expired or ours; by the database's clock. What others hold is left out before
/// the insert, which would otherwise lock their rows and so write. In the order of names, so that two
/// that take at the same time do not wait for each other.
const TAKE: &str = "
    INSERT INTO leases (name, holder, token, expires_at)
    SELECT wanted.name, $2, 1, clock_timestamp() + $3 * INTERVAL '1 microsecond'
    FROM unnest($1::TEXT[]) AS wanted (name)
    WHERE NOT EXISTS (SELECT 1 FROM leases held WHERE held.name = wanted.name
                         AND held.holder <> $2 AND held.expires_at >= clock_timestamp())
    ORDER BY wanted.name
    ON CONFLICT (name) DO UPDATE
    SET holder = $2, token = leases.token + 1, expires_at = excluded.expires_at
    WHERE leases.holder = $2 OR leases.expires_at < clock_timestamp()
    RETURNING name";

const GIVE_BACK: &str = "
    UPDATE leases SET expires_at = to_timestamp(0)
    WHERE name = ANY($1) AND holder = $2 RETURNING name";

/// Keeps the leases of one process's consumers. Dropping it gives them back, if it can.
pub(super) struct Keeper {
    database: Database,
    holder: Uuid,
    /// Whether this process is the active one, by the consumer's name.
    active: BTreeMap<&'static str, watch::Sender<bool>>,
    /// Those of consumers that are not split; none where everybody is active.
    leases: Option<Vec<String>>,
    /// The consumers that are split.
    shared: Vec<Shared>,
    /// Whether those who died before this process began are forgotten.
    is_tidy: bool,
    is_failing: bool,
}

impl Keeper {
    pub(super) fn new(database: &Database, replicas: Replicas, readers: &[Arc<Reader>]) -> Self {
        let by_lease = replicas == Replicas::OneActive && database.dialect() == Dialect::Postgres;
        let (split, whole): (Vec<_>, Vec<_>) = readers.iter().partition(|reader| reader.is_split());
        let holder = Uuid::new_v4();
        Self {
            database: database.clone(),
            holder,
            active: readers
                .iter()
                .map(|reader| (reader.name(), watch::Sender::new(!by_lease)))
                .collect(),
            leases: by_lease.then(|| whole.iter().map(|reader| lease_of(reader.name())).collect()),
            shared: Shared::of(&split, holder),
            is_tidy: false,
            is_failing: false,
        }
    }

    /// Whether the consumer's handler is called in this process, as it changes.
    pub(super) fn is_active(&self, consumer: &'static str) -> watch::Receiver<bool> {
        self.active.get(consumer).map_or_else(
            || watch::Sender::new(true).subscribe(),
            watch::Sender::subscribe,
        )
    }

    /// Takes and renews, and never ends.
    pub(super) async fn keep(&mut self) {
        loop {
            let pause = match self.take().await {
                Ok(pause) => pause,
                Err(error) => {
                    // Whoever cannot reach the database cannot handle anything either; so it stays
                    // what it was.
                    if !self.is_failing {
                        tracing::warn!(%error, "consumers' leases are not renewed");
                    }
                    self.is_failing = true;
                    LOOK_AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn take(&mut self) -> Result<Duration, Error> {
        let Some(mut wanted) = self.leases.clone() else {
            return std::future::pending().await;
        };
        let mut all = wanted.len();
        if !self.is_tidy {
            sharing::forget_dead(&self.database, &self.shared).await?;
            self.is_tidy = true;
        }
        let held = sharing::held(&self.database, &self.shared).await?;
        for shared in &self.shared {
            wanted.extend(shared.share(self.holder, &held));
            all += shared.leases();
        }
        let micros = i64::try_from(TERM.as_micros()).unwrap_or(i64::MAX);
        let values = params![wanted.clone(), self.holder, micros];
        // Not by `execute`: it is no commit of the service's data.
        faults::before(faults::Write::ConsumerLease);
        let taken: Vec<(String,)> = self.database.fetch_all(TAKE, values).await?;
        faults::after(faults::Write::ConsumerLease);
        self.is_failing = false;
        let taken: BTreeSet<String> = taken.into_iter().map(|(name,)| name).collect();
        for (consumer, active) in &self.active {
            let is_ours = taken.contains(&lease_of(consumer));
            active.send_if_modified(|was| std::mem::replace(was, is_ours) != is_ours);
        }
        // After they were told here: whoever takes one meets nobody.
        let spare = held.spare(self.holder, &wanted);
        if !spare.is_empty() {
            give_back(self.database.clone(), params![spare, self.holder]).await?;
        }
        Ok(if taken.len() == all {
            RENEW_EVERY
        } else {
            LOOK_AGAIN
        })
    }

    /// Gives everything back, so that another replica goes on at once.
    pub(super) async fn release(&mut self) {
        if let Some((database, values)) = self.given_back()
            && let Err(error) = give_back(database, values).await
        {
            tracing::warn!(%error, "consumers' leases are not given back; they expire");
        }
    }

    fn given_back(&mut self) -> Option<(Database, Vec<Value>)> {
        let mut leases = self.leases.take()?;
        leases.extend(self.shared.iter().flat_map(Shared::all));
        Some((self.database.clone(), params![leases, self.holder]))
    }
}

impl Drop for Keeper {
    /// The task was aborted: nobody waits for this.
    fn drop(&mut self) {
        if let (Some((database, values)), Ok(runtime)) = (self.given_back(), Handle::try_current())
        {
            runtime.spawn(async move {
                if let Err(error) = give_back(database, values).await {
                    tracing::debug!(%error, "consumers' leases are not given back; they expire");
                }
            });
        }
    }
}

async fn give_back(database: Database, values: Vec<Value>) -> Result<(), Error> {
    let _given: Vec<(String,)> = database.fetch_all(GIVE_BACK, values).await?;
    Ok(())
}

pub(super) fn lease_of(consumer: &str) -> String {
    format!("consumer {consumer}")
}
