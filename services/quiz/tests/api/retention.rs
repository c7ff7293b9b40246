//! What the maintenance job `retention` removes.

use std::time::Duration;

use contracts::events::MaintenanceAsked;
use database::params;
use serde_json::{Value, json};
use testkit::{Backend, eventually};
use uuid::Uuid;

use crate::app::{App, COMPLETES, PATIENCE};

testkit::both_databases!(
    old_sagas_and_expired_keys_are_removed_and_answers_stay,
    what_came_late_of_a_user_who_left_is_removed,
);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Asks for a portion; what was done.
async fn portion(app: &App, round: i64) -> Value {
    let run_id = Uuid::now_v7();
    let ask = MaintenanceAsked {
        run_id,
        job: "retention".to_owned(),
        round,
        parameters: Value::Null,
    };
    app.append(None, &ask).await;
    eventually(PATIENCE, || app.done(run_id)).await
}

async fn old_sagas_and_expired_keys_are_removed_and_answers_stay(backend: Backend) {
    let app = App::start(backend).await;
    let user_id = Uuid::now_v7();
    let (old, young) = (app.answer(user_id).await, Uuid::now_v7());
    app.ends(&COMPLETES, old, user_id).await;
    let open = app.answer(young).await;
    let database = app.database().await;
    let long_ago = database.now().await.expect("a time") - 31 * DAY;
    database
        .execute(
            "UPDATE sagas SET ended_at = $1 WHERE ended_at IS NOT NULL",
            params![long_ago],
        )
        .await
        .expect("aged");
    database
        .execute(
            "UPDATE idempotency_keys SET expires_at = $1",
            params![long_ago],
        )
        .await
        .expect("aged");
    let done = portion(&app, 1).await;
    assert_eq!(done["detail"], json!({ "idempotencyKeys": 2, "sagas": 1 }));
    assert_eq!(done["more"], false);
    let again = portion(&app, 2).await;
    assert_eq!(again["detail"], json!({ "idempotencyKeys": 0, "sagas": 0 }));
    let (status, answer) = app.get(user_id, &format!("/api/answers/{old}")).await;
    assert_eq!((status, &answer["status"]), (200, &json!("completed")));
    app.ends(&COMPLETES, open, young).await;
    assert_eq!(
        app.stats(young).await["answered"],
        1,
        "what runs is left alone"
    );
    app.stop().await;
}

async fn what_came_late_of_a_user_who_left_is_removed(backend: Backend) {
    let app = App::start(backend).await;
    let user_id = Uuid::now_v7();
    let answer_id = app.answer(user_id).await;
    app.ends(&COMPLETES, answer_id, user_id).await;
    // As a replica leaves it that did not know yet.
    let database = app.database().await;
    let mut tx = database.begin().await.expect("a transaction");
    service::departed::note(&mut tx, user_id)
        .await
        .expect("noted");
    tx.commit().await.expect("committed");
    portion(&app, 1).await;
    let text = app.written().await.to_lowercase();
    assert!(
        !text.contains(&user_id.to_string()) && !text.contains(&user_id.simple().to_string()),
        "{text}"
    );
    app.stop().await;
}
