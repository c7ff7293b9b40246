//! The durable engine: every transition is one transaction of the owner's database.
//!
//! Invariants:
//! - The saga row, the transition's own effects, its events, its deadlines and the checkpoint of
//!   the event that caused it commit together or not at all.
//! - Whoever moves a saga has locked its row and writes it as the next version of what was read:
//!   a lost race is a no-op, also between replicas.
//! - Nothing is only in memory; a new process goes on with what the tables say.

mod census;
mod erasure;
mod guard;
mod moves;
mod operator;
mod recovery;
mod replies;
mod timers;
mod waiters;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use chassis::Shutdown;
use contracts::Recorded;
use database::{Database, Timestamp, Tx};
use event_store::{Log, Outbox, consumer::Progress};
use serde_json::Value;
use uuid::Uuid;

pub(crate) use self::moves::DECIDED;
use self::{moves::Steering, timers::Alarm, waiters::Waiters};
pub use self::{operator::PolicyChange, replies::Replies, waiters::Waiter};
use crate::{
    Clock, DatabaseClock, Definition, Error, Metrics, Policy, Saga, Workflow,
    definition::DefinitionFault, state::State, store, transition::Input,
};

/// The name of the consumer that reads replies; its checkpoint lies in the owner's database.
pub const CONSUMER: &str = "sagas";

/// A service's sagas. Clones share them.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    log: Log,
    outbox: Outbox,
    workflows: Registry,
    /// The reply types of all definitions ever registered here.
    reply_types: &'static [&'static str],
    clock: Arc<dyn Clock>,
    waiters: Arc<Waiters>,
    alarm: Arc<Alarm>,
    metrics: Metrics,
    /// The definitions whose open sagas were counted, those of other versions among them.
    counted: Mutex<BTreeSet<String>>,
}

/// What may be chosen when an engine is opened.
#[derive(Clone)]
pub struct Options {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where this process counts what it does.
    pub metrics: Metrics,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(DatabaseClock),
            metrics: Metrics::default(),
        }
    }
}

/// A saga about to start.
#[derive(Clone, Debug)]
pub struct NewSaga {
    definition: &'static str,
    id: Uuid,
    data: Value,
    correlation_id: Option<Uuid>,
    traceparent: Option<String>,
    cause: Option<Recorded>,
}

impl NewSaga {
    /// A saga of the newest registered version of `definition`. `data` is all that its workflow
    /// will know about it.
    pub const fn new(definition: &'static str, id: Uuid, data: Value) -> Self {
        Self {
            definition,
            id,
            data,
            correlation_id: None,
            traceparent: None,
            cause: None,
        }
    }

    /// What the whole chain of causes goes back to; the saga's id unless told.
    #[must_use]
    pub const fn correlation(mut self, id: Uuid) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// The trace context of the work that starts it.
    #[must_use]
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// The event that starts it.
    #[must_use]
    pub fn caused_by(mut self, cause: &Recorded) -> Self {
        self.correlation_id = Some(cause.event.correlation_id);
        self.traceparent.clone_from(&cause.event.traceparent);
        self.cause = Some(cause.clone());
        self
    }
}

