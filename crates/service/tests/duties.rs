//! Duties of a whole service: what is told of them, and what stays of a failure.

use std::time::Duration;

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
    _folder: testkit::TempDir,
    _backend: Backend,
}

impl Running {
    async fn start(backend: Backend) -> Self {
        let folder = testkit::temp_dir();
        let url = format!("sqlite:{}", folder.path().join("log.db").display());
        let log = Log::open(&url, LogOptions::default()).await.expect("a log");
        let shutdown = Shutdown::new();
        let plan = Plan {
            name: "sample",
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
            _folder: folder,
            _backend: backend,
        }
    }

    async fn ask(&self, job: &str, round: i64, parameters: Value, at: OffsetDateTime) {
        let payload = MaintenanceAsked {
            run_id: Uuid::nil(),
            job: job.to_owned(),
            round,
            parameters,
        };
        let id = Uuid::now_v7();
        let event = Event {
            id,
            event_type: MaintenanceAsked::TYPE.to_owned(),
            stream: "maintenance-run".to_owned(),
            aggregate_id: String::new(),
            version: round,
            schema_version: 1,
            payload: serde_json::to_value(payload).expect("JSON"),
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
    running
        .ask("health", 1, json!({}), OffsetDateTime::now_utc())
        .await;
    let told = running.told().await;
    assert_eq!((told.error, told.more), (None, false));
    assert_eq!(told.detail["outbox"]["unsent"], 0);
    assert_eq!(told.detail["outbox"]["refusedStreams"], 0);
    assert!(told.detail["consumers"].is_array(), "{}", told.detail);
    running.stop().await;
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
