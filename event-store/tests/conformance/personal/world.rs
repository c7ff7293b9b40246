//! A log with keys, a service that writes who came, and a consumer that notes their names in memory.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use chassis::Shutdown;
use contracts::{
    Event, Payload, Recorded,
    events::{Personal, UserCreated},
};
use database::{Database, Dialect, Tx, params};
use event_store::{
    Consumers, Handler, HandlerError, Kind, Log, LogOptions, MasterKeys, NewEvent, Outbox, outbox,
    relay::RelayOptions, snapshot::Aggregate,
};
use serde::{Deserialize, Serialize};
use testkit::{Backend, eventually};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    consumers::handler,
    fixture::{PATIENCE, another, service, soon},
};

/// What must be readable nowhere.
pub(super) const NAME: &str = "Grace Brewster Murray";

pub(super) fn masters(name: &str) -> MasterKeys {
    MasterKeys::parse(&MasterKeys::generate(name).unwrap()).unwrap()
}

pub(super) async fn open(place: &Backend, masters: Option<&MasterKeys>) -> Log {
    let options = LogOptions {
        personal: masters.cloned(),
        ..LogOptions::default()
    };
    Log::open(&place.url, options).await.unwrap()
}

pub(super) struct World {
    pub(super) log: Log,
    pub(super) place: Backend,
    pub(super) masters: MasterKeys,
    pub(super) database: Database,
    pub(super) outbox: Outbox,
    relay: Option<(JoinHandle<()>, Shutdown)>,
}

impl World {
    pub(super) async fn new(backend: &Backend) -> Self {
        let place = another(backend).await;
        let masters = masters("test");
        let log = open(&place, Some(&masters)).await;
        let database = service(backend).await;
        let outbox = Outbox::new("auth").sealing(&log);
        let mut world = Self {
            log,
            place,
            masters,
            database,
            outbox,
            relay: None,
        };
        world.start_relay();
        world
    }

    pub(super) fn start_relay(&mut self) {
        let (database, log) = (self.database.clone(), self.log.clone());
        let stop = Shutdown::new();
        let relay = outbox::run_relay(database, log, RelayOptions::new("auth"), stop.clone());
        self.relay = Some((tokio::spawn(relay), stop));
    }

    pub(super) async fn stop_relay(&mut self) {
        if let Some((task, stop)) = self.relay.take() {
            stop.trigger();
            soon(task).await.unwrap();
        }
    }

    pub(super) async fn write(&self, new: NewEvent) -> Event {
        let mut tx = self.database.begin().await.unwrap();
        let event = self.outbox.enqueue(&mut tx, new).await.unwrap();
        tx.commit().await.unwrap();
        event
    }

    /// A user comes; where the log has it.
    pub(super) async fn comes(&self, user: Uuid) -> i64 {
        let event = self.write(came(user)).await;
        self.in_the_log(event.id).await
    }

    pub(super) async fn in_the_log(&self, id: Uuid) -> i64 {
        let found = async || {
            let query = event_store::ReadQuery::after(0).id(id);
            self.log.read(&query).await.unwrap().pop()
        };
        eventually(PATIENCE, || async { found().await.is_some() }).await;
        found().await.unwrap().position
    }

    /// The name as a reader finds it at this position.
    pub(super) async fn read(&self, position: i64) -> Personal<String> {
        name_at(&self.log, position).await
    }
}

pub(super) async fn name_at(log: &Log, position: i64) -> Personal<String> {
    let query = event_store::ReadQuery::after(position - 1).limit(1);
    let opened = log.personal().open(log.read(&query).await.unwrap()).await;
    let event = opened.unwrap().remove(0).event;
    event.payload::<UserCreated>().unwrap().display_name
}

pub(super) fn came(user: Uuid) -> NewEvent {
    let payload = UserCreated {
        user_id: user,
        display_name: NAME.into(),
        roles: vec!["user".to_owned()],
    };
    NewEvent::of(&payload)
        .stream(format!("user-{user}"))
        .aggregate(user)
}