impl Engine {
    /// Opens the sagas in `database`: migrates its tables and registers the workflows. The
    /// database also needs [`event_store::outbox::migrations`].
    ///
    /// # Errors
    /// A faulty or doubly registered definition, or as the database says.
    pub async fn open(
        database: Database,
        log: Log,
        outbox: Outbox,
        workflows: Vec<Arc<dyn Workflow>>,
        options: Options,
    ) -> Result<Self, Error> {
        database.migrate(store::migrations()).await?;
        let workflows = Registry::new(workflows)?;
        let mut tx = database.begin().await?;
        let now = options.clock.now_within(&mut tx).await?;
        for workflow in workflows.by_key.values() {
            let types = workflow.reply_types();
            store::register_definition(&mut tx, workflow.definition(), types, now).await?;
        }
        tx.commit().await?;
        for (name, _) in workflows.by_key.keys() {
            options.metrics.begin(name);
        }
        let reply_types = replies::all_reply_types(&database).await?;
        let inner = Inner {
            database,
            log,
            outbox,
            workflows,
            reply_types,
            clock: options.clock,
            waiters: Arc::default(),
            alarm: Arc::default(),
            metrics: options.metrics,
            counted: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Starts a saga in the caller's transaction, together with whatever the caller changes there:
    /// its first local steps run now. Register a [`Engine::waiter`] before the commit.
    ///
    /// # Errors
    /// After any error roll back; nothing was started. [`Error::Workflow`] when a first local step
    /// failed, as it may for a known id whose effects are there already; else, for a known id,
    /// [`Error::AlreadyStarted`].
    pub async fn start(&self, tx: &mut Tx, new: NewSaga) -> Result<Saga, Error> {
        let id = new.id;
        let started = self.start_all(tx, vec![new]).await?;
        started.into_iter().next().ok_or(Error::NotFound(id))
    }

    /// As [`Engine::start`], for several sagas that begin together or not at all, with hardly more
    /// statements than for one.
    ///
    /// # Errors
    /// As [`Engine::start`], of the first that cannot be started.
    pub async fn start_all(&self, tx: &mut Tx, news: Vec<NewSaga>) -> Result<Vec<Saga>, Error> {
        let inner = &self.inner;
        let now = inner.clock.now_within(tx).await?;
        let mut overrides: BTreeMap<&str, Policy> = BTreeMap::new();
        let mut sagas = Vec::with_capacity(news.len());
        for new in news {
            let workflow = inner.workflows.newest(new.definition)?;
            let name = workflow.definition().name();
            if !overrides.contains_key(name) {
                overrides.insert(name, store::overrides(tx, name).await?);
            }
            let mut saga = begun(new, workflow.definition(), &overrides[name], now);
            let steering = Steering::starting();
            inner
                .move_saga(tx, &mut saga, workflow.as_ref(), steering, Input::Start)
                .await?;
            sagas.push(saga);
        }
        inner.write(tx, &mut sagas).await?;
        Ok(sagas)
    }

    /// Reads a saga.
    ///
    /// # Errors
    /// [`Error::NotFound`], or as the database says.
    pub async fn load(&self, id: Uuid) -> Result<Saga, Error> {
        store::load(&self.inner.database, id)
            .await?
            .ok_or(Error::NotFound(id))
    }

    /// The consumer of all replies: add it to the service's consumers.
    pub fn handler(&self) -> Replies {
        Replies::new(Arc::clone(&self.inner))
    }

    /// Fires deadlines, repeats attempts, resumes sagas whose definition is there again, erases what
    /// [`Engine::erase`] left for later and wakes waiters, until the shutdown. Any number of replicas may run it.
    ///
    /// `replies` tells how far the consumer of [`Engine::handler`] is in this process
    /// (`consumers.progress(sagas::CONSUMER)`): a deadline fires only after it has read what lies
    /// in the log. Without it deadlines fire without that look.
    pub async fn run(&self, replies: Option<Progress>, shutdown: Shutdown) {
        let inner = &self.inner;
        tokio::join!(
            waiters::follow(inner, &shutdown),
            timers::run(inner, replies.as_ref(), &shutdown),
            recovery::run(inner, &shutdown),
            census::run(inner, &shutdown),
        );
    }

    /// Counts the sagas that have not ended, for the metrics, as [`Engine::run`] does by itself.
    ///
    /// # Errors
    /// As the database says.
    pub async fn count_open(&self) -> Result<(), Error> {
        self.inner.count_open().await
    }

    /// What this process counts about sagas.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// `/ops/sagas`, to be nested into the service's operator routes.
    pub fn ops(&self) -> axum::Router {
        crate::ops::router(self.clone())
    }

    pub(crate) fn database(&self) -> &Database {
        &self.inner.database
    }
}

/// A saga that has not moved yet.
fn begun(new: NewSaga, definition: &Definition, overrides: &Policy, now: Timestamp) -> Saga {
    let mut saga = Saga {
        id: new.id,
        definition: definition.name().to_owned(),
        definition_version: definition.version(),
        version: 0,
        correlation_id: new.correlation_id.unwrap_or(new.id),
        traceparent: new.traceparent,
        data: new.data,
        state: State::new(definition, overrides),
        created_at: now,
        updated_at: now,
        ended_at: None,
        moment: crate::saga::Moment::default(),
        unwritten: None,
    };
    saga.moment.cause = new.cause;
    saga
}

/// The workflows by name and version, in an order that is the same in every process.
struct Registry {
    by_key: BTreeMap<(String, u32), Arc<dyn Workflow>>,
}

impl Registry {
    fn new(workflows: Vec<Arc<dyn Workflow>>) -> Result<Self, Error> {
        let mut by_key = BTreeMap::new();
        for workflow in workflows {
            let definition = workflow.definition();
            definition.check()?;
            let (name, version) = (definition.name(), definition.version());
            if by_key
                .insert((name.to_owned(), version), workflow)
                .is_some()
            {
                return Err(DefinitionFault::Twice(name, version).into());
            }
        }
        Ok(Self { by_key })
    }

    fn of(&self, saga: &Saga) -> Option<&Arc<dyn Workflow>> {
        self.by_key
            .get(&(saga.definition.clone(), saga.definition_version))
    }

    fn has(&self, name: &str, version: u32) -> bool {
        self.by_key.contains_key(&(name.to_owned(), version))
    }

    fn newest(&self, name: &str) -> Result<&Arc<dyn Workflow>, Error> {
        self.by_key
            .values()
            .filter(|workflow| workflow.definition().name() == name)
            .max_by_key(|workflow| workflow.definition().version())
            .ok_or_else(|| Error::NotRegistered {
                name: name.to_owned(),
                version: 0,
            })
    }
}
