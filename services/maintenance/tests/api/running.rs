//! A replica's runs by a clock that stands still: due times, overlap, missed times, timeouts,
//! rounds, and answers that come late.

use std::time::Duration;

use contracts::{
    Payload,
    events::{MaintenanceEnded, UserStatsReset},
};
use maintenance::runs::{Entry, WhenBusy};
use sagas::ManualClock;
use serde_json::{Value, json};
use testkit::Backend;
use uuid::Uuid;

use crate::{
    app::{MINUTE, at, job},
    replica::{Replica, Told},
};

testkit::both_databases!(
    a_due_time_is_one_run_however_often_one_looks,
    a_new_service_does_not_catch_up_with_the_past,
    a_run_ends_when_all_services_have_done_their_part,
    services_are_asked_again_while_one_has_more,
    one_service_that_fails_fails_the_run,
    a_due_time_is_skipped_while_the_last_run_runs,
    a_due_time_waits_for_the_last_run_where_the_rule_says_so,
    what_was_missed_is_run_once,
    what_was_missed_is_noted_where_the_rule_says_so,
    a_silent_service_lets_the_run_time_out_and_its_late_answer_changes_nothing,
    a_survey_finds_who_is_silent,
    a_reset_is_an_event,
    the_history_is_bounded,
    a_disabled_job_is_never_due,
);

const START: &str = "2026-06-01T12:00:30Z";
const JOB: &str = "retention";

fn every_minute(more: Value) -> (String, maintenance::config::JobSettings) {
    let mut settings = json!({
        "enabled": true, "schedule": "* * * * *", "participants": ["quiz", "leaderboard"],
    });
    maintenance::domain::add(&mut settings, more);
    job(JOB, settings)
}

async fn started(backend: &Backend, more: Value) -> (Replica, ManualClock) {
    let clock = ManualClock::at(at(START));
    let replica = Replica::start(backend, &clock, &[every_minute(more)]).await;
    (replica, clock)
}

async fn a_due_time_is_one_run_however_often_one_looks(backend: Backend) {
    let (replica, clock) = started(&backend, json!({})).await;
    replica.look().await;
    assert!(replica.history(JOB).await.is_empty(), "nothing is due yet");
    clock.advance(MINUTE);
    for _ in 0..3 {
        replica.look().await;
    }
    let runs = replica.history(JOB).await;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].scheduled_for, Some(at("2026-06-01T12:01:00Z")));
    assert_eq!(replica.asked().await, [(runs[0].id, 1)]);
}

async fn a_new_service_does_not_catch_up_with_the_past(backend: Backend) {
    let (replica, _clock) = started(&backend, json!({ "schedule": "0 0 * * *" })).await;
    replica.look().await;
    assert!(replica.history(JOB).await.is_empty());
}

async fn a_run_ends_when_all_services_have_done_their_part(backend: Backend) {
    let (replica, clock) = started(&backend, json!({})).await;
    clock.advance(MINUTE);
    replica.look().await;
    let run = replica.history(JOB).await[0].id;
    replica
        .reply(run, "quiz", 1, Told::did(json!({ "removed": 3 })))
        .await;
    assert_eq!(replica.outcomes(JOB).await, ["running"]);
    // A stranger's answer and a repeat count for nothing.
    replica
        .reply(run, "auth", 1, Told::did(json!({ "removed": 9 })))
        .await;
    replica
        .reply(run, "quiz", 1, Told::did(json!({ "removed": 3 })))
        .await;
    assert_eq!(replica.outcomes(JOB).await, ["running"]);
    replica
        .reply(run, "leaderboard", 1, Told::did(json!({ "removed": 4 })))
        .await;
    let runs = replica.history(JOB).await;
    assert_eq!(replica.outcomes(JOB).await, ["completed"]);
    let expected = json!({ "services": {
        "leaderboard": { "removed": 4 }, "quiz": { "removed": 3 },
    } });
    assert_eq!(runs[0].detail.0, expected);
    let ended = replica.emitted(MaintenanceEnded::TYPE).await;
    assert_eq!(ended.len(), 1);
    let ended: MaintenanceEnded = ended[0].payload().expect("a payload");
    assert_eq!((ended.run_id, ended.outcome.as_str()), (run, "completed"));
    assert_eq!(ended.detail, expected);
}

async fn services_are_asked_again_while_one_has_more(backend: Backend) {
    let (replica, clock) = started(&backend, json!({})).await;
    clock.advance(MINUTE);
    replica.look().await;
    let run = replica.history(JOB).await[0].id;
    replica
        .reply(run, "leaderboard", 1, Told::did(json!({ "removed": 1 })))
        .await;
    for round in 1..=3 {
        let told = Told {
            more: round < 3,
            ..Told::did(json!({ "removed": 100 }))
        };
        replica.reply(run, "quiz", round, told).await;
    }
    // Who had done its part is not waited for in later rounds.
    assert_eq!(replica.asked().await, [(run, 1), (run, 2), (run, 3)]);
    let runs = replica.history(JOB).await;
    assert_eq!(replica.outcomes(JOB).await, ["completed"]);
    assert_eq!(runs[0].detail.0["services"]["quiz"]["removed"], 300);
}

