//! A projection that writes each event it handled into a table, and fails on demand.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bus::Bus;
use chassis::Shutdown;
use contracts::Recorded;
use database::{Database, Sql, Tx, params};
use event_store::{
    Consumers, Handler, HandlerError, Kind, Log,
    consumer::{ConsumerOptions, Fault, Order, Rewound, State},
};
use std::time::Duration;
use testkit::Backend;
use tokio::task::JoinHandle;

use crate::fixture::{service, soon};

pub(crate) const NAME: &str = "journal";

/// What is raised with each event that was written.
pub(crate) const WRITTEN: &str = "journal written";

/// What the handler does with the events of a stream.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Fails(Fault),
    Panics,
}

#[derive(Clone)]
pub(crate) struct Journal {
    pub(crate) kind: Kind,
    pub(crate) order: Order,
    pub(crate) types: &'static [&'static str],
    moods: Arc<Mutex<HashMap<String, (Mood, u32)>>>,
    pub(crate) batches: Arc<Mutex<Vec<usize>>>,
    /// Whether it can be taken back to a position.
    pub(crate) rewinds: bool,
    /// How often it was emptied.
    pub(crate) resets: Arc<AtomicUsize>,
    /// How often it was called for an event, whatever came of it.
    pub(crate) calls: Arc<AtomicUsize>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            kind: Kind::Projection,
            order: Order::ByStream,
            types: &[],
            moods: Arc::default(),
            batches: Arc::default(),
            rewinds: true,
            resets: Arc::default(),
            calls: Arc::default(),
        }
    }

    /// The next `times` events of the stream meet this mood.
    pub(crate) fn mood(&self, stream: &str, mood: Mood, times: u32) {
        self.moods
            .lock()
            .unwrap()
            .insert(stream.to_owned(), (mood, times));
    }

    pub(crate) fn cheer_up(&self) {
        self.moods.lock().unwrap().clear();
    }

    fn mood_of(&self, stream: &str) -> Option<Mood> {
        let mut moods = self.moods.lock().unwrap();
        let (mood, times) = moods.get_mut(stream)?;
        *times = times.checked_sub(1)?;
        Some(*mood)
    }
}

#[async_trait]
impl Handler for Journal {
    fn name(&self) -> &'static str {
        NAME
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn types(&self) -> &'static [&'static str] {
        self.types
    }
    fn order(&self) -> Order {
        self.order
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        // Before the mood, so that a roll-back that did not happen would show.
        tx.execute(
            "INSERT INTO journal (position, stream, version) VALUES ($1, $2, $3)",
            params![event.position, &event.event.stream, event.event.version],
        )
        .await?;
        tx.signal(WRITTEN);
        match self.mood_of(&event.event.stream) {
            None => Ok(()),
            Some(Mood::Fails(Fault::Transient)) => Err(HandlerError::transient("not now")),
            Some(Mood::Fails(Fault::Unclear)) => Err(HandlerError::unclear("who knows")),
            Some(Mood::Fails(Fault::Poison)) => Err(HandlerError::poison("bad event")),
            Some(Mood::Panics) => panic!("a bug"),
        }
    }

    async fn handle_batch(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        self.batches.lock().unwrap().push(events.len());
        for event in events {
            self.handle(tx, event).await?;
        }
        Ok(())
    }

    async fn reset(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        self.resets.fetch_add(1, Ordering::SeqCst);
        tx.execute("DELETE FROM journal", params![]).await?;
        Ok(())
    }

    async fn rewind(&self, tx: &mut Tx, position: i64) -> Result<Rewound, HandlerError> {
        if !self.rewinds {
            return Ok(Rewound::Unsupported);
        }
        let sql = "DELETE FROM journal WHERE position > $1";
        tx.execute(sql, params![position]).await?;
        Ok(Rewound::Done)
    }

    fn signals(&self) -> &'static [&'static str] {
        &[WRITTEN]
    }
}

/// The service's database, with the journal's table. A position that is handled twice violates
/// the primary key only within one order, so the table has none: doubles are seen.
pub(crate) async fn journal_database(backend: &Backend) -> Database {
    let database = service(backend).await;
    create_journal(&database).await;
    database
}

/// Each row with its place in the order in which they were written: PostgreSQL's own addresses follow
/// it only while one connection writes.
pub(crate) async fn create_journal(database: &Database) {
    let sql = Sql::by_dialect(
        "CREATE TABLE journal (place BIGINT GENERATED ALWAYS AS IDENTITY, position BIGINT,
                               stream TEXT, version BIGINT)",
        "CREATE TABLE journal (place INTEGER PRIMARY KEY, position BIGINT, stream TEXT,
                               version BIGINT)",
    );
    database.execute(sql, params![]).await.expect("a table");
}

/// Quick repeats, so that tests of them are quick.
pub(crate) fn options() -> ConsumerOptions {
    ConsumerOptions {
        backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(10),
        ..ConsumerOptions::default()
    }
}

pub(crate) struct Running {
    pub(crate) consumers: Consumers,
    pub(crate) stop: Shutdown,
    task: JoinHandle<()>,
}

pub(crate) fn start(
    database: &Database,
    log: &Log,
    journal: &Journal,
    bus: Option<Arc<dyn Bus>>,
) -> Running {
    start_with(database, log, journal, bus, options())
}

pub(crate) fn start_with(
    database: &Database,
    log: &Log,
    journal: &Journal,
    bus: Option<Arc<dyn Bus>>,
    options: ConsumerOptions,
) -> Running {
    start_split(database, log, journal, 1, bus, options)
}

/// In so many parts.
pub(crate) fn start_split(
    database: &Database,
    log: &Log,
    journal: &Journal,
    parts: u8,
    bus: Option<Arc<dyn Bus>>,
    options: ConsumerOptions,
) -> Running {
    let consumers = Consumers::new(database.clone(), log.clone())
        .with_options(options)
        .add_split(journal.clone(), parts);
    let stop = Shutdown::new();
    let running = consumers.clone();
    let end = stop.clone();
    let task = tokio::spawn(async move { running.run(bus, end).await });
    Running {
        consumers,
        stop,
        task,
    }
}

impl Running {
    pub(crate) async fn at(&self, position: i64) {
        soon(self.consumers.caught_up_to(position)).await;
    }

    pub(crate) async fn is(&self, state: State) {
        let progress = self.consumers.progress(NAME).expect("a consumer");
        soon(progress.until_state(|now| *now == state)).await;
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn abort(self) {
        self.task.abort();
    }

    pub(crate) async fn stop(self) {
        self.stop.trigger();
        soon(self.task).await.expect("the consumers end");
    }
}

/// Positions in the order in which they were handled.
pub(crate) async fn handled(database: &Database) -> Vec<i64> {
    let sql = "SELECT position FROM journal ORDER BY place";
    let rows: Vec<(i64,)> = database.fetch_all(sql, params![]).await.expect("rows");
    rows.into_iter().map(|(position,)| position).collect()
}

pub(crate) async fn checkpoint(database: &Database) -> i64 {
    let sql = "SELECT position FROM consumer_checkpoints WHERE consumer = $1";
    database
        .fetch_one::<(i64,)>(sql, params![NAME])
        .await
        .expect("a checkpoint")
        .0
}
