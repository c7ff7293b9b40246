//! Players whose stats begin again.

use contracts::events::UserStatsReset;
use serde_json::{Value, json};
use testkit::Backend;
use uuid::Uuid;

use crate::app::{App, COMPLETES, TAKEN_BACK};

testkit::both_databases!(
    stats_begin_again_and_answers_stay_as_history,
    an_answer_that_was_undecided_at_the_reset_counts_no_more_however_it_ends,
    an_answer_that_the_log_has_after_the_reset_counts,
    an_answer_after_the_reset_that_is_taken_back_leaves_nothing,
);

async fn resets(app: &App, user_id: Uuid) {
    let reason = "asked for".to_owned();
    app.append(None, &UserStatsReset { user_id, reason }).await;
}

fn nothing() -> Value {
    json!({ "answered": 0, "correct": 0, "accuracy": 0.0, "streak": 0, "bestStreak": 0,
            "byMode": {} })
}

async fn stats_begin_again_and_answers_stay_as_history(backend: Backend) {
    let app = App::start(backend).await;
    let user_id = Uuid::now_v7();
    let mut first = Uuid::nil();
    for _ in 0..2 {
        first = app.answer(user_id).await;
        app.ends(&COMPLETES, first, user_id).await;
    }
    assert_eq!(app.stats(user_id).await["streak"], 2);
    resets(&app, user_id).await;
    app.caught_up().await;
    assert_eq!(app.stats(user_id).await, nothing());
    let (status, answer) = app.get(user_id, &format!("/api/answers/{first}")).await;
    assert_eq!((status, &answer["status"]), (200, &json!("completed")));

    let answer_id = app.answer(user_id).await;
    app.ends(&COMPLETES, answer_id, user_id).await;
    let stats = app.stats(user_id).await;
    assert_eq!(
        (&stats["answered"], &stats["streak"]),
        (&json!(1), &json!(1))
    );
    let (_, answer) = app.get(user_id, &format!("/api/answers/{answer_id}")).await;
    assert_eq!(
        (&answer["streak"], &answer["score"]),
        (&json!(1), &json!(10))
    );
    app.stop().await;
}

async fn an_answer_that_was_undecided_at_the_reset_counts_no_more_however_it_ends(
    backend: Backend,
) {
    let app = App::start(backend).await;
    for life in [&COMPLETES[..], &TAKEN_BACK[..]] {
        let user_id = Uuid::now_v7();
        let before = app.answer(user_id).await;
        app.ends(&COMPLETES, before, user_id).await;
        let answer_id = app.answer(user_id).await;
        app.logged("answer.submitted", answer_id, 1).await;
        resets(&app, user_id).await;
        app.caught_up().await;
        assert_eq!(app.stats(user_id).await, nothing());
        app.ends(life, answer_id, user_id).await;
        assert_eq!(app.stats(user_id).await, nothing());
        let next = app.answer(user_id).await;
        app.ends(&COMPLETES, next, user_id).await;
        assert_eq!(app.stats(user_id).await["answered"], 1);
    }
    app.stop().await;
}

async fn an_answer_that_the_log_has_after_the_reset_counts(backend: Backend) {
    let app = App::start(backend).await;
    let user_id = Uuid::now_v7();
    let before = app.answer(user_id).await;
    app.ends(&COMPLETES, before, user_id).await;
    // This service reads the reset when two more answers are there.
    app.accounts("pause").await;
    resets(&app, user_id).await;
    for _ in 0..2 {
        let answer_id = app.answer(user_id).await;
        for says in COMPLETES {
            app.append_reply(says, answer_id, user_id).await;
        }
        app.logged("answer_submission.completed", answer_id, 1)
            .await;
    }
    assert_eq!(app.stats(user_id).await["answered"], 3);
    app.accounts("resume").await;
    app.caught_up().await;
    let stats = app.stats(user_id).await;
    assert_eq!(
        (&stats["answered"], &stats["streak"]),
        (&json!(2), &json!(2))
    );
    app.stop().await;
}

async fn an_answer_after_the_reset_that_is_taken_back_leaves_nothing(backend: Backend) {
    let app = App::start(backend).await;
    let user_id = Uuid::now_v7();
    let before = app.answer(user_id).await;
    app.ends(&COMPLETES, before, user_id).await;
    app.accounts("pause").await;
    resets(&app, user_id).await;
    let answer_id = app.answer(user_id).await;
    app.accounts("resume").await;
    app.caught_up().await;
    assert_eq!(app.stats(user_id).await["answered"], 1);
    app.ends(&TAKEN_BACK, answer_id, user_id).await;
    assert_eq!(app.stats(user_id).await, nothing());
    app.stop().await;
}
