//! Questions as players read them.

use std::collections::BTreeSet;

use serde_json::Value;
use testkit::Backend;

use crate::app::{Legacy, bank};

testkit::both_databases!(
    following_the_cursors_shows_the_whole_bank_once_and_no_answers,
    a_random_question_keeps_to_its_filter,
    what_no_question_answers_to_is_refused,
);

async fn following_the_cursors_shows_the_whole_bank_once_and_no_answers(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (mut seen, mut query) = (BTreeSet::new(), "limit=50".to_owned());
    loop {
        let page = legacy
            .http
            .get(&format!("/api/questions?{query}"), None)
            .await;
        assert_eq!(page.status, 200);
        assert!(
            !page.body.to_string().contains("correctChoiceId"),
            "an answer leaked"
        );
        for item in page.body["items"].as_array().expect("a list") {
            let id = item["id"].as_str().expect("an id").to_owned();
            assert!(seen.insert(id), "a question came twice");
        }
        match page.body["nextCursor"].as_str() {
            Some(cursor) => query = format!("limit=50&cursor={cursor}"),
            None => break,
        }
    }
    let all: BTreeSet<String> = bank()
        .iter()
        .map(|question| question.id.to_string())
        .collect();
    assert_eq!(seen, all);
    let filtered = legacy
        .http
        .get("/api/questions?category=rust&difficulty=hard", None)
        .await;
    let items = filtered.body["items"].as_array().expect("a list");
    assert!(!items.is_empty());
    assert!(
        items
            .iter()
            .all(|item| item["category"] == "rust" && item["difficulty"] == "hard")
    );
    let first = items[0]["id"].as_str().expect("an id");
    let one = legacy
        .http
        .get(&format!("/api/questions/{first}"), None)
        .await;
    assert_eq!(one.body, items[0]);
}

async fn a_random_question_keeps_to_its_filter(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let mut drawn = BTreeSet::new();
    for _ in 0..20 {
        let reply = legacy
            .http
            .get("/api/questions/random?category=node", None)
            .await;
        assert_eq!(
            (reply.status, &reply.body["category"]),
            (200, &Value::from("node"))
        );
        assert_eq!(reply.body["correctChoiceId"], Value::Null);
        drawn.insert(reply.text("/id"));
    }
    assert!(
        drawn.len() > 1,
        "twenty draws of dozens of questions were all the same"
    );
    let none = legacy
        .http
        .get("/api/questions/random?category=cooking", None)
        .await;
    assert_eq!(none.problem(), (404, "question_not_found", ""));
}

async fn what_no_question_answers_to_is_refused(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let cursor = legacy
        .http
        .get("/api/questions?limit=5", None)
        .await
        .text("/nextCursor");
    let tampered: String = cursor.chars().rev().collect();
    for (path, problem) in [
        (
            "/api/questions/0192f0c1-0000-7000-8000-000000000000",
            (404, "question_not_found", ""),
        ),
        ("/api/questions/7", (404, "question_not_found", "")),
        (
            "/api/questions?difficulty=brutal",
            (400, "invalid_query", "difficulty"),
        ),
        (
            "/api/questions?category=No%20Such",
            (400, "invalid_query", "category"),
        ),
        ("/api/questions?limit=0", (400, "invalid_query", "limit")),
        ("/api/questions?limit=101", (400, "invalid_query", "limit")),
        (
            "/api/questions/random?difficulty=brutal",
            (400, "invalid_query", "difficulty"),
        ),
        (
            &format!("/api/questions?cursor={tampered}"),
            (400, "bad_cursor", "cursor"),
        ),
        (
            &format!("/api/questions?category=rust&cursor={cursor}"),
            (400, "bad_cursor", "cursor"),
        ),
    ] {
        assert_eq!(
            legacy.http.get(path, None).await.problem(),
            problem,
            "{path}"
        );
    }
}
