//! Forwards the log to the bus, in position order.
//!
//! A bus that keeps messages gets every event at least once: one active publisher, by lease, with
//! its cursor in the log's database. A bus that keeps nothing gets what is appended from now on.

mod shown;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bus::{Bus, BusError, Memory};
use chassis::{Shutdown, trace::Tracer};
use contracts::Recorded;
use database::{Error, Tx, params};
use faults::Write;
use prometheus_client::registry::Registry;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use self::shown::Shown;
use crate::{
    Head, Log, ReadQuery,
    lease::{Fence, LOOK_AGAIN, Lease},
    trace,
};

/// Events handed over between two looks at the shutdown and the lease.
const BATCH: u32 = 500;

/// How often the cursor is stored while events flow: what a crash publishes again.
const STORE_EVERY: Duration = Duration::from_millis(250);

/// The first and the longest pause after a failed hand-over.
const BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// What a publisher is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublisherState {
    /// Not started, or ended.
    Stopped,
    /// Another process publishes.
    Standby,
    /// It forwards; everything up to this position is with the bus.
    Forwarding(i64),
    /// The bus or the log does not answer; the text says which and why. It tries again.
    Failing(String),
    /// The log is another one than the cursor's, or ends before it: nothing is forwarded.
    Refused(String),
}

/// Forwards one log to one bus.
pub struct Publisher {
    log: Log,
    bus: Arc<dyn Bus>,
    state: watch::Sender<PublisherState>,
    /// How far it is while it forwards or fails; -1 while another process publishes.
    position: Arc<AtomicI64>,
}

/// Why a term of publishing ended with an error.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("the log: {0}")]
    Log(#[from] Error),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("{0}")]
    Refused(String),
}

impl PublishError {
    /// Whose fault it is, for the metrics.
    const fn cause(&self) -> &'static str {
        match self {
            Self::Log(_) => "log",
            Self::Bus(_) => "bus",
            Self::Refused(_) => "refused",
        }
    }
}

/// Runs a publisher until the shutdown.
pub async fn run(log: Log, bus: Arc<dyn Bus>, shutdown: Shutdown) {
    Publisher::new(log, bus).run(shutdown).await;
}

/// Notes where the publisher of the bus `bus` goes on with a log that was put together again: behind
/// what the bus already has. It repeats what may have been in flight when the log was lost; a bus
/// that remembers nothing of this log gets what comes from now on. The position; call it before
/// [`Log::begin_epoch`].
///
/// # Errors
/// As the log's database says.
pub async fn go_on(log: &Log, bus: &str, newest: Option<&Recorded>) -> Result<i64, Error> {
    let head = log.head().await?;
    let known = newest.filter(|newest| newest.epoch == head.epoch);
    let position = known.map_or(head.position, |newest| {
        (newest.position - i64::from(BATCH)).clamp(0, head.position)
    });
    let mut tx = log.database().begin().await?;
    write_cursor(&mut tx, bus, head.epoch, position).await?;
    tx.commit().await?;
    Ok(position)
}

async fn write_cursor(tx: &mut Tx, bus: &str, epoch: Uuid, position: i64) -> Result<(), Error> {
    let now = tx.now().await?;
    tx.execute(
        "INSERT INTO publisher_cursors (bus, epoch, position, updated_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (bus) DO UPDATE SET epoch = $2, position = $3, updated_at = $4",
        params![bus, epoch, position, now],
    )
    .await?;
    Ok(())
}

impl Publisher {
    /// A publisher that does not run yet.
    pub fn new(log: Log, bus: Arc<dyn Bus>) -> Self {
        Self {
            log,
            bus,
            state: watch::Sender::new(PublisherState::Stopped),
            position: Arc::new(AtomicI64::new(-1)),
        }
    }

    /// Follows what it is doing.
    pub fn state(&self) -> watch::Receiver<PublisherState> {
        self.state.subscribe()
    }

