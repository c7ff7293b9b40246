//! The daily report: what is counted, for which days, and where it is found.

use std::{sync::Arc, time::Duration};

use contracts::{
    Difficulty, Event, Payload, QuizMode,
    events::{
        AchievementUnlocked, AnswerSubmissionCompleted, AnswerSubmissionFailed, AnswerSubmitted,
        BadgeRef, QuestionDeleted, UserCreated, UserDeleted,
    },
};
use sagas::ManualClock;
use serde_json::json;
use testkit::{Backend, eventually};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::app::{App, PATIENCE, append, at, event, job};

testkit::both_databases!(
    a_day_is_reported_by_what_the_log_says_of_it,
    days_without_a_report_are_caught_up_with,
    counts_that_are_wrong_are_built_again_beside_and_swapped,
);

fn on(at: &str, payload: &impl Payload) -> Event {
    let mut event = event(name(payload), payload);
    event.timestamp = OffsetDateTime::parse(at, &Rfc3339).expect("a time");
    event
}

fn name<P: Payload>(_payload: &P) -> &'static str {
    P::TYPE
}

fn submitted(answer_id: Uuid, quiz_mode: QuizMode, is_correct: bool) -> AnswerSubmitted {
    AnswerSubmitted {
        answer_id,
        user_id: Uuid::nil(),
        display_name: "Ada".into(),
        question_id: Uuid::nil(),
        choice_id: "a".to_owned(),
        quiz_mode,
        category: "networking".to_owned(),
        difficulty: Difficulty::Easy,
        is_correct,
        points: 1,
        streak: 1,
    }
}

fn created(role: &str) -> UserCreated {
    UserCreated {
        user_id: Uuid::now_v7(),
        display_name: "Ada".into(),
        roles: vec![role.to_owned()],
    }
}

fn history() -> Vec<Event> {
    let (evening, midnight) = ("2026-06-01T23:59:59.9Z", "2026-06-02T00:00:00Z");
    let user_id = Uuid::nil();
    let [right, wrong, taken_back, late] = std::array::from_fn(|_| Uuid::now_v7());
    let completed = |answer_id| AnswerSubmissionCompleted { answer_id, user_id };
    vec![
        on(evening, &submitted(right, QuizMode::Classic, true)),
        on(evening, &completed(right)),
        on(evening, &submitted(wrong, QuizMode::Timed, false)),
        on(evening, &completed(wrong)),
        on(evening, &submitted(taken_back, QuizMode::Timed, true)),
        on(
            evening,
            &AnswerSubmissionFailed {
                answer_id: taken_back,
                user_id,
                reason: String::new(),
            },
        ),
        on(evening, &submitted(late, QuizMode::Survival, true)),
        on(midnight, &completed(late)),
        on(evening, &created("user")),
        on(evening, &created("guest")),
        on(evening, &created("guest")),
        on(evening, &UserDeleted { user_id }),
        on(
            evening,
            &AchievementUnlocked {
                answer_id: right,
                user_id,
                badge: BadgeRef {
                    id: "first".to_owned(),
                    name: "First".to_owned(),
                },
            },
        ),
        on(
            evening,
            &QuestionDeleted {
                question_id: user_id,
                version: 2,
            },
        ),
        on(midnight, &created("user")),
    ]
}

async fn a_day_is_reported_by_what_the_log_says_of_it(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    append(&app.log, history()).await;
    let body = r#"{"parameters":{"day":"2026-06-01"}}"#;
    let run = app
        .post("/api/admin/maintenance/daily-report", Some("admin"), body)
        .await;
    assert_eq!(
        (run.status, &run.body["status"]),
        (200, &json!("completed")),
        "{run:?}"
    );
    let report = app.read("/api/admin/maintenance/reports/2026-06-01").await;
    let answers = |submitted: i64, completed: i64, failed: i64, correct: i64| {
        json!({ "submitted": submitted, "completed": completed, "failed": failed,
            "correct": correct })
    };
    let expected = json!({
        "day": "2026-06-01",
        "answers": answers(4, 2, 1, 1),
        "byMode": {
            "classic": answers(1, 1, 0, 1),
            "timed": answers(2, 1, 1, 0),
            "survival": answers(1, 0, 0, 0),
        },
        "newUsers": 1, "newGuests": 2, "deletedUsers": 1,
        "badgesUnlocked": 1, "questionEdits": 1,
    });
    assert_eq!(report, expected);
    assert_eq!(run.body["detail"]["report"], expected);
    app.stop().await;
}

