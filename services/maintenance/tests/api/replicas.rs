//! Two replicas on one database: one due time, one run, whoever dies.

use std::sync::Arc;

use contracts::{
    Payload,
    events::{MaintenanceAsked, MaintenanceEnded, UserDeleted},
};
use database::{Options, params};
use event_store::Log;
use futures::future::join;
use maintenance::{
    archive::{Archive, Watch},
    store,
    work::{Outcome, Worker},
};
use sagas::ManualClock;
use serde_json::json;
use testkit::{Backend, CommitFaults, eventually};
use uuid::Uuid;

use crate::{
    app::{App, MINUTE, PATIENCE, append, at, event, job, log_in},
    replica::{Replica, Told},
};

testkit::both_databases!(
    two_replicas_that_look_at_once_make_one_run_of_each_due_time,
    a_replica_that_dies_at_any_commit_leaves_one_run_to_the_other,
    work_is_taken_over_when_the_lease_is_over_and_ended_once,
    two_whole_services_run_each_due_time_once,
    a_run_in_the_middle_goes_on_after_a_restart,
    events_start_runs_and_many_of_them_one_more,
);

const START: &str = "2026-06-01T12:00:30Z";
const JOB: &str = "expired-tokens";

fn every_minute() -> (String, maintenance::config::JobSettings) {
    job(JOB, json!({ "enabled": true, "schedule": "* * * * *" }))
}

async fn two_replicas_that_look_at_once_make_one_run_of_each_due_time(backend: Backend) {
    let clock = ManualClock::at(at(START));
    let one = Replica::start(&backend, &clock, &[every_minute()]).await;
    let two = Replica::start(&backend, &clock, &[every_minute()]).await;
    for minute in 1..=30 {
        clock.advance(MINUTE);
        join(one.look(), two.look()).await;
        let runs = one.history(JOB).await;
        assert_eq!(runs.len(), minute);
        let run = runs.last().expect("a run").id;
        // Both replicas get the answer; the consumer's checkpoint would let only one of them.
        one.reply(run, "auth", 1, Told::did(json!({ "removed": 1 })))
            .await;
        two.reply(run, "auth", 1, Told::did(json!({ "removed": 1 })))
            .await;
    }
    assert_eq!(one.asked().await.len(), 30);
    assert_eq!(one.emitted(MaintenanceEnded::TYPE).await.len(), 30);
    assert!(
        one.outcomes(JOB)
            .await
            .iter()
            .all(|status| status == "completed")
    );
}

async fn a_replica_that_dies_at_any_commit_leaves_one_run_to_the_other(backend: Backend) {
    let clock = ManualClock::at(at(START));
    let faults = CommitFaults::new();
    let options = Options {
        commit_hook: Some(faults.clone()),
        ..Options::default()
    };
    let mortal = Replica::start_with(&backend, &clock, &[every_minute()], options).await;
    let other = Replica::start(&backend, &clock, &[every_minute()]).await;
    for (minute, is_after) in [(1, false), (2, true)] {
        clock.advance(MINUTE);
        if is_after {
            faults.die_after(1);
        } else {
            faults.die_before(1);
        }
        assert!(mortal.runs.look().await.is_err());
        assert!(faults.is_dead());
        other.look().await;
        let runs = other.history(JOB).await;
        assert_eq!(runs.len(), minute);
        let run = runs.last().expect("a run").id;
        other.reply(run, "auth", 1, Told::did(json!({}))).await;
        faults.revive();
        mortal.look().await;
        assert_eq!(other.outcomes(JOB).await.len(), minute);
    }
    assert_eq!(other.asked().await.len(), 2);
}

fn worker(replica: &Replica, log: &Log, folder: &std::path::Path) -> Worker {
    let archive = Archive::new(folder.join("archive"), 10, 2, Watch::default());
    Worker::new(replica.runs.clone(), log.clone(), archive, None)
}

async fn work_is_taken_over_when_the_lease_is_over_and_ended_once(backend: Backend) {
    let clock = ManualClock::at(at(START));
    let settings = [job(
        "log-archive",
        json!({ "enabled": true, "schedule": "* * * * *" }),
    )];
    let one = Replica::start(&backend, &clock, &settings).await;
    let two = Replica::start(&backend, &clock, &settings).await;
    let folder = testkit::temp_dir();
    let log = log_in(&folder).await;
    let (first, second) = (
        worker(&one, &log, folder.path()),
        worker(&two, &log, folder.path()),
    );
    clock.advance(MINUTE);
    join(one.look(), two.look()).await;
    let stopped = first.claim().await.expect("a claim").expect("a run");
    assert!(
        second.claim().await.expect("a claim").is_none(),
        "it is held"
    );
    // The first one stands still for longer than its lease.
    clock.advance(MINUTE / 2);
    let taken = second
        .claim()
        .await
        .expect("a claim")
        .expect("the same run");
    let end = chassis::Shutdown::new();
    let (outcome, late) = (
        second.perform(taken, &end).await.expect("an outcome"),
        first.perform(stopped, &end).await.expect("an outcome"),
    );
    assert_eq!((outcome, late), (Outcome::Ended, Outcome::Lost));
    assert_eq!(one.outcomes("log-archive").await, ["completed"]);
    assert_eq!(one.emitted(MaintenanceEnded::TYPE).await.len(), 1);

    // One that is told to stop gives its run back at once.
    clock.advance(MINUTE);
    one.look().await;
    let claimed = first.claim().await.expect("a claim").expect("a run");
    let stopping = chassis::Shutdown::new();
    stopping.trigger();
    let outcome = first.perform(claimed, &stopping).await.expect("an outcome");
    if outcome == Outcome::GivenBack {
        let taken = second.claim().await.expect("a claim").expect("the run");
        assert_eq!(
            second.perform(taken, &end).await.expect("an outcome"),
            Outcome::Ended
        );
    }
    assert_eq!(
        one.outcomes("log-archive").await,
        ["completed", "completed"]
    );
}

