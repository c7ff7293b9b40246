//! Moves a service's outbox rows into the log, in outbox order; one active relay per database.
//!
//! Append first, then mark, a little later and many at once: a crash between the two repeats the append,
//! which the log answers with the old positions. Marking is fenced by the lease, so a relay that was
//! overtaken marks nothing.

mod marks;
mod rows;

use std::{collections::HashSet, time::Duration};

use chassis::{Shutdown, trace::Tracer};
use contracts::Event;
use database::{Database, Error};
use faults::{Mutation, Write};
use tokio::time::Instant;
use uuid::Uuid;

pub use self::rows::clear_error;
pub(crate) use self::rows::{OutboxStatus, Stuck, status, stuck};
use self::{
    marks::Marks,
    rows::{Row, Sent},
};
use crate::{
    Append, AppendError, Appended, Log,
    lease::{Fence, LOOK_AGAIN, Lease},
    metrics::Hop,
    outbox::SIGNAL,
    trace,
};

/// Between looks at what may be pruned and at the log's epoch.
const HOUSEKEEPING: Duration = Duration::from_secs(10);

/// How long a stream whose predecessor is missing is left alone, so that it holds up nobody.
const WAIT_FOR_PREDECESSOR: Duration = Duration::from_secs(1);

/// How the relay works.
#[derive(Clone, Copy, Debug)]
pub struct RelayOptions {
    /// Whose outbox it is; in metrics and logs.
    pub service: &'static str,
    /// Events in one append at most.
    pub batch: u32,
    /// How late a row written by another process is noticed; one of this process wakes the relay.
    pub poll: Duration,
    /// How long it may take until the outbox says of an event that the log has it.
    pub mark_after: Duration,
    /// The pause after a failed round; it doubles up to `max_backoff`.
    pub backoff: Duration,
    /// The longest pause after a failed round.
    pub max_backoff: Duration,
    /// Sent rows are kept until the log's backup has them, but no longer than this.
    pub keep_sent: Duration,
}