async fn days_without_a_report_are_caught_up_with(backend: Backend) {
    let clock = ManualClock::at(at("2026-06-01T23:00:00Z"));
    let settings = [job("daily-report", json!({ "enabled": true }))];
    let app = App::start(&backend, &settings, |config| {
        config.clock = Arc::new(clock.clone());
    })
    .await;
    append(&app.log, history()).await;
    let reports = |day: &'static str| {
        let app = &app;
        async move {
            let path = format!("/api/admin/maintenance/reports/{day}");
            app.get(&path, Some("admin")).await.status == 200
        }
    };
    clock.advance_to(at("2026-06-02T00:05:00Z"));
    eventually(PATIENCE, || reports("2026-06-01")).await;
    // Nobody ran for three nights: one run reports on all of them.
    clock.advance(Duration::from_secs(3 * 24 * 60 * 60 + 600));
    for day in ["2026-06-02", "2026-06-03", "2026-06-04"] {
        eventually(PATIENCE, || reports(day)).await;
    }
    let page = app.read("/api/admin/maintenance/daily-report/runs").await;
    let run = eventually(PATIENCE, || async {
        let page = app.read("/api/admin/maintenance/daily-report/runs").await;
        (page["items"][0]["status"] == "completed").then(|| page["items"][0].clone())
    })
    .await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&run["trigger"], &run["detail"]["days"]),
        (&json!("missed"), &json!(3))
    );
    let second = app.read("/api/admin/maintenance/reports/2026-06-02").await;
    assert_eq!(second["answers"]["completed"], 1);
    assert_eq!(second["byMode"]["survival"]["correct"], 1);
    app.stop().await;
}

async fn counts_that_are_wrong_are_built_again_beside_and_swapped(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    append(&app.log, history()).await;
    let body = r#"{"parameters":{"day":"2026-06-01"}}"#;
    let report = async || {
        let path = "/api/admin/maintenance/daily-report";
        let run = app.post(path, Some("admin"), body).await;
        assert_eq!(run.body["status"], "completed", "{run:?}");
        run.body["detail"]["report"].clone()
    };
    let right = report().await;
    assert_eq!(right["newGuests"], 2);
    let database = backend.open(database::Options::default()).await;
    let spoil = "UPDATE day_counts SET count = count + 5";
    database
        .execute(spoil, database::params![])
        .await
        .expect("spoilt");
    let wrong = report().await;
    assert_eq!(wrong["newGuests"], 7);
    let act = async |verb: &str| {
        let path = format!("/ops/consumers/daily-counts/{verb}");
        app.post(&path, None, "").await.status
    };
    assert_eq!(act("swap").await, 409, "there is nothing to swap");
    assert_eq!(act("rebuild").await, 200);
    assert_eq!(report().await, wrong, "what is in use is not touched");
    eventually(PATIENCE, || async {
        let list = app.read("/ops/consumers").await;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let second = items.iter().find(|one| one["name"] == "daily-counts@2");
        second.is_some_and(|second| second["lag"] == 0)
    })
    .await;
    assert_eq!(act("swap").await, 200);
    assert_eq!(report().await, right);
    assert_eq!(act("rebuild").await, 200);
    assert_eq!(act("abandon").await, 200);
    let sql = "SELECT COUNT(*) FROM day_counts_beside";
    let left: (i64,) = database
        .fetch_one(sql, database::params![])
        .await
        .expect("counted");
    assert_eq!(left.0, 0);
    app.stop().await;
}