/// A position, and the name that the event there had.
type Seen = (i64, Personal<String>);

/// Notes what names it saw; fails while it is told to.
#[derive(Clone, Default)]
pub(super) struct Names {
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    pub(super) fails: Arc<AtomicBool>,
}

impl Names {
    pub(super) fn of(&self, position: i64) -> Option<Personal<String>> {
        let seen = self.seen.lock().unwrap();
        let mut found = seen.iter().filter(|(at, _)| *at == position);
        found.next_back().map(|(_, name)| name.clone())
    }
}

#[async_trait]
impl Handler for Names {
    fn name(&self) -> &'static str {
        "names"
    }
    fn kind(&self) -> Kind {
        Kind::Projection
    }
    fn types(&self) -> &'static [&'static str] {
        &[UserCreated::TYPE]
    }
    async fn handle(&self, _tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let created: UserCreated = recorded.event.payload()?;
        if self.fails.load(Ordering::SeqCst) {
            return Err(HandlerError::poison("told to"));
        }
        let seen = (recorded.position, created.display_name);
        self.seen.lock().unwrap().push(seen);
        Ok(())
    }
    async fn reset(&self, _tx: &mut Tx) -> Result<(), HandlerError> {
        self.seen.lock().unwrap().clear();
        Ok(())
    }
}

/// A running consumer of names.
pub(super) struct Reading {
    pub(super) consumers: Consumers,
    stop: Shutdown,
    task: JoinHandle<()>,
}

impl Reading {
    pub(super) fn start(database: &Database, log: &Log, names: &Names) -> Self {
        let consumers = Consumers::new(database.clone(), log.clone())
            .with_options(handler::options())
            .add(names.clone());
        let stop = Shutdown::new();
        let (running, end) = (consumers.clone(), stop.clone());
        let task = tokio::spawn(async move { running.run(None, end).await });
        Self {
            consumers,
            stop,
            task,
        }
    }

    pub(super) async fn at(&self, position: i64) {
        soon(self.consumers.caught_up_to(position)).await;
    }

    pub(super) async fn stop(self) {
        self.stop.trigger();
        soon(self.task).await.unwrap();
    }
}

/// A user as the own stream tells it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) name: Option<Personal<String>>,
    pub(super) events: i64,
}

impl Aggregate for Profile {
    const KIND: &'static str = "profile";
    const SCHEMA_VERSION: i64 = 1;
    const KEEP_EVERY: i64 = 1;

    fn apply(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.name = Some(event.payload::<UserCreated>()?.display_name);
        self.events += 1;
        Ok(())
    }
}

/// Whether this text is anywhere in a database: in any row of any table, and on SQLite in any byte of
/// its files.
pub(super) async fn holds(database: &Database, backend: &Backend, text: &str) -> bool {
    if database.dialect() == Dialect::Sqlite {
        let path = backend.url.trim_start_matches("sqlite:");
        return [String::new(), "-wal".to_owned()].iter().any(|ending| {
            let bytes = std::fs::read(format!("{path}{ending}")).unwrap_or_default();
            contains(&bytes, text)
        });
    }
    let sql = "SELECT table_name::TEXT FROM information_schema.tables
               WHERE table_schema = 'public' ORDER BY table_name";
    let tables: Vec<(String,)> = database.fetch_all(sql, params![]).await.unwrap();
    assert!(!tables.is_empty());
    for (table,) in tables {
        let sql: String = format!("SELECT t::TEXT FROM \"{table}\" AS t");
        let sql: &'static str = sql.leak();
        let rows: Vec<(String,)> = database.fetch_all(sql, params![]).await.unwrap();
        if rows.iter().any(|(row,)| row.contains(text)) {
            return true;
        }
    }
    false
}

pub(super) fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
