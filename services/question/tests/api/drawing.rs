//! Random questions: nobody who is known gets one twice before all came.

use std::collections::BTreeSet;

use contracts::{Event, Payload, events::UserDeleted};
use event_store::{Append, Expected};
use serde_json::json;
use testkit::{Backend, eventually};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    app::{App, PATIENCE},
    created, id,
};

testkit::both_databases!(
    a_player_gets_every_question_once_before_any_comes_again,
    draws_at_once_never_give_one_player_the_same,
    each_filter_has_a_round_of_its_own_and_so_has_each_player,
    what_is_deleted_is_not_drawn_and_what_is_new_belongs_to_the_round,
    whoever_left_is_forgotten_and_draws_no_more,
    old_draws_are_forgotten_by_the_duty,
);

const USER: Uuid = Uuid::from_u128(0x7000);

async fn filled(backend: Backend, questions: u128) -> App {
    let app = App::start(backend).await;
    let ids: Vec<Uuid> = (1..=questions).map(id).collect();
    for id in &ids {
        app.append(*id, 1, &created(*id, "rust", "What is a borrow?"))
            .await;
    }
    app.shows(&ids).await;
    app
}

async fn rows(app: &App) -> i64 {
    let database = app.database().await;
    let (rows,): (i64,) = database
        .fetch_one("SELECT COUNT(*) FROM draws", Vec::new())
        .await
        .expect("a count");
    database.close().await;
    rows
}

async fn a_player_gets_every_question_once_before_any_comes_again(backend: Backend) {
    let app = filled(backend, 5).await;
    let token = app.token(USER);
    let mut last = None;
    for round in 0..4 {
        let mut seen = BTreeSet::new();
        for _ in 0..5 {
            let drawn = app.drawn("", &token).await;
            assert!(seen.insert(drawn), "twice in round {round}");
            assert_ne!(Some(drawn), last, "twice in a row");
            last = Some(drawn);
        }
    }
    let (status, problem) = app.draw("", Some("no token")).await;
    assert_eq!((status, &problem["code"]), (401, &json!("unauthenticated")));
}

async fn draws_at_once_never_give_one_player_the_same(backend: Backend) {
    let app = filled(backend, 20).await;
    let other = app.beside().await;
    let token = app.token(USER);
    let mut draws = Vec::new();
    for _ in 0..10 {
        draws.push(app.drawn("category=rust", &token));
        draws.push(other.drawn("category=rust", &token));
    }
    let drawn = futures::future::join_all(draws).await;
    let distinct: BTreeSet<Uuid> = drawn.iter().copied().collect();
    assert_eq!(distinct.len(), 20, "{drawn:?}");
}

async fn each_filter_has_a_round_of_its_own_and_so_has_each_player(backend: Backend) {
    let app = filled(backend, 2).await;
    let (ada, eve) = (app.token(USER), app.token(Uuid::from_u128(0x7001)));
    let both = BTreeSet::from([id(1), id(2)]);
    for (query, token) in [
        ("", &ada),
        ("category=rust", &ada),
        ("difficulty=easy", &ada),
        ("", &eve),
    ] {
        let drawn = [app.drawn(query, token).await, app.drawn(query, token).await];
        assert_eq!(BTreeSet::from(drawn), both, "{query}");
    }
    assert_eq!(rows(&app).await, 4);
    let (status, problem) = app.draw("tag=none", Some(&ada)).await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("question_not_found"))
    );
    assert_eq!(rows(&app).await, 4, "an empty pool leaves nothing behind");
}

async fn what_is_deleted_is_not_drawn_and_what_is_new_belongs_to_the_round(backend: Backend) {
    let app = filled(backend, 3).await;
    let token = app.token(USER);
    let first = app.drawn("", &token).await;
    let rest: Vec<Uuid> = (1..=3).map(id).filter(|id| *id != first).collect();
    let gone = contracts::events::QuestionDeleted {
        question_id: rest[0],
        version: 2,
    };
    app.append(rest[0], 2, &gone).await;
    app.append(id(4), 1, &created(id(4), "rust", "What is a trait?"))
        .await;
    app.shows(&[first, rest[1], id(4)]).await;
    let drawn = [app.drawn("", &token).await, app.drawn("", &token).await];
    assert_eq!(BTreeSet::from(drawn), BTreeSet::from([rest[1], id(4)]));
}

async fn tell<P: Payload>(app: &App, stream: String, payload: &P) {
    let id = Uuid::now_v7();
    let event = Event {
        id,
        event_type: P::TYPE.to_owned(),
        aggregate_id: stream.clone(),
        stream,
        version: 1,
        schema_version: P::SCHEMA_VERSION,
        payload: serde_json::to_value(payload).expect("JSON"),
        timestamp: OffsetDateTime::now_utc(),
        correlation_id: id,
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: "auth".to_owned(),
        traceparent: None,
    };
    let append = Append {
        event,
        expected: Expected::Any,
    };
    app.log.append(vec![append]).await.expect("an append");
}

async fn whoever_left_is_forgotten_and_draws_no_more(backend: Backend) {
    let app = filled(backend, 3).await;
    let (leaves, stays) = (app.token(USER), app.token(Uuid::from_u128(0x7001)));
    app.drawn("", &leaves).await;
    app.drawn("", &stays).await;
    tell(&app, format!("user-{USER}"), &UserDeleted { user_id: USER }).await;
    eventually(PATIENCE, || async { rows(&app).await == 1 }).await;
    let (status, problem) = app.draw("", Some(&leaves)).await;
    assert_eq!((status, &problem["code"]), (401, &json!("account_deleted")));
    app.drawn("", &stays).await;
    assert_eq!(rows(&app).await, 1);
}

async fn old_draws_are_forgotten_by_the_duty(backend: Backend) {
    let app = filled(backend, 3).await;
    for user in 0..3 {
        app.drawn("", &app.token(Uuid::from_u128(0x7000 + user)))
            .await;
    }
    let database = app.database().await;
    let old = database.now().await.expect("a time") - std::time::Duration::from_secs(31 * 86_400);
    database
        .execute(
            "UPDATE draws SET drawn_at = $1 WHERE user_id <> $2",
            database::params![old, USER],
        )
        .await
        .expect("an update");
    database.close().await;
    let asked = contracts::events::MaintenanceAsked {
        run_id: Uuid::now_v7(),
        job: "retention".to_owned(),
        round: 1,
        parameters: json!({}),
    };
    tell(&app, format!("maintenance-{}", asked.run_id), &asked).await;
    eventually(PATIENCE, || async { rows(&app).await == 1 }).await;
    let done = eventually(PATIENCE, || async {
        let done = app.logged(contracts::events::MaintenanceDone::TYPE).await;
        done.into_iter().next()
    })
    .await;
    assert_eq!(done.event.payload["detail"], json!({ "draws": 2 }));
}
