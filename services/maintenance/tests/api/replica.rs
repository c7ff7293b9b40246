//! A replica without a port, driven by hand.

use std::sync::Arc;

use contracts::{
    Event, Payload, Recorded,
    events::{MaintenanceAsked, MaintenanceDone},
};
use database::{Database, Json, Options, params};
use event_store::Outbox;
use maintenance::{
    config::JobSettings,
    domain::{Limits, Orders},
    metrics::Metrics,
    runs::{Entry, Runs, WhenBusy, Wish},
    store::{self, runs::Run},
};
use sagas::ManualClock;
use serde_json::{Value, json};
use testkit::Backend;
use uuid::Uuid;

use crate::app::{at, event, jobs};

/// One replica's runs, over a database that others may share.
pub(crate) struct Replica {
    pub(crate) runs: Runs,
    pub(crate) db: Database,
}

impl Replica {
    pub(crate) async fn start(
        backend: &Backend,
        clock: &ManualClock,
        settings: &[(String, JobSettings)],
    ) -> Self {
        Self::start_with(backend, clock, settings, Options::default()).await
    }

    pub(crate) async fn start_with(
        backend: &Backend,
        clock: &ManualClock,
        settings: &[(String, JobSettings)],
        options: Options,
    ) -> Self {
        let db = backend.open(options).await;
        for migrations in [event_store::outbox::migrations(), store::migrations()] {
            db.migrate(migrations).await.expect("tables");
        }
        let runs = Runs::new(
            db.clone(),
            Outbox::new("maintenance"),
            jobs(settings),
            Arc::new(clock.clone()),
            Limits::default(),
            Metrics::default(),
        );
        runs.ensure_jobs().await.expect("jobs");
        Self { runs, db }
    }

    pub(crate) async fn look(&self) {
        self.runs.look().await.expect("a look");
    }

    /// An administrator asks for a run.
    pub(crate) async fn ask(&self, job: &str, parameters: Value, when_busy: WhenBusy) -> Entry {
        let job = self.runs.jobs().get(job).expect("a job");
        let wish = Wish {
            id: Uuid::now_v7(),
            trigger: contracts::http::RunTrigger::Request,
            scheduled_for: None,
            orders: Orders {
                parameters,
                reason: None,
            },
            actor: None,
            request_key: None,
            when_busy,
        };
        self.runs.enter(job, &wish).await.expect("an entry")
    }

    /// A service answers a run's round.
    pub(crate) async fn reply(&self, run: Uuid, service: &str, round: i64, told: Told) {
        let done = MaintenanceDone {
            run_id: run,
            job: String::new(),
            round,
            service: service.to_owned(),
            more: told.more,
            detail: told.detail,
            error: told.error,
        };
        let recorded = recorded(MaintenanceDone::TYPE, &done);
        let mut tx = self.db.begin().await.expect("a transaction");
        self.runs.reply(&mut tx, &recorded).await.expect("taken");
        tx.commit().await.expect("a commit");
    }

    /// A job's history, oldest first.
    pub(crate) async fn history(&self, job: &str) -> Vec<Run> {
        let end = (at("9000-01-01T00:00:00Z"), Uuid::max());
        let mut runs = store::runs::page(&self.db, job, end, 1_000)
            .await
            .expect("runs");
        runs.reverse();
        runs
    }

    /// `status` and due time of a job's runs.
    pub(crate) async fn outcomes(&self, job: &str) -> Vec<String> {
        let runs = self.history(job).await;
        runs.into_iter()
            .map(|run| {
                let body = run.body();
                let status = json!(body.status);
                status.as_str().unwrap_or_default().to_owned()
            })
            .collect()
    }

    /// The events in the outbox of this type, in order.
    pub(crate) async fn emitted(&self, kind: &str) -> Vec<Event> {
        let rows: Vec<(Json<Event>,)> = self
            .db
            .fetch_all("SELECT event FROM outbox ORDER BY sequence", params![])
            .await
            .expect("events");
        rows.into_iter()
            .map(|(event,)| event.0)
            .filter(|event| event.event_type == kind)
            .collect()
    }

    /// Run and round of each ask.
    pub(crate) async fn asked(&self) -> Vec<(Uuid, i64)> {
        let events = self.emitted(MaintenanceAsked::TYPE).await;
        events
            .iter()
            .map(|event| event.payload::<MaintenanceAsked>().expect("a payload"))
            .map(|asked| (asked.run_id, asked.round))
            .collect()
    }
}

/// What a service says.
pub(crate) struct Told {
    pub(crate) more: bool,
    pub(crate) detail: Value,
    pub(crate) error: Option<String>,
}

impl Told {
    pub(crate) fn did(detail: Value) -> Self {
        Self {
            more: false,
            detail,
            error: None,
        }
    }
}

/// An event as a consumer gets it.
pub(crate) fn recorded(kind: &str, payload: &impl serde::Serialize) -> Recorded {
    Recorded {
        epoch: Uuid::nil(),
        position: 1,
        recorded_at: None,
        event: event(kind, payload),
    }
}
