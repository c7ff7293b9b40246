//! Duties of a whole service: what is told of them, and what stays of a failure.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::Router;
use chassis::Shutdown;
use contracts::{
    Event, Payload,
    events::{MaintenanceAsked, MaintenanceDone},
};
use database::{Database, Options, Tx, params};
use event_store::{Append, Expected, HandlerError, Log, LogOptions, ReadQuery};
use serde_json::{Value, json};
use service::{
    Frame, Plan, Shared,
    duties::{Ask, Duty, Portion},
};
use testkit::{Backend, eventually};
use time::OffsetDateTime;
use uuid::Uuid;

testkit::both_databases!(
    a_portion_is_told_with_what_it_did,
    a_failure_is_told_and_takes_back_what_the_duty_did,
    a_statement_that_the_database_refuses_is_a_failure_like_any_other,
    a_panic_is_told,
    every_service_tells_its_health,
    each_service_answers_an_ask_with_an_event_of_its_own,
    an_ask_of_last_year_is_nobodys,
);

/// A start takes some migrations; a machine that is busy with other tests takes longer for them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts up in a table of its own, then does as its parameters say.
struct Counting;

#[async_trait]
impl Duty for Counting {
    fn job(&self) -> &'static str {
        "counting"
    }

    async fn perform(&self, tx: &mut Tx, ask: &Ask) -> Result<Portion, HandlerError> {
        tx.execute("INSERT INTO counted (n) VALUES ($1)", params![ask.round])
            .await?;
        match ask.parameters["then"].as_str() {
            Some("refuse") => Err(HandlerError::poison("the table is upside down")),
            Some("break") => {
                tx.execute("INSERT INTO no_such_table (n) VALUES (1)", params![])
                    .await?;
                Ok(nothing())
            }
            Some("panic") => panic!("upside down"),
            _ => Ok(Portion {
                more: ask.round < 3,
                detail: json!({ "counted": 1 }),
            }),
        }
    }
}

fn nothing() -> Portion {
    Portion {
        more: false,
        detail: json!({}),
    }
}

struct Running {
    log: Log,
    database: Database,
    shutdown: Shutdown,
    service: tokio::task::JoinHandle<anyhow::Result<()>>,
    folder: Arc<testkit::TempDir>,
    _backend: Backend,
}

impl Running {
    async fn start(backend: Backend) -> Self {
        let folder = Arc::new(testkit::temp_dir());
        let url = format!("sqlite:{}", folder.path().join("log.db").display());
        let log = Log::open(&url, LogOptions::default()).await.expect("a log");
        Self::beside("sample", backend, folder, log).await
    }

    /// A service of this name over a log that others share.
    async fn beside(
        name: &'static str,
        backend: Backend,
        folder: Arc<testkit::TempDir>,
        log: Log,
    ) -> Self {
        let shutdown = Shutdown::new();
        let plan = Plan {
            name,
            about: "A sample.",
            listen: ([127, 0, 0, 1], 0).into(),
            database: &backend.url,
            ops_token: None,
            migrations: Vec::new(),
        };
        let shared = Shared {
            log: log.clone(),
            bus: None,
        };
        let mut frame = Frame::open(plan, shared, shutdown.clone())
            .await
            .expect("a frame");
        let database = backend.open(Options::default()).await;
        database
            .execute("CREATE TABLE counted (n BIGINT NOT NULL)", params![])
            .await
            .expect("a table");
        frame.duty(Counting);
        let service = tokio::spawn(frame.serve(Router::new(), Router::new()));
        Self {
            log,
            database,
            shutdown,
            service,
            folder,
            _backend: backend,
        }
    }

    async fn ask(&self, job: &str, round: i64, parameters: Value, at: OffsetDateTime) {
        let asked = MaintenanceAsked {
            run_id: Uuid::nil(),
            job: job.to_owned(),
            round,
            parameters,
        };
        let payload = serde_json::to_value(asked).expect("JSON");
        self.append(round, payload, at).await;
    }

    async fn append(&self, version: i64, payload: Value, at: OffsetDateTime) {
        let id = Uuid::now_v7();
        let event = Event {
            id,
            event_type: MaintenanceAsked::TYPE.to_owned(),
            stream: "maintenance-run".to_owned(),
            aggregate_id: String::new(),
            version,
            schema_version: 1,
            payload,
            timestamp: at,
            correlation_id: id,
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: "maintenance".to_owned(),
            traceparent: None,
        };
        let append = Append {
            event,
            expected: Expected::Any,
        };
        self.log.append(vec![append]).await.expect("an append");
    }

