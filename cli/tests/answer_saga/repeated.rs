//! Idempotency keys, and answers of one player that meet.

use std::time::Duration;

use serde_json::json;

use crate::{
    on_both_databases,
    world::{Kind, Part, Setting, World, body},
};

on_both_databases!(
    the_same_key_gives_the_same_outcome_again,
    the_same_key_sent_at_once_records_one_answer,
    a_key_with_another_body_is_refused,
    a_compensated_key_answers_its_refusal_again,
    two_answers_of_one_player_follow_each_other,
    an_answer_that_waits_too_long_for_the_one_before_it_is_told_so,
);

const KEY: [(&str, &str); 1] = [("idempotency-key", "one")];

async fn the_same_key_gives_the_same_outcome_again(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let (ada, grace) = (world.player("Ada"), world.player("Grace"));
    let first = world.post(&ada, &body(0, "a"), &KEY).await;
    assert_eq!(first.status, 200);
    let again = world.post(&ada, &body(0, "a"), &KEY).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    // A key is its subject's own.
    let other = world.post(&grace, &body(0, "a"), &KEY).await;
    assert_ne!(other.body["id"], first.body["id"]);
    let books = world.books().await;
    books.agree();
    assert_eq!(books.answers.len(), 2);
}

async fn the_same_key_sent_at_once_records_one_answer(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let ada = world.player("Ada");
    let body = body(0, "a");
    let sends = (0..8).map(|_| world.post(&ada, &body, &KEY));
    let answers = futures::future::join_all(sends).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
    }
    let books = world.books().await;
    books.agree();
    assert_eq!(books.answers.len(), 1);
}

async fn a_key_with_another_body_is_refused(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let ada = world.player("Ada");
    assert_eq!(world.post(&ada, &body(0, "a"), &KEY).await.status, 200);
    let reused = world.post(&ada, &body(0, "b"), &KEY).await;
    assert_eq!(
        (reused.status, &reused.body["code"]),
        (422, &json!("idempotency_key_reused"))
    );
    assert_eq!(world.books().await.answers.len(), 1);
}

async fn a_compensated_key_answers_its_refusal_again(kind: Kind) {
    // Long enough for the last answer, which shall count, on a busy machine.
    let answer_deadline = Duration::from_secs(3);
    let world = World::start(Setting {
        answer_deadline,
        ..Setting::on(kind)
    })
    .await;
    let ada = world.player("Ada");
    world.pause(Part::Leaderboard).await;
    let first = world.post(&ada, &body(0, "a"), &KEY).await;
    assert_eq!(
        (first.status, &first.body["code"]),
        (503, &json!("answer_compensated"))
    );
    world.resume(Part::Leaderboard).await;
    let again = world.post(&ada, &body(0, "a"), &KEY).await;
    assert_eq!(
        (again.status, &again.body["answerId"]),
        (503, &first.body["answerId"])
    );
    let advice = again.body["detail"].as_str().expect("a text");
    assert!(advice.contains("new Idempotency-Key"), "{advice}");
    let fresh = world
        .post(&ada, &body(0, "a"), &[("idempotency-key", "two")])
        .await;
    assert_eq!((fresh.status, &fresh.body["streak"]), (200, &json!(1)));
    world.books().await.agree();
}

async fn two_answers_of_one_player_follow_each_other(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let ada = world.player("Ada");
    let sends = (0..6).map(|n| world.answer(&ada, n, "a"));
    let answers = futures::future::join_all(sends).await;
    let mut streaks: Vec<_> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.body["streak"].as_i64().expect("a streak")
        })
        .collect();
    streaks.sort_unstable();
    assert_eq!(streaks, [1, 2, 3, 4, 5, 6]);
    world.books().await.agree();
}

async fn an_answer_that_waits_too_long_for_the_one_before_it_is_told_so(kind: Kind) {
    let predecessor_wait = Duration::from_millis(200);
    let world = World::start(Setting {
        predecessor_wait,
        ..Setting::on(kind)
    })
    .await;
    let ada = world.player("Ada");
    world.pause(Part::Leaderboard).await;
    let first = world
        .post(&ada, &body(0, "a"), &[("prefer", "respond-async")])
        .await;
    let second = world.answer(&ada, 1, "a").await;
    assert_eq!(
        (second.status, &second.body["code"]),
        (409, &json!("answer_in_progress"))
    );
    assert_eq!(second.body["answerId"], first.body["id"]);
    world.resume(Part::Leaderboard).await;
    world.saga_reaches(&first.body["id"], "completed").await;
    let books = world.books().await;
    books.agree();
    assert_eq!(books.answers.len(), 1);
}
