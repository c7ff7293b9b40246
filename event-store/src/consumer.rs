//! Named readers of the log whose effects happen exactly once.
//!
//! A consumer claims its checkpoint by compare-and-set first, then calls its handler, in one
//! transaction of its own database: whoever loses the race did nothing. Where an event came from,
//! bus or log, is a detail of the feed; positions are contiguous either way.

mod adopting;
mod attempt;
mod beside;
mod checkpoint;
mod error;
mod feed;
mod operator;
mod options;
mod parking;
mod progress;
mod reader;
mod replaying;
mod reporting;
mod runner;
mod shown;
mod split;
mod standby;
mod status;

use std::sync::Arc;

use async_trait::async_trait;
use bus::Bus;
use chassis::{Shutdown, trace::Tracer};
use contracts::Recorded;
use database::{Database, Tx};
use futures::{FutureExt, future::BoxFuture};
use tokio::task::JoinSet;
use tracing::Instrument;

pub use beside::{Beside, second_of};
pub use bus::Wake;
pub use error::{Fault, HandlerError};
pub use operator::{Beyond, OperatorError};
pub use options::{ConsumerOptions, Replicas};
pub use parking::{Parked, Retried, RetriedAll};
pub use progress::{Progress, State};
pub use replaying::Start;
pub(crate) use reporting::Told;
pub use status::ConsumerStatus;

use self::{reader::Reader, runner::Runner, standby::Keeper};
use crate::{Log, trace};

/// What a consumer does with events.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The consumer's name: unique in its database, and for ever, since its checkpoint has it.
    fn name(&self) -> &'static str;

    /// Whether it may be replayed.
    fn kind(&self) -> Kind;

    /// The event types it wants; none means all.
    fn types(&self) -> &'static [&'static str];

    /// Whether a later event of a stream may be handled while an earlier one is parked.
    fn order(&self) -> Order {
        Order::ByStream
    }

    /// Which of its events it is woken for; all of them unless told. Those that nobody waits for may lie
    /// for some tens of milliseconds, so that it takes more of them with one transaction.
    fn wake(&self) -> Wake {
        match self.types() {
            [] => Wake::Always,
            types => Wake::For(types),
        }
    }

    /// Takes one event's effects into `tx`, which also moves the checkpoint. Called again after
    /// every roll-back, so it must have no effect outside `tx`. The event's trace context is
    /// current meanwhile.
    ///
    /// # Errors
    /// [`HandlerError`] says whether a repeat may help.
    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError>;

    /// Takes many events' effects into one transaction. After an error the events come again, one
    /// by one, through [`Handler::handle`].
    ///
    /// # Errors
    /// As [`Handler::handle`].
    async fn handle_batch(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        for event in events {
            within(self.name(), event, self.handle(tx, event)).await?;
        }
        Ok(())
    }

    /// Projections: removes all that was built, for a replay from the log's beginning.
    ///
    /// # Errors
    /// [`HandlerError`]; the default refuses.
    async fn reset(&self, _tx: &mut Tx) -> Result<(), HandlerError> {
        Err(HandlerError::poison(format!(
            "{} cannot be emptied",
            self.name()
        )))
    }

    /// Projections: takes back what the events above `position` did and nothing else, for a replay
    /// from there.
    ///
    /// # Errors
    /// [`HandlerError`]; nothing is replayed then.
    async fn rewind(&self, _tx: &mut Tx, _position: i64) -> Result<Rewound, HandlerError> {
        Ok(Rewound::Unsupported)
    }

    /// Projections: how a second copy is built beside the one in use, where that is possible.
    fn beside(&self) -> Option<Arc<dyn Beside>> {
        None
    }

    /// Signals of the database that [`Handler::handle`] raises and others in this process wait for.
    /// Where another replica is the active one, they are raised here once it has committed.
    fn signals(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Runs a handler's work for one event of a batch in the event's own trace, and names the event in what
/// it logs: for a [`Handler::handle_batch`] of one's own.
///
/// # Errors
/// As `handling`.
pub async fn within(
    consumer: &'static str,
    event: &Recorded,
    handling: impl Future<Output = Result<(), HandlerError>>,
) -> Result<(), HandlerError> {
    let mut span = trace::handling(consumer, event);
    let named = trace::named(consumer, event);
    let handled = span.scope(handling).instrument(named).await;
    if let Err(error) = &handled {
        // It comes again by itself, and then its outcome is told.
        span.fail(error.fault().as_str(), error);
    }
    handled
}

/// What a projection did when it was to forget the newest events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewound {
    /// It is what it was at that position.
    Done,
    /// It can only be built from the log's beginning.
    Unsupported,
}