    async fn told(&self) -> MaintenanceDone {
        let query = ReadQuery::newest().types([MaintenanceDone::TYPE]);
        let recorded = eventually(PATIENCE, || async {
            self.log
                .read(&query)
                .await
                .map(|events| events.into_iter().next())
        })
        .await;
        recorded.event.payload().expect("a payload")
    }

    async fn counted(&self) -> i64 {
        let (count,): (i64,) = self
            .database
            .fetch_one("SELECT COUNT(*) FROM counted", params![])
            .await
            .expect("a count");
        count
    }

    async fn stop(self) {
        self.shutdown.trigger();
        self.service.await.expect("no panic").expect("a clean end");
    }
}

async fn told_of(backend: Backend, parameters: Value) -> (MaintenanceDone, i64) {
    let running = Running::start(backend).await;
    running
        .ask("counting", 1, parameters, OffsetDateTime::now_utc())
        .await;
    let told = running.told().await;
    let counted = running.counted().await;
    running.stop().await;
    (told, counted)
}

async fn a_portion_is_told_with_what_it_did(backend: Backend) {
    let (told, counted) = told_of(backend, json!({})).await;
    assert_eq!(
        (told.service.as_str(), told.round, told.more),
        ("sample", 1, true)
    );
    assert_eq!((told.detail, told.error), (json!({ "counted": 1 }), None));
    assert_eq!(counted, 1);
}

async fn a_failure_is_told_and_takes_back_what_the_duty_did(backend: Backend) {
    let (told, counted) = told_of(backend, json!({ "then": "refuse" })).await;
    assert_eq!(told.error.as_deref(), Some("the table is upside down"));
    assert_eq!((told.more, counted), (false, 0));
}

async fn a_statement_that_the_database_refuses_is_a_failure_like_any_other(backend: Backend) {
    let (told, counted) = told_of(backend, json!({ "then": "break" })).await;
    let error = told.error.expect("an error");
    assert!(error.contains("no_such_table"), "{error}");
    assert_eq!(counted, 0);
}

async fn a_panic_is_told(backend: Backend) {
    let (told, counted) = told_of(backend, json!({ "then": "panic" })).await;
    assert_eq!(told.error.as_deref(), Some("the duty panicked"));
    assert_eq!(counted, 0);
}

async fn every_service_tells_its_health(backend: Backend) {
    let running = Running::start(backend).await;
    // An ask that cannot be read is set aside; the next one tells of it.
    let now = OffsetDateTime::now_utc();
    running.append(1, json!({ "job": 7 }), now).await;
    running.ask("health", 2, json!({}), now).await;
    let told = running.told().await;
    assert_eq!((told.error, told.more), (None, false));
    assert_eq!(told.detail["outbox"]["unsent"], 0);
    assert_eq!(told.detail["outbox"]["refusedStreams"], 0);
    let consumers = told.detail["consumers"].as_array().expect("a list");
    let duties = consumers
        .iter()
        .find(|one| one["name"] == "maintenance-duties");
    let duties = duties.expect("the consumer that tells it");
    assert_eq!(
        (&duties["parked"], &duties["state"]),
        (&json!(1), &json!("running"))
    );
    running.stop().await;
}

async fn each_service_answers_an_ask_with_an_event_of_its_own(backend: Backend) {
    let one = Running::start(backend).await;
    let (folder, log) = (Arc::clone(&one.folder), one.log.clone());
    let other = Running::beside("another", Backend::sqlite(), folder, log).await;
    one.ask("health", 1, json!({}), OffsetDateTime::now_utc())
        .await;
    let query = ReadQuery::after(0).types([MaintenanceDone::TYPE]);
    let answers = eventually(PATIENCE, || async {
        let answers = one.log.read(&query).await.expect("events");
        (answers.len() == 2).then_some(answers)
    })
    .await;
    let ids: BTreeSet<Uuid> = answers.iter().map(|answer| answer.event.id).collect();
    let services = answers
        .iter()
        .map(|answer| answer.event.service_id.as_str());
    assert_eq!(ids.len(), 2);
    assert_eq!(
        services.collect::<BTreeSet<_>>(),
        ["another", "sample"].into()
    );
    one.stop().await;
    other.stop().await;
}

async fn an_ask_of_last_year_is_nobodys(backend: Backend) {
    let running = Running::start(backend).await;
    let long_ago = OffsetDateTime::now_utc() - time::Duration::days(365);
    running.ask("counting", 1, json!({}), long_ago).await;
    running
        .ask("health", 2, json!({}), OffsetDateTime::now_utc())
        .await;
    // The later ask's answer tells that the earlier one was passed.
    assert_eq!(running.told().await.job, "health");
    assert_eq!(running.counted().await, 0);
    running.stop().await;
}
