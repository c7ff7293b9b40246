//! What keeps a job's runs and its history within bounds: rounds, events by the thousand, a clock that
//! was wrong, keys of requests that wait.

use std::time::Duration;

use contracts::http::{RunStatus, RunTrigger};
use database::params;
use maintenance::{
    domain::Orders,
    runs::{Entry, WhenBusy, Wish},
};
use sagas::ManualClock;
use serde_json::json;
use testkit::Backend;
use uuid::Uuid;

use crate::{
    app::{MINUTE, at, job},
    replica::{Replica, Told},
};

testkit::both_databases!(
    a_service_that_never_comes_to_an_end_fails_the_run,
    a_clock_that_was_ahead_silences_no_job,
    events_that_a_waiting_run_covers_are_not_noted,
    a_request_with_a_key_joins_no_other_run,
    a_long_history_is_pruned_to_its_end,
);

const START: &str = "2026-06-01T12:00:30Z";
const JOB: &str = "retention";

async fn started(backend: &Backend) -> (Replica, ManualClock) {
    let clock = ManualClock::at(at(START));
    let settings = json!({
        "enabled": true, "schedule": "* * * * *", "participants": ["quiz", "leaderboard"],
    });
    let replica = Replica::start(backend, &clock, &[job(JOB, settings)]).await;
    (replica, clock)
}

async fn enter(replica: &Replica, trigger: RunTrigger, key: Option<&str>) -> Entry {
    let wish = Wish {
        id: Uuid::now_v7(),
        trigger,
        scheduled_for: None,
        orders: Orders {
            parameters: json!({}),
            reason: None,
        },
        actor: None,
        request_key: key.map(ToOwned::to_owned),
        when_busy: WhenBusy::Queue,
    };
    let job = replica.runs.jobs().get(JOB).expect("a job");
    replica.runs.enter(job, &wish).await.expect("an entry")
}

async fn a_service_that_never_comes_to_an_end_fails_the_run(backend: Backend) {
    let (replica, clock) = started(&backend).await;
    clock.advance(MINUTE);
    replica.look().await;
    let run = replica.history(JOB).await[0].id;
    for sql in [
        "UPDATE runs SET round = 1000",
        "UPDATE participants SET round = 999",
    ] {
        replica.db.execute(sql, params![]).await.expect("later");
    }
    let told = |more| Told {
        more,
        ..Told::did(json!({ "removed": 500 }))
    };
    replica.reply(run, "quiz", 1_000, told(true)).await;
    replica.reply(run, "leaderboard", 1_000, told(false)).await;
    assert_eq!(replica.outcomes(JOB).await, ["failed"]);
    let ended = &replica.history(JOB).await[0];
    let error = ended.error.as_deref();
    assert_eq!(error, Some("quiz has more to do after 1000 rounds"));
    let detail = &ended.detail.0["services"];
    assert_eq!(detail["quiz"], json!({ "removed": 500 }));
}

async fn a_clock_that_was_ahead_silences_no_job(backend: Backend) {
    let (replica, clock) = started(&backend).await;
    let ahead = at("2031-06-01T12:00:00Z");
    replica
        .db
        .execute("UPDATE jobs SET decided_until = $1", params![ahead])
        .await
        .expect("decided");
    replica.look().await;
    assert!(replica.history(JOB).await.is_empty(), "nothing is due yet");
    clock.advance(MINUTE);
    replica.look().await;
    let runs = replica.history(JOB).await;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].scheduled_for, Some(at("2026-06-01T12:01:00Z")));
}

async fn events_that_a_waiting_run_covers_are_not_noted(backend: Backend) {
    let (replica, _clock) = started(&backend).await;
    for _ in 0..5 {
        enter(&replica, RunTrigger::Event, None).await;
    }
    assert_eq!(replica.outcomes(JOB).await, ["running", "queued"]);
}

async fn a_request_with_a_key_joins_no_other_run(backend: Backend) {
    let (replica, _clock) = started(&backend).await;
    for _ in 0..2 {
        enter(&replica, RunTrigger::Request, None).await;
    }
    let runs = replica.history(JOB).await;
    assert_eq!(replica.outcomes(JOB).await, ["running", "queued"]);
    match enter(&replica, RunTrigger::Request, Some("key")).await {
        Entry::Busy(id) => assert_eq!(id, runs[1].id),
        other => panic!("{other:?}"),
    }
    // One without a key is content with the one that waits.
    match enter(&replica, RunTrigger::Request, None).await {
        Entry::Run(run) => assert_eq!(run.id, runs[1].id),
        other => panic!("{other:?}"),
    }
}

async fn a_long_history_is_pruned_to_its_end(backend: Backend) {
    let (replica, clock) = started(&backend).await;
    let mut tx = replica.db.begin().await.expect("a transaction");
    for _ in 0..2_100 {
        let new = maintenance::store::runs::NewRun {
            id: Uuid::now_v7(),
            job: JOB,
            trigger: RunTrigger::Event,
            status: RunStatus::Skipped,
            scheduled_for: None,
            parameters: &json!({}),
            actor: None,
            reason: None,
            request_key: None,
            detail: json!({}),
        };
        let noted = maintenance::store::runs::insert(&mut tx, &new, at(START)).await;
        assert!(noted.expect("noted"));
    }
    tx.commit().await.expect("a commit");
    clock.advance(Duration::from_secs(24 * 60 * 60));
    replica.runs.forget(MINUTE).await.expect("pruned");
    assert_eq!(replica.history(JOB).await.len(), 1);
}
