//! The question service over HTTP on both databases: what events tell it, and what players read.

mod app;
mod conditional;
mod confirming;
mod counting;
mod drawing;
mod importing;
mod replicas;
mod searching;

use std::collections::BTreeSet;

use contracts::{
    Difficulty, Payload,
    events::{Choice, QuestionCreated, QuestionDeleted, QuestionUpdated},
};
use serde_json::json;
use testkit::{Backend, eventually};
use uuid::Uuid;

use crate::app::{App, PATIENCE};

testkit::both_databases!(
    what_events_tell_is_what_players_read_without_the_answers,
    a_deleted_question_is_gone_until_it_is_created_again,
    a_replay_builds_the_same_bank_again,
    an_event_of_another_shape_is_parked_and_holds_nothing_up,
    every_question_of_a_filter_is_drawn,
    what_no_question_answers_to_is_refused,
    questions_are_filtered_and_counted_by_category_difficulty_and_tag,
);

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn created(id: Uuid, category: &str, text: &str) -> QuestionCreated {
    let choice = |id: &str| Choice {
        id: id.to_owned(),
        text: format!("choice {id}"),
    };
    QuestionCreated {
        question_id: id,
        text: text.to_owned(),
        category: category.to_owned(),
        difficulty: Difficulty::Easy,
        choices: ["a", "b", "c", "d"].map(choice).to_vec(),
        correct_choice_id: "c".to_owned(),
        tags: Vec::new(),
        version: 1,
    }
}

pub(crate) fn updated(id: Uuid, text: &str) -> QuestionUpdated {
    let QuestionCreated {
        category,
        difficulty,
        choices,
        correct_choice_id,
        tags,
        ..
    } = created(id, "rust", text);
    let text = text.to_owned();
    QuestionUpdated {
        question_id: id,
        text,
        category,
        difficulty,
        choices,
        correct_choice_id,
        tags,
        version: 2,
    }
}

async fn what_events_tell_is_what_players_read_without_the_answers(backend: Backend) {
    let app = App::start(backend).await;
    app.append(id(1), 1, &created(id(1), "rust", "What is a borrow?"))
        .await;
    app.append(id(2), 1, &created(id(2), "node", "What is a stream?"))
        .await;
    app.append(id(1), 2, &updated(id(1), "What is a mutable borrow?"))
        .await;
    app.shows(&[id(1), id(2)]).await;
    let path = format!("/api/questions/{}", id(1));
    let question = eventually(PATIENCE, || async {
        let (_, question) = app.get(&path).await;
        (question["text"] == "What is a mutable borrow?").then_some(question)
    })
    .await;
    let fields: Vec<&String> = question.as_object().expect("an object").keys().collect();
    assert_eq!(
        fields,
        ["category", "choices", "difficulty", "id", "tags", "text"]
    );
    assert_eq!(app.ids("category=node").await, BTreeSet::from([id(2)]));
    assert_eq!(app.ids("difficulty=hard").await, BTreeSet::new());
    app.stop().await;
}

async fn a_deleted_question_is_gone_until_it_is_created_again(backend: Backend) {
    let app = App::start(backend).await;
    app.append(id(1), 1, &created(id(1), "rust", "What is a borrow?"))
        .await;
    app.append(id(2), 1, &created(id(2), "rust", "What is a trait?"))
        .await;
    app.append(
        id(1),
        2,
        &QuestionDeleted {
            question_id: id(1),
            version: 2,
        },
    )
    .await;
    app.append(
        id(9),
        1,
        &QuestionDeleted {
            question_id: id(9),
            version: 2,
        },
    )
    .await;
    app.shows(&[id(2)]).await;
    let (status, problem) = app.get(&format!("/api/questions/{}", id(1))).await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("question_not_found"))
    );
    let again = QuestionCreated {
        version: 3,
        ..created(id(1), "rust", "What is a borrow?")
    };
    app.append(id(1), 3, &again).await;
    app.shows(&[id(1), id(2)]).await;
}

async fn a_replay_builds_the_same_bank_again(backend: Backend) {
    let app = App::start(backend).await;
    app.append(id(1), 1, &created(id(1), "rust", "What is a borrow?"))
        .await;
    app.append(id(2), 1, &created(id(2), "rust", "What is a trait?"))
        .await;
    app.append(
        id(2),
        2,
        &QuestionDeleted {
            question_id: id(2),
            version: 2,
        },
    )
    .await;
    app.append(id(3), 1, &created(id(3), "rust", "What is a crate?"))
        .await;
    app.shows(&[id(1), id(3)]).await;
    let before = app.get("/api/questions").await;
    let replayed = app.post("/ops/consumers/question-bank/replay").await;
    assert!((200..300).contains(&replayed), "{replayed}");
    eventually(PATIENCE, || async {
        app.get("/api/questions").await == before
    })
    .await;
}

async fn an_event_of_another_shape_is_parked_and_holds_nothing_up(backend: Backend) {
    let app = App::start(backend).await;
    app.append_raw(id(1), 1, QuestionCreated::TYPE, json!({ "questionId": 7 }))
        .await;
    app.append(id(2), 1, &created(id(2), "rust", "What is a trait?"))
        .await;
    app.shows(&[id(2)]).await;
    let (status, parked) = app.get("/ops/dlq").await;
    assert_eq!(status, 200);
    assert_eq!(
        parked["items"].as_array().map(Vec::len),
        Some(1),
        "{parked}"
    );
}