async fn one_service_that_fails_fails_the_run(backend: Backend) {
    let (replica, clock) = started(&backend, json!({})).await;
    clock.advance(MINUTE);
    replica.look().await;
    let run = replica.history(JOB).await[0].id;
    let told = Told {
        error: Some("upside down".to_owned()),
        ..Told::did(json!({}))
    };
    replica.reply(run, "quiz", 1, told).await;
    let told = Told {
        more: true,
        ..Told::did(json!({ "removed": 7 }))
    };
    replica.reply(run, "leaderboard", 1, told).await;
    let runs = replica.history(JOB).await;
    assert_eq!(replica.outcomes(JOB).await, ["failed"]);
    assert_eq!(runs[0].error.as_deref(), Some("quiz: upside down"));
    assert_eq!(runs[0].detail.0["services"]["leaderboard"]["removed"], 7);
}

async fn a_due_time_is_skipped_while_the_last_run_runs(backend: Backend) {
    let (replica, clock) = started(&backend, json!({})).await;
    for _ in 0..3 {
        clock.advance(MINUTE);
        replica.look().await;
    }
    assert_eq!(
        replica.outcomes(JOB).await,
        ["running", "skipped", "skipped"]
    );
    let runs = replica.history(JOB).await;
    assert_eq!(runs[1].detail.0, json!({ "running": runs[0].id }));
    let refused = replica.ask(JOB, json!({}), WhenBusy::Refuse).await;
    assert!(
        matches!(refused, Entry::Busy(id) if id == runs[0].id),
        "{refused:?}"
    );
    assert_eq!(replica.asked().await.len(), 1);
}

async fn a_due_time_waits_for_the_last_run_where_the_rule_says_so(backend: Backend) {
    let (replica, clock) = started(&backend, json!({ "overlap": "queue" })).await;
    for _ in 0..3 {
        clock.advance(MINUTE);
        replica.look().await;
    }
    // One waits; the due time after it is covered by it.
    assert_eq!(
        replica.outcomes(JOB).await,
        ["running", "queued", "skipped"]
    );
    let runs = replica.history(JOB).await;
    let joined = replica.ask(JOB, json!({}), WhenBusy::Queue).await;
    assert!(
        matches!(&joined, Entry::Run(run) if run.id == runs[1].id),
        "{joined:?}"
    );
    let other = replica
        .ask(JOB, json!({ "days": 1 }), WhenBusy::Queue)
        .await;
    assert!(
        matches!(other, Entry::Busy(id) if id == runs[1].id),
        "{other:?}"
    );
    for service in ["quiz", "leaderboard"] {
        replica
            .reply(runs[0].id, service, 1, Told::did(json!({})))
            .await;
    }
    assert_eq!(
        replica.outcomes(JOB).await,
        ["completed", "running", "skipped"]
    );
    assert_eq!(replica.asked().await, [(runs[0].id, 1), (runs[1].id, 1)]);
}

async fn what_was_missed_is_run_once(backend: Backend) {
    let (replica, clock) = started(&backend, json!({ "schedule": "0 * * * *" })).await;
    clock.advance(Duration::from_secs(5 * 60 * 60 + 600));
    replica.look().await;
    replica.look().await;
    let runs = replica.history(JOB).await;
    assert_eq!(runs.len(), 1);
    let run = runs[0].clone().body();
    assert_eq!(json!(run.trigger), "missed");
    assert_eq!(run.scheduled_for.as_deref(), Some("2026-06-01T17:00:00Z"));
    assert_eq!(replica.outcomes(JOB).await, ["running"]);
}

async fn what_was_missed_is_noted_where_the_rule_says_so(backend: Backend) {
    let rule = json!({ "schedule": "0 * * * *", "missed": "skip" });
    let (replica, clock) = started(&backend, rule).await;
    clock.advance(Duration::from_secs(5 * 60 * 60 + 600));
    replica.look().await;
    assert_eq!(replica.outcomes(JOB).await, ["skipped"]);
    assert_eq!(
        replica.history(JOB).await[0].detail.0,
        json!({ "missed": 5 })
    );
    // The next due time is on time again.
    clock.advance(Duration::from_secs(49 * 60 + 40));
    replica.look().await;
    assert_eq!(replica.outcomes(JOB).await, ["skipped", "running"]);
}