    /// Shows what it does and how far it is behind.
    pub fn register(&self, registry: &mut Registry) {
        self.log.metrics().register_publisher(registry);
        registry.register_collector(Box::new(Shown {
            head: self.log.appended(),
            state: self.state(),
            position: Arc::clone(&self.position),
        }));
    }

    /// Forwards until the shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        let holder = Uuid::new_v4();
        let mut failures = 0_u32;
        let mut first = true;
        while !shutdown.is_cancelled() {
            let began = Instant::now();
            let ended = match self.bus.memory() {
                Memory::None => self.forward_new(&shutdown).await,
                Memory::Durable => self.term(holder, first, &shutdown).await,
            };
            first = false;
            let pause = match ended {
                Ok(()) => {
                    failures = 0;
                    LOOK_AGAIN
                }
                Err(error) => {
                    if began.elapsed() > MAX_BACKOFF {
                        failures = 0;
                    }
                    let pause = BACKOFF
                        .saturating_mul(1 << failures.min(16))
                        .min(MAX_BACKOFF);
                    failures += 1;
                    self.failed(error);
                    pause
                }
            };
            shutdown.sleep(pause).await;
        }
        self.is(PublisherState::Stopped);
    }

    /// A bus without memory: whoever listens reads older events from the log.
    async fn forward_new(&self, shutdown: &Shutdown) -> Result<(), PublishError> {
        let mut appended = self.log.appended();
        let mut position = self.log.head().await?.position;
        self.is(PublisherState::Forwarding(position));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                seen = appended.wait_for(|head| *head > position) => {
                    if seen.is_err() {
                        return Ok(());
                    }
                }
            }
            let events = self
                .log
                .read(&ReadQuery::after(position).limit(BATCH))
                .await?;
            position = self.hand_over(&events).await?.unwrap_or(position);
        }
    }

    /// A bus with memory: works for as long as the lease is ours.
    async fn term(
        &self,
        holder: Uuid,
        first: bool,
        shutdown: &Shutdown,
    ) -> Result<(), PublishError> {
        let database = self.log.database();
        let Some(lease) = Lease::acquire(database, "publisher", holder, first).await? else {
            self.is(PublisherState::Standby);
            return Ok(());
        };
        let head = self.log.head().await?;
        let mut cursor = self.cursor(head).await?;
        // Whoever listens finds a bus that has lost all its memory ready, before the next event.
        self.bus.publish(&[]).await?;
        self.judge_memory(head).await?;
        let mut stored = Instant::now();
        let mut position = cursor;
        let mut appended = self.log.appended();
        self.is(PublisherState::Forwarding(position));
        loop {
            let idle = *appended.borrow_and_update() <= position;
            if stored.elapsed() >= STORE_EVERY
                && (position > cursor || stored.elapsed() >= lease.renew_every())
            {
                if self.store(&lease, head.epoch, position).await? == Fence::Lost {
                    return Ok(());
                }
                cursor = position;
                stored = Instant::now();
            }
            if shutdown.is_cancelled() {
                let _still_ours = self.store(&lease, head.epoch, position).await?;
                lease.release(database).await?;
                return Ok(());
            }
            if idle {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    _ = appended.changed() => {}
                    () = tokio::time::sleep(STORE_EVERY) => {}
                }
                continue;
            }
            let events = self
                .log
                .read(&ReadQuery::after(position).limit(BATCH))
                .await?;
            if events.iter().any(|event| event.epoch != head.epoch) {
                return Err(PublishError::Refused(
                    "the log was replaced meanwhile".to_owned(),
                ));
            }
            position = self.hand_over(&events).await?.unwrap_or(position);
        }
    }

    /// Holds what the bus remembers against the log. More than the log has means that the log was
    /// restored and nobody said so; what was another identity's future never comes true and is
    /// forgotten, so that nobody reads it from the bus.
    async fn judge_memory(&self, head: Head) -> Result<(), PublishError> {
        let Some(newest) = self.bus.newest().await? else {
            return Ok(());
        };
        let now = self.log.head().await?;
        if newest.epoch == head.epoch && newest.position > now.position {
            return Err(PublishError::Refused(format!(
                "the bus has position {}, beyond the log's head {}: the log was restored from a \
                 backup, and nobody said so",
                newest.position, now.position
            )));
        }
        let shared = match newest.epoch == head.epoch {
            true => None,
            false => self.log.shared_with(newest.epoch).await?,
        };
        if shared.is_some_and(|shared| newest.position > shared) {
            tracing::warn!(
                bus = self.bus.name(),
                "the bus forgets the events of a log that was lost"
            );
            self.bus.forget().await?;
        }
        Ok(())
    }

    async fn hand_over(&self, events: &[Recorded]) -> Result<Option<i64>, PublishError> {
        let Some(last) = events.last() else {
            return Ok(None);
        };
        let began = Instant::now();
        let mut span = trace::moving(
            Tracer::here_or("log"),
            self.bus.name(),
            "publish",
            events.iter().map(|recorded| &recorded.event),
        );
        faults::before(Write::BusPublish);
        let published = self.bus.publish(events).await;
        if let Some(span) = &mut span {
            span.set("banyan.event.position", last.position);
            if let Err(error) = &published {
                span.fail("publish", error);
            }
        }
        published?;
        faults::after(Write::BusPublish);
        let (metrics, now) = (self.log.metrics(), self.log.clock());
        metrics.published(events, began.elapsed(), now);
        self.is(PublisherState::Forwarding(last.position));
        Ok(Some(last.position))
    }

    /// Where to go on. A new cursor starts at the log's beginning.
    async fn cursor(&self, head: Head) -> Result<i64, PublishError> {
        let sql = "SELECT epoch, position FROM publisher_cursors WHERE bus = $1";
        let row: Option<(Uuid, i64)> = self
            .log
            .database()
            .fetch_optional(sql, params![self.bus.name()])
            .await?;
        match row {
            None => Ok(0),
            Some((epoch, _)) if epoch != head.epoch => Err(PublishError::Refused(format!(
                "the publisher's cursor belongs to log {epoch}, but this is log {}",
                head.epoch
            ))),
            Some((_, position)) if position > head.position => Err(PublishError::Refused(format!(
                "the publisher's cursor is at {position}, beyond the log's head {}",
                head.position
            ))),
            Some((_, position)) => Ok(position),
        }
    }

    async fn store(&self, lease: &Lease, epoch: Uuid, position: i64) -> Result<Fence, Error> {
        let Some(mut tx) = lease.begin(self.log.database()).await? else {
            return Ok(Fence::Lost);
        };
        write_cursor(&mut tx, self.bus.name(), epoch, position).await?;
        faults::before(Write::PublisherCursor);
        tx.commit().await?;
        faults::after(Write::PublisherCursor);
        Ok(Fence::Held)
    }

    fn failed(&self, error: PublishError) {
        self.log.metrics().publish_failed(error.cause());
        let bus = self.bus.name();
        match error {
            PublishError::Refused(reason) => {
                tracing::error!(bus, reason, "publishing refused");
                self.is(PublisherState::Refused(reason));
            }
            PublishError::Log(_) | PublishError::Bus(_) => {
                tracing::warn!(bus, %error, "publishing failed; will try again");
                self.is(PublisherState::Failing(error.to_string()));
            }
        }
    }

    fn is(&self, state: PublisherState) {
        match &state {
            PublisherState::Forwarding(position) => {
                self.position.store(*position, Ordering::Relaxed);
            }
            PublisherState::Stopped | PublisherState::Standby => {
                self.position.store(-1, Ordering::Relaxed);
            }
            PublisherState::Failing(_) | PublisherState::Refused(_) => {}
        }
        self.state.send_if_modified(|now| {
            let changed = *now != state;
            *now = state;
            changed
        });
    }
}