async fn every_question_of_a_filter_is_drawn(backend: Backend) {
    let app = App::start(backend).await;
    for number in 1..=4 {
        app.append(
            id(number),
            1,
            &created(id(number), "rust", "What is a borrow?"),
        )
        .await;
    }
    app.append(id(5), 1, &created(id(5), "node", "What is a stream?"))
        .await;
    app.shows(&[id(1), id(2), id(3), id(4), id(5)]).await;
    let mut drawn = BTreeSet::new();
    // The chance that one of four is missed in 120 draws is below 10^-14.
    for _ in 0..120 {
        let (status, question) = app.get("/api/questions/random?category=rust").await;
        assert_eq!(status, 200);
        drawn.insert(question["id"].to_string());
    }
    assert_eq!(drawn.len(), 4);
    let (status, problem) = app.get("/api/questions/random?category=cooking").await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("question_not_found"))
    );
}

async fn what_no_question_answers_to_is_refused(backend: Backend) {
    let app = App::start(backend).await;
    for number in 1..=3 {
        app.append(
            id(number),
            1,
            &created(id(number), "rust", "What is a borrow?"),
        )
        .await;
    }
    app.shows(&[id(1), id(2), id(3)]).await;
    let (_, page) = app.get("/api/questions?limit=2").await;
    let cursor = page["nextCursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(
        app.ids(&format!("limit=2&cursor={cursor}")).await,
        BTreeSet::from([id(3)])
    );
    let tampered: String = cursor.chars().rev().collect();
    for (path, status, code, field) in [
        ("/api/questions/7".to_owned(), 404, "question_not_found", ""),
        (
            format!("/api/questions/{}", id(8)),
            404,
            "question_not_found",
            "",
        ),
        (
            "/api/questions?difficulty=brutal".to_owned(),
            400,
            "invalid_query",
            "difficulty",
        ),
        (
            "/api/questions?limit=many".to_owned(),
            400,
            "invalid_query",
            "limit",
        ),
        (
            "/api/questions?tag=No%20Such".to_owned(),
            400,
            "invalid_query",
            "tag",
        ),
        (
            "/api/questions?q=a%00b".to_owned(),
            400,
            "invalid_query",
            "q",
        ),
        (
            format!("/api/questions?q={}", "a".repeat(201)),
            400,
            "invalid_query",
            "q",
        ),
        (
            "/api/questions?category=".to_owned(),
            400,
            "invalid_query",
            "category",
        ),
        (
            "/api/questions/random?tag=%3Cscript%3E".to_owned(),
            400,
            "invalid_query",
            "tag",
        ),
        (
            format!("/api/questions?q=borrow&cursor={cursor}"),
            400,
            "bad_cursor",
            "cursor",
        ),
        (
            format!("/api/questions?cursor={tampered}"),
            400,
            "bad_cursor",
            "cursor",
        ),
        (
            format!("/api/questions?category=rust&cursor={cursor}"),
            400,
            "bad_cursor",
            "cursor",
        ),
    ] {
        let (found, problem) = app.get(&path).await;
        let text = |name: &str| problem[name].as_str().unwrap_or_default();
        assert_eq!(
            (found, text("code"), text("field")),
            (status, code, field),
            "{path}"
        );
    }
    assert_eq!(app.post("/api/questions").await, 405);
    assert_eq!(app.post("/ops/import").await, 409);
}

async fn questions_are_filtered_and_counted_by_category_difficulty_and_tag(backend: Backend) {
    let app = App::start(backend).await;
    let tagged = |number, category: &str, difficulty, tags: &[&str]| QuestionCreated {
        difficulty,
        tags: tags.iter().map(ToString::to_string).collect(),
        ..created(id(number), category, "What is a borrow?")
    };
    for question in [
        tagged(1, "rust", Difficulty::Easy, &["ownership", "http-2"]),
        tagged(2, "rust", Difficulty::Hard, &["ownership"]),
        tagged(3, "node", Difficulty::Hard, &["http-2"]),
        tagged(4, "node", Difficulty::Hard, &["io"]),
    ] {
        app.append(question.question_id, 1, &question).await;
    }
    let gone = QuestionDeleted {
        question_id: id(4),
        version: 2,
    };
    app.append(id(4), 2, &gone).await;
    let retagged = QuestionUpdated {
        tags: vec!["lifetimes".to_owned(), "ownership".to_owned()],
        ..updated(id(2), "What is a lifetime?")
    };
    app.append(id(2), 2, &retagged).await;
    app.shows(&[id(1), id(2), id(3)]).await;
    eventually(PATIENCE, || async {
        app.ids("tag=lifetimes").await == BTreeSet::from([id(2)])
    })
    .await;
    for (query, ids) in [
        ("tag=ownership", vec![id(1), id(2)]),
        ("tag=http-2", vec![id(1), id(3)]),
        ("tag=http-2&category=node", vec![id(3)]),
        ("tag=http-2&difficulty=easy", vec![id(1)]),
        ("tag=io", vec![]),
        ("tag=own", vec![]),
    ] {
        assert_eq!(app.ids(query).await, ids.into_iter().collect(), "{query}");
    }
    let (_, categories) = app.get("/api/questions/categories").await;
    let expected = json!({ "items": [
        { "category": "node", "count": 1, "difficulties": { "easy": 0, "medium": 0, "hard": 1 } },
        { "category": "rust", "count": 2, "difficulties": { "easy": 2, "medium": 0, "hard": 0 } },
    ] });
    assert_eq!(categories, expected);
    let (_, tags) = app.get("/api/questions/tags").await;
    let expected = json!({ "items": [
        { "tag": "http-2", "count": 2 },
        { "tag": "ownership", "count": 2 },
        { "tag": "lifetimes", "count": 1 },
    ] });
    assert_eq!(tags, expected);
}