async fn a_silent_service_lets_the_run_time_out_and_its_late_answer_changes_nothing(
    backend: Backend,
) {
    let rule = json!({ "schedule": "0 * * * *", "timeout": "5m" });
    let (replica, clock) = started(&backend, rule).await;
    clock.advance_to(at("2026-06-01T13:00:00Z"));
    replica.look().await;
    let run = replica.history(JOB).await[0].id;
    replica
        .reply(run, "quiz", 1, Told::did(json!({ "removed": 3 })))
        .await;
    clock.advance(Duration::from_secs(5 * 60 - 1));
    replica.look().await;
    assert_eq!(replica.outcomes(JOB).await, ["running"]);
    clock.advance(Duration::from_secs(1));
    replica.look().await;
    let ended = replica.history(JOB).await;
    assert_eq!(replica.outcomes(JOB).await, ["timed_out"]);
    assert_eq!(ended[0].error.as_deref(), Some("no answer of leaderboard"));
    assert_eq!(
        ended[0].detail.0["services"],
        json!({ "quiz": { "removed": 3 } })
    );

    replica
        .reply(run, "leaderboard", 1, Told::did(json!({ "removed": 9 })))
        .await;
    let after = replica.history(JOB).await;
    assert_eq!(after[0].late_replies, 1);
    assert_eq!(after[0].detail, ended[0].detail);
    assert_eq!(replica.outcomes(JOB).await, ["timed_out"]);
    assert_eq!(replica.emitted(MaintenanceEnded::TYPE).await.len(), 1);
}

async fn a_survey_finds_who_is_silent(backend: Backend) {
    let clock = ManualClock::at(at(START));
    let settings = json!({ "enabled": true, "schedule": "* * * * *", "timeout": "30s",
        "participants": ["auth", "quiz"] });
    let replica = Replica::start(&backend, &clock, &[job("health", settings)]).await;
    clock.advance(Duration::from_secs(30));
    replica.look().await;
    let run = replica.history("health").await[0].id;
    let report = json!({ "consumers": [], "outbox": { "unsent": 0, "refusedStreams": 2 } });
    replica.reply(run, "quiz", 1, Told::did(report)).await;
    clock.advance(Duration::from_secs(29));
    replica.look().await;
    assert_eq!(replica.outcomes("health").await, ["running"]);
    clock.advance(Duration::from_secs(1));
    replica.look().await;
    let runs = replica.history("health").await;
    assert_eq!(replica.outcomes("health").await[0], "completed");
    let findings: Vec<(String, String)> = runs[0].detail.0["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|found| (found["service"].to_string(), found["kind"].to_string()))
        .collect();
    let expected = [
        ("\"auth\"", "\"silent\""),
        ("\"quiz\"", "\"outbox_refused\""),
    ];
    assert_eq!(
        findings,
        expected.map(|(one, two)| (one.to_owned(), two.to_owned()))
    );
}

async fn a_reset_is_an_event(backend: Backend) {
    let clock = ManualClock::at(at(START));
    let replica = Replica::start(&backend, &clock, &[]).await;
    let user = Uuid::now_v7();
    let parameters = json!({ "userId": user, "reason": "asked for it" });
    let entry = replica
        .ask("stats-reset", parameters, WhenBusy::Queue)
        .await;
    let Entry::Run(run) = entry else {
        panic!("{entry:?}")
    };
    assert!(run.is_over());
    assert_eq!(replica.outcomes("stats-reset").await, ["completed"]);
    let events = replica.emitted(UserStatsReset::TYPE).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].stream, format!("maintenance-{}", run.id));
    let reset: UserStatsReset = events[0].payload().expect("a payload");
    assert_eq!(
        (reset.user_id, reset.reason.as_str()),
        (user, "asked for it")
    );
}

async fn the_history_is_bounded(backend: Backend) {
    let clock = ManualClock::at(at(START));
    let replica = Replica::start(&backend, &clock, &[]).await;
    let user = json!({ "userId": Uuid::nil(), "reason": "test" });
    for _ in 0..3 {
        replica
            .ask("stats-reset", user.clone(), WhenBusy::Queue)
            .await;
        clock.advance(Duration::from_secs(24 * 60 * 60));
    }
    replica
        .runs
        .forget(Duration::from_secs(2 * 24 * 60 * 60))
        .await
        .expect("pruned");
    assert_eq!(replica.history("stats-reset").await.len(), 2);
    clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    replica
        .runs
        .forget(Duration::from_secs(2 * 24 * 60 * 60))
        .await
        .expect("pruned");
    assert_eq!(
        replica.history("stats-reset").await.len(),
        1,
        "the newest stays"
    );
}

async fn a_disabled_job_is_never_due(backend: Backend) {
    let (replica, clock) = started(&backend, json!({ "enabled": false })).await;
    clock.advance(Duration::from_secs(24 * 60 * 60));
    replica.look().await;
    assert!(replica.history(JOB).await.is_empty());
    // It can still be asked for.
    let entry = replica.ask(JOB, json!({}), WhenBusy::Refuse).await;
    assert!(matches!(entry, Entry::Run(_)), "{entry:?}");
}