impl RelayOptions {
    /// The usual ones, for this service.
    pub const fn new(service: &'static str) -> Self {
        Self {
            service,
            batch: 500,
            poll: Duration::from_millis(100),
            mark_after: Duration::from_millis(100),
            backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(5),
            keep_sent: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// Runs the relay until the shutdown. The database needs [`crate::outbox::migrations`].
pub async fn run(database: Database, log: Log, options: RelayOptions, shutdown: Shutdown) {
    let mut relay = Relay {
        epoch: log.epoch(),
        database,
        log,
        options,
        holder: Uuid::new_v4(),
        waiting: None,
        marks: Marks::default(),
    };
    relay.log.metrics().relay_begins(options.service);
    let mut first = true;
    let mut failures = 0_u32;
    while !shutdown.is_cancelled() {
        let pause = match relay.term(first, &shutdown).await {
            Ok(()) => {
                failures = 0;
                LOOK_AGAIN
            }
            Err(error) => {
                let metrics = relay.log.metrics();
                metrics.relay_failed(options.service, error.cause());
                tracing::warn!(service = options.service, %error, "relay failed; will try again");
                let doubled = options.backoff.saturating_mul(1 << failures.min(16));
                failures += 1;
                doubled.min(options.max_backoff)
            }
        };
        first = false;
        shutdown.sleep(pause).await;
    }
}

/// Why a term of the relay ended with an error.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the service's database: {0}")]
    Database(#[from] Error),
    #[error("the log: {0}")]
    Log(AppendError),
}

impl RelayError {
    /// Whose fault it is, for the metrics.
    const fn cause(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Log(_) => "log",
        }
    }
}

struct Relay {
    database: Database,
    log: Log,
    options: RelayOptions,
    holder: Uuid,
    /// The log's identity when the house was last kept.
    epoch: Uuid,
    /// Streams whose predecessor is missing, and until when they are left alone.
    waiting: Option<(Instant, HashSet<String>)>,
    /// What the outbox does not say yet.
    marks: Marks,
}

/// What the log did with a round's rows.
struct Moved {
    sent: Vec<Sent>,
    refused: Vec<(Row, AppendError)>,
}

/// How a round ended.
enum Round {
    /// It took as much as it may at once: there may be more.
    Full,
    /// That was all; what was written meanwhile has raised the signal.
    Done,
    /// The lease is somebody else's.
    Overtaken,
}

impl Relay {
    /// Works for as long as the lease is ours.
    async fn term(&mut self, first: bool, shutdown: &Shutdown) -> Result<(), RelayError> {
        faults::before(Write::RelayLease);
        let acquired = Lease::acquire(&self.database, "relay", self.holder, first).await?;
        faults::after(Write::RelayLease);
        let Some(lease) = acquired else { return Ok(()) };
        // Somebody else may have noted them since.
        self.marks.take();
        let mut signal = self.database.signal(SIGNAL);
        let mut renewed = Instant::now();
        let mut kept_house: Option<Instant> = None;
        loop {
            if shutdown.is_cancelled() {
                if self.mark(&lease).await? == Fence::Held {
                    lease.release(&self.database).await?;
                }
                return Ok(());
            }
            if kept_house.is_none_or(|at| at.elapsed() >= HOUSEKEEPING) {
                // With the epoch of the log that took them.
                if self.mark(&lease).await? == Fence::Lost {
                    return Ok(());
                }
                self.keep_house(&lease).await?;
                kept_house = Some(Instant::now());
            }
            if renewed.elapsed() >= lease.renew_every() {
                faults::before(Write::RelayRenew);
                if lease.renew(&self.database).await? == Fence::Lost {
                    return Ok(());
                }
                faults::after(Write::RelayRenew);
                renewed = Instant::now();
            }
            signal.borrow_and_update();
            match self.round(&lease).await? {
                Round::Full => {}
                Round::Overtaken => return Ok(()),
                Round::Done => {
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => {}
                        _ = signal.changed() => {}
                        () = tokio::time::sleep_until(self.look_again()) => {}
                    }
                }
            }
        }
    }

    async fn round(&mut self, lease: &Lease) -> Result<Round, RelayError> {
        if self
            .waiting
            .as_ref()
            .is_some_and(|(until, _)| *until <= Instant::now())
        {
            self.waiting = None;
        }
        let waiting = self
            .waiting
            .iter()
            .flat_map(|(_, streams)| streams.iter().cloned())
            .collect();
        let is_due = self.marks_due().is_some_and(|due| due <= Instant::now());
        if is_due && self.mark(lease).await? == Fence::Lost {
            return Ok(Round::Overtaken);
        }
        let known = self.marks.sequences();
        let rows = rows::unsent(&self.database, waiting, known, self.options.batch).await?;
        if rows.is_empty() {
            return Ok(Round::Done);
        }
        let is_full = rows.len() >= self.options.batch as usize;
        let tracer = Tracer::here_or(self.options.service);
        let events = rows.iter().map(|row| &row.event);
        let mut span = trace::moving(tracer, trace::SYSTEM, "relay append", events);
        let appended = self.append(rows).await;
        if let (Some(span), Err(error)) = (&mut span, &appended) {
            span.fail("append", error);
        }
        let Moved { sent, refused } = appended?;
        drop(span);
        // Else all of it waits for predecessors, and would be found again.
        let has_moved = !(sent.is_empty() && refused.is_empty());
        self.log.metrics().relayed(self.options.service, sent.len());
        self.marks.add(sent);
        for (row, error) in &refused {
            faults::before(Write::RelayRefuse);
            rows::mark_refused(&self.database, row.sequence, &error.to_string()).await?;
            faults::after(Write::RelayRefuse);
        }
        for (row, error) in refused {
            let Event { id, stream, .. } = row.event;
            let service = self.options.service;
            tracing::error!(service, %id, stream, %error, alert = "outbox_stuck", "stream is stuck");
        }
        Ok(if is_full && has_moved {
            Round::Full
        } else {
            Round::Done
        })
    }

    /// Notes in the outbox what the log has.
    async fn mark(&mut self, lease: &Lease) -> Result<Fence, RelayError> {
        let sent = self.marks.take();
        if sent.is_empty() {
            return Ok(Fence::Held);
        }
        faults::before(Write::RelayMark);
        let fence = rows::mark_sent(&self.database, lease, self.epoch, &sent).await?;
        if fence == Fence::Held {
            faults::after(Write::RelayMark);
        }
        Ok(fence)
    }

    fn marks_due(&self) -> Option<Instant> {
        let RelayOptions {
            mark_after, batch, ..
        } = self.options;
        self.marks.due(mark_after, batch as usize)
    }

    fn look_again(&self) -> Instant {
        let poll = Instant::now() + self.options.poll;
        self.marks_due().map_or(poll, |due| due.min(poll))
    }

    /// Appends all rows at once. When the log refuses one, its stream's rows from there on are left
    /// out and the others tried again, so that one stream's trouble is not the others', and nothing
    /// of a stream is ever appended past its trouble.
    async fn append(&mut self, mut rows: Vec<Row>) -> Result<Moved, RelayError> {
        let mut refused = Vec::new();
        let mut ahead = HashSet::new();
        let appended = loop {
            faults::before(Write::RelayAppend);
            let error = match self
                .log
                .append(rows.iter().map(Row::append).collect())
                .await
            {
                Ok(appended) => break appended,
                Err(error) => error,
            };
            let Some(culprit) = culprit(&error, &rows) else {
                return Err(RelayError::Log(error));
            };
            let stream = rows[culprit].event.stream.clone();
            let mut left_out: Vec<Row> = rows
                .extract_if(culprit.., |row| row.event.stream == stream)
                .collect();
            if matches!(error, AppendError::Ahead { .. }) {
                ahead.insert(stream);
            } else {
                refused.push((left_out.swap_remove(0), error));
            }
        };
        faults::after(Write::RelayAppend);
        if faults::is_on(Mutation::DedupOff) {
            self.append_repeats_as_new(&rows, &appended).await?;
        }
        if !ahead.is_empty() {
            self.waiting = Some((Instant::now() + WAIT_FOR_PREDECESSOR, ahead));
        }
        let now = self.database.clock().estimate();
        let fresh = rows.iter().zip(&appended).filter(|(_, a)| !a.duplicate);
        let times = fresh.map(|(row, _)| now.since(row.event.timestamp.into()));
        let metrics = self.log.metrics();
        metrics.hop(Hop::WrittenToAppended, None, times);
        let sent = rows
            .iter()
            .zip(appended)
            .map(|(row, a)| row.sent(a.position))
            .collect();
        Ok(Moved { sent, refused })
    }

    /// What a log would do that did not know its events by their ids.
    async fn append_repeats_as_new(
        &self,
        rows: &[Row],
        appended: &[Appended],
    ) -> Result<(), RelayError> {
        let repeated = rows.iter().zip(appended).filter(|(_, a)| a.duplicate);
        let again = repeated.map(|(row, _)| {
            let id = Uuid::now_v7();
            Append::any(Event {
                id,
                ..row.event.clone()
            })
        });
        for event in again {
            self.log
                .append(vec![event])
                .await
                .map_err(RelayError::Log)?;
        }
        Ok(())
    }

    async fn keep_house(&mut self, lease: &Lease) -> Result<(), RelayError> {
        let service = self.options.service;
        let backed_up_to = self.log.backed_up_to().await?;
        self.epoch = self.log.head().await?.epoch;
        let Some(mut tx) = lease.begin(&self.database).await? else {
            return Ok(());
        };
        let again = rows::send_again(&mut tx, self.epoch).await?;
        let old = tx.now().await? - self.options.keep_sent;
        rows::prune(&mut tx, backed_up_to, old).await?;
        faults::before(Write::RelayHouse);
        tx.commit().await?;
        faults::after(Write::RelayHouse);
        if again > 0 {
            tracing::warn!(
                service,
                events = again,
                "the log was restored; sending again"
            );
        }
        Ok(())
    }
}

/// Which row the log refused; none when it refused for its own reasons.
fn culprit(error: &AppendError, rows: &[Row]) -> Option<usize> {
    match error {
        AppendError::Conflict {
            stream, version, ..
        }
        | AppendError::Ahead {
            stream, version, ..
        } => rows
            .iter()
            .position(|row| row.event.stream == *stream && row.event.version == *version),
        AppendError::IdReused { id, .. } | AppendError::Invalid { id, .. } => {
            rows.iter().position(|row| row.event.id == *id)
        }
        AppendError::Unavailable(_) | AppendError::Closed => None,
    }
}
