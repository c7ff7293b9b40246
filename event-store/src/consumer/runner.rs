//! One consumer's task: reads its checkpoint, follows the feed, and looks again whenever somebody
//! else had a hand in it.

mod looking;
mod standby;

use std::{sync::Arc, time::Duration};

use bus::Bus;
use chassis::{Shutdown, trace::Span};
use contracts::Recorded;
use database::{Database, Dialect, Error};
use tokio::{sync::watch, time::Instant};
use tracing::Instrument;
use uuid::Uuid;

use self::looking::Looked;
use super::{
    ConsumerOptions, HandlerError, Reader, Replicas, State,
    attempt::{Attempt, Next, Standing, Trouble},
    checkpoint::CONTROL,
    feed::{Feed, FeedError},
    split::{Before, Change},
};
use crate::{Log, trace};

/// Foreign positions that may be passed over before the checkpoint is stored: what a restart reads
/// again in vain.
const STORE_EVERY: i64 = 1_000;

/// How soon a pause that was lifted by another process is noticed.
const PAUSED_POLL: Duration = Duration::from_millis(500);

pub(super) struct Runner {
    reader: Arc<Reader>,
    database: Database,
    log: Log,
    feed: Feed,
    options: ConsumerOptions,
    control: watch::Receiver<u64>,
    /// Whether this replica handles; else it stands by.
    active: watch::Receiver<bool>,
    shutdown: Shutdown,
    /// Whether it may give the consumer another number of parts.
    change: Change,
    epoch: Uuid,
    edition: i64,
    /// What former parts have handled.
    before: Before,
    /// The checkpoint as it lies in the database.
    stored: i64,
    /// How far it has read: at or above `stored`, with only foreign events between.
    position: i64,
    may_be_parked: bool,
    trouble: Trouble,
    database_failures: u32,
}

/// Why following ended.
enum Interrupted {
    ShutDown,
    /// The row in the database is no longer what we think: read it.
    LookAgain,
}

impl Runner {
    pub(super) fn new(
        reader: Arc<Reader>,
        database: Database,
        log: Log,
        bus: Option<Arc<dyn Bus>>,
        options: ConsumerOptions,
        active: watch::Receiver<bool>,
        shutdown: Shutdown,
    ) -> Self {
        log.metrics().consumer_begins(reader.name());
        Self {
            feed: Feed::new(
                reader.name(),
                reader.handler.wake(),
                log.clone(),
                bus,
                options.silence,
            ),
            reader,
            change: match options.replicas {
                Replicas::OneActive if database.dialect() == Dialect::Postgres => Change::OnceFree,
                _ => Change::Now,
            },
            epoch: log.epoch(),
            edition: 0,
            before: Before::default(),
            log,
            control: database.signal(CONTROL),
            database,
            options,
            active,
            shutdown,
            stored: 0,
            position: 0,
            may_be_parked: true,
            trouble: Trouble::default(),
            database_failures: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let looked = match self.look().await {
                Ok(looked) => looked,
                Err(error) => Looked::Wait(self.failed(&error)),
            };
            let ended = match looked {
                Looked::Run => self.follow().await,
                Looked::Wait(pause) => self.pause(pause).await,
            };
            if matches!(ended, Interrupted::ShutDown) {
                break;
            }
        }
        self.reader.reporter.is(State::Stopped);
    }

