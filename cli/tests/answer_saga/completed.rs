//! Answers that count.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    on_both_databases,
    world::{Kind, PARTICIPANTS, Part, Setting, World, body, question},
};

on_both_databases!(
    answers_count_once_everywhere_with_exact_numbers,
    an_answer_that_nobody_waits_for_is_found_at_its_location,
    bad_requests_are_told_what_is_wrong,
);

async fn answers_count_once_everywhere_with_exact_numbers(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let (ada, grace) = (world.player("Ada"), world.player("Grace"));

    let first = world.answer(&ada, 0, "a").await;
    assert_eq!(first.status, 200, "{}", first.body);
    let expected = json!({
        "id": first.body["id"], "questionId": question(0), "isCorrect": true,
        "correctChoiceId": "a", "streak": 1, "score": 10, "status": "completed",
        "achievements": [
            { "id": "first-answer", "name": first.body["achievements"][0]["name"] },
            { "id": "first-correct", "name": first.body["achievements"][1]["name"] },
        ],
        "leaderboard": { "quizMode": "classic", "score": 10, "position": 1 },
    });
    assert_eq!(without_calendar_badges(first.body.clone()), expected);
    let again = world.get(Part::Quiz, &ada, &location(&first.body)).await;
    assert_eq!(again.body, first.body, "the answer can be read again");

    let second = world.answer(&ada, 1, "a").await.body;
    assert_eq!(
        (&second["streak"], &second["score"]),
        (&json!(2), &json!(12))
    );
    let third = world.answer(&ada, 2, "b").await.body;
    assert_eq!(
        (&third["isCorrect"], &third["streak"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(
        third["leaderboard"],
        json!({"quizMode": "classic", "score": 22, "position": 1})
    );
    let other = world.answer(&grace, 0, "a").await.body;
    assert_eq!(
        other["leaderboard"],
        json!({"quizMode": "classic", "score": 10, "position": 2})
    );

    let stats = world.get(Part::Quiz, &ada, "/api/stats/me").await.body;
    let mode = json!({ "answered": 3, "correct": 2, "score": 22 });
    let expected = json!({
        "answered": 3, "correct": 2, "accuracy": 2.0 / 3.0, "streak": 0, "bestStreak": 2,
        "byMode": { "classic": mode },
    });
    assert_eq!(stats, expected);
    world.settled().await;
    let board = world
        .get(
            Part::Leaderboard,
            &grace,
            "/api/leaderboard?quizMode=classic",
        )
        .await;
    let lines = [
        json!({ "position": 1, "userId": ada.id, "displayName": "Ada", "score": 22 }),
        json!({ "position": 2, "userId": grace.id, "displayName": "Grace", "score": 10 }),
    ];
    assert_eq!(
        board.body,
        json!({ "quizMode": "classic", "period": "all", "top": lines, "me": lines[1] })
    );
    let mine = world
        .get(Part::Achievement, &ada, "/api/achievements/me")
        .await
        .body;
    let unlocked = mine["items"].as_array().expect("a list");
    assert!(
        unlocked.iter().any(|badge| badge["id"] == "first-correct"),
        "{mine}"
    );

    world.books().await.agree();
    let types = count_types(&world).await;
    for (event_type, count) in [
        ("answer.submitted", 4),
        ("achievement.checked", 4),
        ("leaderboard.entry.updated", 4),
        ("answer_submission.completed", 4),
    ] {
        assert_eq!(
            types.get(event_type),
            Some(&count),
            "{event_type}: {types:?}"
        );
    }
    assert_eq!(
        types.get("achievement.earned"),
        types.get("achievement.unlocked")
    );
}

/// Badges for the hour and the day depend on when the test runs.
fn without_calendar_badges(mut answer: Value) -> Value {
    let badges = answer["achievements"].as_array_mut().expect("a list");
    badges.retain(|badge| {
        ["first-answer", "first-correct"]
            .iter()
            .any(|id| badge["id"] == *id)
    });
    answer
}

async fn count_types(world: &World) -> BTreeMap<String, usize> {
    let mut types = BTreeMap::new();
    for event in world.events().await {
        *types.entry(event.event_type).or_default() += 1;
    }
    types
}

fn location(answer: &Value) -> String {
    format!("/api/answers/{}", answer["id"].as_str().expect("an id"))
}

async fn an_answer_that_nobody_waits_for_is_found_at_its_location(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let (ada, grace) = (world.player("Ada"), world.player("Grace"));
    for part in PARTICIPANTS {
        world.pause(part).await;
    }
    let accepted = world
        .post(&ada, &body(0, "a"), &[("prefer", "respond-async")])
        .await;
    assert_eq!(accepted.status, 202);
    assert_eq!(
        accepted.body,
        json!({ "id": accepted.body["id"], "status": "pending" })
    );
    assert_eq!(accepted.headers["preference-applied"], "respond-async");
    let location = location(&accepted.body);
    assert_eq!(accepted.headers["location"], location.as_str());
    let pending = world.get(Part::Quiz, &ada, &location).await;
    assert_eq!((pending.status, pending.body), (200, accepted.body.clone()));
    assert_eq!(
        world.get(Part::Quiz, &grace, &location).await.status,
        404,
        "somebody else's"
    );

    for part in PARTICIPANTS {
        world.resume(part).await;
    }
    world.saga_reaches(&accepted.body["id"], "completed").await;
    let decided = world.get(Part::Quiz, &ada, &location).await.body;
    assert_eq!(
        (&decided["status"], &decided["isCorrect"]),
        (&json!("completed"), &json!(true))
    );
    world.books().await.agree();
}

async fn bad_requests_are_told_what_is_wrong(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let ada = world.player("Ada");
    let unknown = world.answer(&ada, 99, "a").await;
    assert_eq!(
        (unknown.status, &unknown.body["code"]),
        (404, &json!("question_not_found"))
    );
    let choice = world.answer(&ada, 0, "x").await;
    assert_eq!(
        (choice.status, &choice.body["field"]),
        (422, &json!("choiceId"))
    );
    let mode = json!({ "questionId": question(0), "choiceId": "a", "quizMode": "turbo" });
    let mode = world.post(&ada, &mode, &[]).await;
    assert_eq!(
        (mode.status, &mode.body["field"]),
        (422, &json!("quizMode"))
    );
    let key = "k".repeat(300);
    let key = world
        .post(&ada, &body(0, "a"), &[("idempotency-key", &key)])
        .await;
    assert_eq!(
        (key.status, &key.body["code"]),
        (400, &json!("idempotency_key_invalid"))
    );
    let board = world
        .get(Part::Leaderboard, &ada, "/api/leaderboard?quizMode=turbo")
        .await;
    assert_eq!(
        (board.status, &board.body["field"]),
        (400, &json!("quizMode"))
    );
    assert!(world.books().await.answers.is_empty());
}
