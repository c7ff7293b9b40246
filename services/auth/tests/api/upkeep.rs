//! What the service does when maintenance runs.

use contracts::{
    Payload,
    events::{MaintenanceAsked, MaintenanceDone},
};
use database::params;
use event_store::{NewEvent, Outbox, ReadQuery};
use serde_json::{Value, json};
use testkit::{Backend, eventually};
use uuid::Uuid;

use crate::app::{App, PATIENCE};

testkit::both_databases!(
    guests_who_stayed_away_are_deleted_in_portions,
    whoever_came_back_or_became_a_user_stays,
    what_is_expired_is_taken_away,
    nonsense_parameters_fail_the_run,
);

/// Has a job asked of the service, and returns what it answers. Any database may hold the ask's
/// outbox; here it is the service's own, whose relay brings it to the log.
async fn ask(app: &App, job: &str, parameters: Value) -> MaintenanceDone {
    let run_id = Uuid::now_v7();
    let asked = MaintenanceAsked {
        run_id,
        job: job.to_owned(),
        round: 1,
        parameters,
    };
    let db = app.database().await;
    let mut tx = db.begin().await.expect("a transaction");
    let event = NewEvent::of(&asked)
        .stream(format!("maintenance-{run_id}"))
        .aggregate(run_id);
    Outbox::new("maintenance")
        .enqueue(&mut tx, event)
        .await
        .expect("written");
    tx.commit().await.expect("committed");
    eventually(PATIENCE, || async {
        let stream = ReadQuery::after(0).stream(format!("maintenance-auth-{run_id}"));
        let events = app.log.read(&stream).await.ok()?;
        let done = events
            .iter()
            .find(|event| event.event.event_type == MaintenanceDone::TYPE)?;
        done.event.payload::<MaintenanceDone>().ok()
    })
    .await
}

/// Moves the guests' last visits into the past.
async fn age_guests(app: &App, days: i64) {
    let db = app.database().await;
    let long_ago = db.now().await.expect("a time")
        - std::time::Duration::from_secs(u64::try_from(days * 86_400).expect("days"));
    db.execute(
        "UPDATE users SET guest_seen_at = $1 WHERE guest_seen_at IS NOT NULL",
        params![long_ago],
    )
    .await
    .expect("updated");
}

async fn guests_who_stayed_away_are_deleted_in_portions(backend: Backend) {
    let app = App::start(backend).await;
    let user = app.registered("ada").await;
    let mut guests = Vec::new();
    for _ in 0..101 {
        guests.push(app.guest().await);
    }
    let none = ask(&app, "guest-cleanup", json!({})).await;
    assert_eq!((none.more, &none.detail), (false, &json!({ "guests": 0 })));
    age_guests(&app, 31).await;
    let first = ask(&app, "guest-cleanup", json!({})).await;
    assert_eq!(
        (first.more, &first.detail),
        (true, &json!({ "guests": 100 })),
        "{first:?}"
    );
    let second = ask(&app, "guest-cleanup", json!({})).await;
    assert_eq!(
        (second.more, &second.detail),
        (false, &json!({ "guests": 1 }))
    );
    let events = app.events_of(&guests[0].text("/user/id"), 3).await;
    assert_eq!(events.last().map(String::as_str), Some("user.deleted"));
    let gone = app
        .get("/api/auth/profile", Some(&guests[7].text("/accessToken")))
        .await;
    assert_eq!(gone.problem(), (401, "account_deleted", ""));
    assert_eq!(app.refresh(&user.text("/refreshToken")).await.status, 200);
}

async fn whoever_came_back_or_became_a_user_stays(backend: Backend) {
    let app = App::start(backend).await;
    let (back, user, away) = (app.guest().await, app.guest().await, app.guest().await);
    age_guests(&app, 20).await;
    assert_eq!(app.refresh(&back.text("/refreshToken")).await.status, 200);
    let upgrade =
        json!({ "email": "ada@example.org", "password": "correct horse", "displayName": "Ada" });
    let token = user.text("/accessToken");
    assert_eq!(
        app.post("/api/auth/upgrade", Some(&token), upgrade)
            .await
            .status,
        200
    );
    let parameters = json!({ "olderThanSeconds": 86_400 });
    let done = ask(&app, "guest-cleanup", parameters).await;
    assert_eq!(done.detail, json!({ "guests": 1 }));
    let profile = async |session: &crate::app::Reply| {
        app.get("/api/auth/profile", Some(&session.text("/accessToken")))
            .await
            .status
    };
    assert_eq!(
        (
            profile(&back).await,
            profile(&user).await,
            profile(&away).await
        ),
        (200, 200, 401)
    );
}

async fn what_is_expired_is_taken_away(backend: Backend) {
    let app = App::start(backend).await;
    app.registered("ada").await;
    app.login("ada", "wrong horse").await;
    app.post(
        "/api/auth/password/forgot",
        None,
        json!({ "email": "ada@example.org" }),
    )
    .await;
    let nothing = ask(&app, "expired-tokens", json!({})).await;
    assert_eq!(nothing.error, None);
    assert_eq!(nothing.detail["refreshTokens"], 0);
    let db = app.database().await;
    let long_ago = db.now().await.expect("a time") - std::time::Duration::from_secs(10 * 86_400);
    for sql in [
        "UPDATE refresh_tokens SET expires_at = $1",
        "UPDATE attempts SET expires_at = $1",
        "UPDATE mails SET created_at = $1",
    ] {
        db.execute(sql, params![long_ago]).await.expect("updated");
    }
    let done = ask(&app, "expired-tokens", json!({})).await;
    assert_eq!(done.detail["refreshTokens"], 1, "{done:?}");
    assert_eq!(done.detail["mails"], 1, "given up: nobody sent it");
    assert!(done.detail["attempts"].as_i64() >= Some(3), "{done:?}");
    assert!(!done.more);
    let mails = app.get("/ops/mails", None).await;
    assert_eq!(mails.body["items"][0]["state"], "failed");
}

async fn nonsense_parameters_fail_the_run(backend: Backend) {
    let app = App::start(backend).await;
    let guest = app.guest().await;
    for parameters in [
        json!({ "olderThanSeconds": -1 }),
        json!({ "olderThanSeconds": 3_599 }),
        json!({ "olderThanSeconds": "all" }),
    ] {
        let done = ask(&app, "guest-cleanup", parameters).await;
        let error = done.error.expect("it failed");
        assert!(error.contains("olderThanSeconds"), "{error}");
    }
    let token = guest.text("/accessToken");
    assert_eq!(app.get("/api/auth/profile", Some(&token)).await.status, 200);
}