    async fn follow(&mut self) -> Interrupted {
        let mut idle_at = Instant::now() + self.options.idle;
        loop {
            let events = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {
                    self.store_if_possible().await;
                    return Interrupted::ShutDown;
                }
                _ = self.control.changed() => return Interrupted::LookAgain,
                _ = self.active.changed() => return Interrupted::LookAgain,
                events = self.feed.next(self.position) => events,
                () = tokio::time::sleep_until(idle_at) => {
                    self.store_if_possible().await;
                    return Interrupted::LookAgain;
                }
            };
            let taken = match events {
                Ok(events) => self.take(&events).await,
                Err(FeedError::ForeignLog) => return self.pause(self.options.backoff).await,
                Err(FeedError::Log(error)) => Err(error),
            };
            match taken {
                Ok(None) => idle_at = Instant::now() + self.options.idle,
                Ok(Some(interrupted)) => return interrupted,
                Err(error) => {
                    let pause = self.failed(&error);
                    return self.pause(pause).await;
                }
            }
        }
    }

    /// Takes contiguous events from the feed.
    async fn take(&mut self, events: &[Arc<Recorded>]) -> Result<Option<Interrupted>, Error> {
        let Some(last) = events.last() else {
            return Ok(None);
        };
        // Whether it handles or stands by: keys that were erased are forgotten here, too.
        self.log
            .personal()
            .heard(events.iter().map(|event| &**event));
        let reader = Arc::clone(&self.reader);
        let wanted = reader.needed(events, &self.before);
        if let Some(needed) = wanted.last() {
            return if self.stands_by() {
                self.attend(needed.position, last.position).await
            } else {
                self.handle(&wanted, last.position).await
            };
        }
        self.arrive(self.stored, last.position);
        if self.position - self.stored >= STORE_EVERY {
            return self.store().await;
        }
        Ok(None)
    }

    /// All in one transaction; when that is refused, one by one.
    async fn handle(
        &mut self,
        events: &[&Recorded],
        to: i64,
    ) -> Result<Option<Interrupted>, Error> {
        if events.len() > 1 {
            let began = Instant::now();
            let mut span = trace::handling_many(self.reader.name(), events);
            let tried = self.standing().handle(events, to).await;
            if let Some(span) = &mut span {
                tell(span, &tried);
            }
            drop(span);
            match tried? {
                Attempt::Done => {
                    trace::handled_together(self.reader.name(), events).await;
                    self.handled(events, to, began);
                    return Ok(None);
                }
                Attempt::Lost => return Ok(Some(Interrupted::LookAgain)),
                Attempt::Refused(error) => {
                    tracing::debug!(consumer = self.reader.name(), %error, "batch; one by one");
                }
            }
        }
        for event in events {
            let names = trace::named(self.reader.name(), event);
            let one = trace::context_of(&event.event).scope(self.handle_one(event));
            if let Some(interrupted) = one.instrument(names).await? {
                return Ok(Some(interrupted));
            }
        }
        self.arrive(self.stored, to);
        Ok(None)
    }

    /// Tries one event until it is handled or parked.
    async fn handle_one(&mut self, event: &Recorded) -> Result<Option<Interrupted>, Error> {
        let consumer = self.reader.name();
        let (position, id) = (event.position, event.event.id);
        loop {
            let began = Instant::now();
            let mut span = trace::handling(consumer, event);
            let standing = self.standing();
            let tried = span.scope(standing.handle(&[event], position)).await;
            tell(&mut span, &tried);
            let error = match tried? {
                Attempt::Done => {
                    span.context().scope(trace::handled()).await;
                    self.handled(&[event], position, began);
                    return Ok(None);
                }
                Attempt::Lost => return Ok(Some(Interrupted::LookAgain)),
                Attempt::Refused(error) => error,
            };
            let metrics = self.log.metrics();
            metrics.consumer_failed(consumer, Some(error.fault()));
            match self.trouble.after(position, error.fault(), &self.options) {
                Next::Retry(pause) => {
                    span.set("banyan.outcome", "retried");
                    drop(span);
                    tracing::warn!(consumer, position, %id, %error, ?pause, "will try again");
                    tokio::select! {
                        biased;
                        () = self.shutdown.cancelled() => return Ok(Some(Interrupted::ShutDown)),
                        _ = self.control.changed() => return Ok(Some(Interrupted::LookAgain)),
                        _ = self.active.changed() => return Ok(Some(Interrupted::LookAgain)),
                        () = tokio::time::sleep(pause) => {}
                    }
                }
                Next::Park(attempts) => {
                    span.set("banyan.outcome", "parked");
                    span.set("banyan.attempts", i64::from(attempts));
                    return self.park(event, &error, attempts).await;
                }
            }
        }
    }

    /// Sets an event aside that cannot be handled.
    async fn park(
        &mut self,
        event: &Recorded,
        error: &HandlerError,
        attempts: u32,
    ) -> Result<Option<Interrupted>, Error> {
        let (consumer, position, id) = (self.reader.name(), event.position, event.event.id);
        match self.standing().park(event, error, attempts).await? {
            Attempt::Lost => Ok(Some(Interrupted::LookAgain)),
            _ => {
                tracing::error!(consumer, position, %id, %error, "event parked");
                self.log.metrics().parked(consumer);
                self.may_be_parked = true;
                self.arrive(position, position);
                Ok(None)
            }
        }
    }

    /// Stores how far foreign events were passed over.
    async fn store(&mut self) -> Result<Option<Interrupted>, Error> {
        // The active replica's to store: moving its checkpoint would only cost it a race.
        if self.position == self.stored || self.stands_by() {
            return Ok(None);
        }
        match self.standing().pass(self.position).await? {
            Attempt::Lost => Ok(Some(Interrupted::LookAgain)),
            _ => {
                self.arrive(self.position, self.position);
                Ok(None)
            }
        }
    }

    /// As [`Self::store`], where a failure only means that a restart reads more foreign events again.
    async fn store_if_possible(&mut self) {
        if let Err(error) = self.store().await {
            tracing::warn!(consumer = self.reader.name(), %error, "checkpoint not stored");
        }
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            database: &self.database,
            reader: &self.reader,
            keys: self.log.personal(),
            from: ((self.epoch, self.stored), self.edition),
            may_be_parked: self.may_be_parked,
        }
    }

    fn handled(&mut self, events: &[&Recorded], to: i64, began: Instant) {
        let (metrics, now) = (self.log.metrics(), self.log.clock());
        metrics.handled(self.reader.name(), events, began.elapsed(), now);
        self.arrive(to, to);
    }

    fn arrive(&mut self, stored: i64, position: i64) {
        self.stored = stored;
        self.position = position;
        self.reader.reporter.at((self.epoch, stored), position);
    }

    /// Logs a failing database and says how long to wait.
    fn failed(&mut self, error: &Error) -> Duration {
        self.log.metrics().consumer_failed(self.reader.name(), None);
        tracing::warn!(consumer = self.reader.name(), %error, "database trouble; will look again");
        let doubled = self
            .options
            .backoff
            .saturating_mul(1 << self.database_failures.min(16));
        self.database_failures = self.database_failures.saturating_add(1);
        doubled.min(self.options.max_backoff)
    }

    async fn pause(&mut self, pause: Duration) -> Interrupted {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Interrupted::ShutDown,
            _ = self.control.changed() => Interrupted::LookAgain,
            () = tokio::time::sleep(pause) => Interrupted::LookAgain,
        }
    }
}

/// Says in a span what an attempt came to.
fn tell(span: &mut Span, tried: &Result<Attempt, Error>) {
    match tried {
        Ok(Attempt::Done) => span.set("banyan.outcome", "done"),
        // Another replica did it, or an operator paused the consumer.
        Ok(Attempt::Lost) => span.set("banyan.outcome", "lost"),
        Ok(Attempt::Refused(error)) => span.fail(error.fault().as_str(), error),
        Err(error) => span.fail("database", error),
    }
}