/// What a consumer's effects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// State only: it can be emptied and built again.
    Projection,
    /// It also emits events, so it is never replayed.
    Process,
}

/// Whether the order of events within a stream matters to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Later events of a stream park behind a parked one.
    ByStream,
    /// Only the failing event is parked.
    Unimportant,
}

/// The consumers of one service, over one database and one log. Clones share them; add all of
/// them before the first clone.
#[derive(Clone)]
pub struct Consumers {
    database: Database,
    log: Log,
    options: ConsumerOptions,
    readers: Vec<Arc<Reader>>,
    /// Those of second copies that can be built beside.
    seconds: Vec<Arc<Reader>>,
    /// Whose they are, where the process runs several services.
    service: Option<&'static str>,
}

impl Consumers {
    /// No consumers yet. The database needs [`crate::outbox::migrations`].
    pub fn new(database: Database, log: Log) -> Self {
        Self {
            database,
            log,
            options: ConsumerOptions::default(),
            readers: Vec::new(),
            seconds: Vec::new(),
            service: None,
        }
    }

    /// Says whose consumers they are: traces show it.
    #[must_use]
    pub const fn of(mut self, service: &'static str) -> Self {
        self.service = Some(service);
        self
    }

    fn tracer(&self) -> Tracer {
        self.service.map_or_else(Tracer::here, Tracer::of)
    }

    /// Reads and repeats in another way.
    #[must_use]
    pub fn with_options(mut self, options: ConsumerOptions) -> Self {
        self.options = options;
        self
    }

    /// Adds a consumer. A new one starts at the log's beginning.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "consumers are no numbers")]
    pub fn add(self, handler: impl Handler) -> Self {
        self.add_shared(Arc::new(handler))
    }

    /// Adds a consumer that somebody else also holds.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "as `add` takes it")]
    pub fn add_shared(mut self, handler: Arc<dyn Handler>) -> Self {
        self.seconds.extend(beside::reader(&handler));
        self.readers.extend(Reader::of(&handler, 1));
        self
    }

    /// Adds a consumer that is split by streams into so many parts, `NAME.1of4` … `NAME.4of4`, which
    /// handle at the same time, in this process and in other replicas: these share the parts. Each
    /// reads the whole log and passes over what is not its own, so more parts than replicas' cores
    /// gain nothing. None or one part is a consumer that is not split.
    ///
    /// A stream's events are handled one after another as ever. **Order between streams is given up**:
    /// one part may be far ahead of another, and two handlings may wait for each other's rows. A handler
    /// that counts on another stream's earlier events, or reads what other streams' events wrote, is not
    /// to be split. A second copy is not built beside it ([`Handler::beside`]); [`Handler::reset`] and
    /// [`Handler::rewind`] are called once for all parts.
    ///
    /// The number may change from one start to the next, also from and to one: the parts take over from
    /// those of before, nothing is lost or comes twice. Where replicas share the work by leases, a
    /// process with another number waits until the last one with the number in force has ended; see
    /// [`State::Waiting`].
    #[must_use]
    pub fn add_split(mut self, handler: impl Handler, parts: u8) -> Self {
        if parts <= 1 {
            return self.add(handler);
        }
        let handler: Arc<dyn Handler> = Arc::new(handler);
        self.readers.extend(Reader::of(&handler, parts.into()));
        self
    }

    /// How far the consumer `name` is in this process, or a part of one; `None` when there is none.
    pub fn progress(&self, name: &str) -> Option<Progress> {
        let named = self.named(name);
        let known = named.first()?;
        let known = if known.name() == name {
            known.name()
        } else {
            known.consumer()
        };
        let parts = named.iter().map(|reader| reader.reporter.progress());
        Progress::of_all(known, parts)
    }