async fn two_whole_services_run_each_due_time_once(backend: Backend) {
    let clock = ManualClock::at(at(START));
    let settings = [job(
        "health",
        json!({ "enabled": true, "schedule": "* * * * *", "participants": ["maintenance"] }),
    )];
    let one = App::start(&backend, &settings, |config| {
        config.clock = Arc::new(clock.clone());
    })
    .await;
    let two = App::beside(
        &backend,
        one.folder.clone(),
        one.log.clone(),
        &settings,
        |config| {
            config.clock = Arc::new(clock.clone());
        },
    )
    .await;
    for minute in 1..=8 {
        clock.advance(MINUTE);
        eventually(PATIENCE, || async {
            let page = one.read("/api/admin/maintenance/health/runs").await;
            let items = page["items"].as_array().expect("items");
            items.len() == minute && items.iter().all(|run| run["status"] == "completed")
        })
        .await;
    }
    eventually(PATIENCE, || async {
        one.logged::<MaintenanceEnded>().await.len() == 8
    })
    .await;
    let asked = one.logged::<MaintenanceAsked>().await;
    assert_eq!(asked.len(), 8);
    let page = two.read("/api/admin/maintenance/health/runs").await;
    let mut due: Vec<String> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|run| run["scheduledFor"].to_string())
        .collect();
    due.sort_unstable();
    due.dedup();
    assert_eq!(due.len(), 8);
    one.stop().await;
    two.stop().await;
}

async fn a_run_in_the_middle_goes_on_after_a_restart(backend: Backend) {
    let clock = ManualClock::at(at(START));
    let settings = [every_minute()];
    let app = App::start(&backend, &settings, |config| {
        config.clock = Arc::new(clock.clone());
    })
    .await;
    clock.advance(MINUTE);
    eventually(PATIENCE, || async {
        app.logged::<MaintenanceAsked>().await.len() == 1
    })
    .await;
    let asked = app.logged::<MaintenanceAsked>().await.remove(0);
    let (folder, log) = (app.folder.clone(), app.log.clone());
    app.kill().await;
    let app = App::beside(&backend, folder, log, &settings, |config| {
        config.clock = Arc::new(clock.clone());
    })
    .await;
    let done = contracts::events::MaintenanceDone {
        run_id: asked.run_id,
        job: asked.job,
        round: 1,
        service: "auth".to_owned(),
        more: false,
        detail: json!({ "removed": 5 }),
        error: None,
    };
    let done = event(contracts::events::MaintenanceDone::TYPE, &done);
    append(&app.log, vec![done]).await;
    let path = format!("/api/admin/maintenance/runs/{}", asked.run_id);
    let run = eventually(PATIENCE, || async {
        let run = app.read(&path).await;
        (run["status"] == "completed").then_some(run)
    })
    .await;
    assert_eq!(run["detail"]["services"]["auth"]["removed"], 5);
    app.stop().await;
}

async fn events_start_runs_and_many_of_them_one_more(backend: Backend) {
    let settings = [job(JOB, json!({ "enabled": true, "on": ["user.deleted"] }))];
    let app = App::start(&backend, &settings, |_| {}).await;
    let deleted = || {
        event(
            UserDeleted::TYPE,
            &UserDeleted {
                user_id: Uuid::now_v7(),
            },
        )
    };
    append(&app.log, vec![deleted(), deleted(), deleted()]).await;
    let statuses = || async {
        let page = app.read("/api/admin/maintenance/expired-tokens/runs").await;
        let items = page["items"].as_array().expect("items").clone();
        let text = |run: &serde_json::Value| run["status"].as_str().unwrap_or_default().to_owned();
        items.iter().rev().map(text).collect::<Vec<_>>()
    };
    eventually(PATIENCE, || async { statuses().await.len() == 2 }).await;

    let requested = contracts::events::MaintenanceRequested {
        job: "stats-reset".to_owned(),
        actor: "support".to_owned(),
        reason: "asked for it".to_owned(),
        parameters: json!({ "userId": Uuid::nil() }),
    };
    let requested = event(contracts::events::MaintenanceRequested::TYPE, &requested);
    append(&app.log, vec![requested]).await;
    let page = eventually(PATIENCE, || async {
        let page = app.read("/api/admin/maintenance/stats-reset/runs").await;
        (page["items"][0]["status"] == "completed").then_some(page)
    })
    .await;
    assert_eq!(page["items"][0]["trigger"], "event");
    // Events are taken in order: the third was seen, and nothing is to be noted of it.
    assert_eq!(statuses().await, ["running", "queued"]);
    app.stop().await;

    // The reason is kept for the record.
    let db = backend.open(Options::default()).await;
    let rows: Vec<(Option<String>, Option<String>)> = db
        .fetch_all(
            "SELECT actor, reason FROM runs WHERE job = 'stats-reset'",
            params![],
        )
        .await
        .expect("rows");
    let expected = (Some("support".to_owned()), Some("asked for it".to_owned()));
    assert_eq!(rows, [expected]);
    assert!(
        store::runs::newest(&db, JOB, None)
            .await
            .expect("a run")
            .is_some()
    );
}