    /// Each consumer's name, and the event types that it wants; none means all.
    pub fn interests(&self) -> Vec<(&'static str, &'static [&'static str])> {
        let readers = self.readers.iter();
        let mut all: Vec<_> = readers
            .map(|reader| (reader.consumer(), reader.handler.types()))
            .collect();
        all.dedup();
        all
    }

    /// How far all of them are in this process.
    pub fn all_progress(&self) -> Vec<Progress> {
        self.readers
            .iter()
            .map(|reader| reader.reporter.progress())
            .collect()
    }

    /// Waits until each of them has read the log up to `position`.
    pub async fn caught_up_to(&self, position: i64) {
        for progress in self.all_progress() {
            progress.caught_up_to(position).await;
        }
    }

    /// Whether none refuses the log; the text of a readiness check.
    ///
    /// # Errors
    /// Which consumer refuses, and why.
    pub fn readiness(&self) -> Result<(), String> {
        for progress in self.all_progress() {
            if let State::Refused(reason) = progress.state() {
                return Err(format!("consumer {}: {reason}", progress.name()));
            }
        }
        Ok(())
    }

    /// Runs all of them until the shutdown. Without a bus they read the log alone. Returns earlier
    /// only when one of them panicked outside its handler, which a supervisor should not survive.
    pub async fn run(&self, bus: Option<Arc<dyn Bus>>, shutdown: Shutdown) {
        // A task each: one consumer's long handler must not hold up another's.
        let mut tasks = JoinSet::new();
        let all = self.all();
        let mut keeper = Keeper::new(&self.database, self.options.replicas, &all);
        for reader in &all {
            let run = self.runs(reader, &keeper, bus.clone(), shutdown.clone());
            // Their log lines belong to the service that runs them.
            tasks.spawn(run.in_current_span());
        }
        if tasks.is_empty() {
            shutdown.cancelled().await;
        }
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a consumer's task panicked");
                    tasks.shutdown().await;
                }
            }
        };
        tokio::select! {
            () = ended => {}
            // Ends with the others only.
            () = keeper.keep() => {}
        }
        // Last: a replica that takes over earlier would race for what is being handled.
        keeper.release().await;
    }

    /// What [`Consumers::run`] makes a task of for each, for a simulation that decides who runs when:
    /// without leases, so that the checkpoints alone decide between replicas.
    #[doc(hidden)]
    pub fn each(
        &self,
        bus: Option<&Arc<dyn Bus>>,
        shutdown: &Shutdown,
    ) -> Vec<(&'static str, BoxFuture<'static, ()>)> {
        let all = self.all();
        let keeper = Arc::new(Keeper::new(&self.database, Replicas::Race, &all));
        let run = |reader: &Arc<Reader>| {
            let run = self.runs(reader, &keeper, bus.cloned(), shutdown.clone());
            // Whoever runs is told of the end of who decides.
            let held = Arc::clone(&keeper);
            let run = async move {
                run.await;
                drop(held);
            };
            (reader.name(), run.boxed())
        };
        all.iter().map(run).collect()
    }

    /// The consumers, and those that build a second copy.
    fn all(&self) -> Vec<Arc<Reader>> {
        self.readers.iter().chain(&self.seconds).cloned().collect()
    }

    fn runs(
        &self,
        reader: &Arc<Reader>,
        keeper: &Keeper,
        bus: Option<Arc<dyn Bus>>,
        shutdown: Shutdown,
    ) -> impl Future<Output = ()> + Send + use<> {
        let runner = Runner::new(
            Arc::clone(reader),
            self.database.clone(),
            self.log.clone(),
            bus,
            self.options,
            keeper.is_active(reader.name()),
            shutdown,
        );
        self.tracer().within(runner.run())
    }

    /// The reader of this name, or the parts of the consumer of this name.
    fn named(&self, name: &str) -> Vec<&Arc<Reader>> {
        let all = self.readers.iter().chain(&self.seconds);
        all.filter(|reader| reader.name() == name || reader.consumer() == name)
            .collect()
    }
}
