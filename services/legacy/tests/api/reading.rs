//! Questions as players read them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::Backend;

use crate::app::{Legacy, bank};

testkit::both_databases!(
    following_the_cursors_shows_the_whole_bank_once_and_no_answers,
    a_random_question_keeps_to_its_filter,
    a_player_gets_every_question_once_before_any_comes_again,
    whoever_left_draws_no_more,
    questions_are_found_by_tags_and_words_and_counted,
    who_has_an_answer_gets_304_until_it_changes,
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

async fn a_player_gets_every_question_once_before_any_comes_again(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (ada, eve) = (legacy.player("ada").await, legacy.player("eve").await);
    let query = "category=rust&difficulty=easy";
    let path = format!("/api/questions/random?{query}");
    let all = legacy
        .http
        .get(&format!("/api/questions?{query}&limit=100"), None)
        .await;
    let size = all.body["items"].as_array().expect("a list").len();
    let mut last = String::new();
    for _round in 0..2 {
        let mut seen = BTreeSet::new();
        for _ in 0..size {
            let drawn = legacy.http.get(&path, Some(&ada)).await.text("/id");
            assert_ne!(drawn, last, "twice in a row");
            last.clone_from(&drawn);
            assert!(seen.insert(drawn), "twice in a round");
        }
    }
    let both = futures::future::join_all(
        (0..size).map(|_| async { legacy.http.get(&path, Some(&eve)).await.text("/id") }),
    );
    let distinct: BTreeSet<String> = both.await.into_iter().collect();
    assert_eq!(distinct.len(), size, "draws at once gave the same");
}

async fn whoever_left_draws_no_more(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let token = legacy.player("ada").await;
    let path = "/api/questions/random";
    assert_eq!(legacy.http.get(path, Some(&token)).await.status, 200);
    let password = json!({ "password": "correct horse" });
    let left = legacy
        .http
        .delete_with("/api/auth/profile", &token, password)
        .await;
    assert_eq!(left.status, 204, "{left:?}");
    let refused = legacy.http.get(path, Some(&token)).await;
    assert_eq!(refused.problem(), (401, "account_deleted", ""));
}

async fn questions_are_found_by_tags_and_words_and_counted(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let bank = bank();
    let ids = async |query: &str| -> Vec<String> {
        let path = format!("/api/questions?limit=100&{query}");
        let page = legacy.http.get(&path, None).await;
        assert_eq!(page.status, 200, "{page:?}");
        let items = page.body["items"].as_array().expect("a list");
        items
            .iter()
            .map(|item| item["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let mut streams: Vec<String> = bank
        .iter()
        .filter(|question| question.tags.iter().any(|tag| tag == "streams"))
        .map(|question| question.id.to_string())
        .collect();
    streams.sort_unstable();
    assert_eq!(ids("tag=streams").await, streams);
    assert_eq!(ids("tag=streams&category=rust").await, [""; 0]);
    let found = ids("q=ORPHAN%20rul").await;
    let orphan = bank
        .iter()
        .find(|question| question.text.contains("orphan rule"));
    assert_eq!(found, [orphan.expect("it is there").id.to_string()]);
    assert_eq!(ids("q=%22NEAR(%2A").await, [""; 0]);

    let categories = legacy.http.get("/api/questions/categories", None).await;
    let items = categories.body["items"].as_array().expect("a list").clone();
    let total: i64 = items.iter().filter_map(|item| item["count"].as_i64()).sum();
    assert_eq!(total, bank.len() as i64);
    assert_eq!(items[0]["category"], "databases");
    let tags = legacy.http.get("/api/questions/tags", None).await;
    let counted = tags.body["items"].as_array().expect("a list");
    let streams_counted = counted.iter().find(|item| item["tag"] == "streams");
    assert_eq!(
        streams_counted.expect("it is there")["count"],
        streams.len() as i64
    );
}

async fn who_has_an_answer_gets_304_until_it_changes(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let root = legacy.root().await;
    let question = &bank()[0];
    let paths = [
        format!("/api/questions/{}", question.id),
        "/api/questions?q=engine".to_owned(),
        "/api/questions/categories".to_owned(),
        "/api/questions/tags".to_owned(),
    ];
    let mut tags = Vec::new();
    for path in &paths {
        let (status, tag) = legacy.http.revalidate(path, "\"other\"").await;
        assert_eq!(status, 200);
        let tag = tag.expect("a tag");
        let again = legacy.http.revalidate(path, &tag).await;
        assert_eq!(again, (304, Some(tag.clone())), "{path}");
        tags.push(tag);
    }
    let removed = format!("/api/admin/questions/{}", question.id);
    assert_eq!(legacy.http.delete(&removed, Some(&root)).await.status, 204);
    for (path, tag) in paths.iter().zip(&tags) {
        let (status, _) = legacy.http.revalidate(path, tag).await;
        assert_ne!(status, 304, "{path}");
    }
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
            "/api/questions?tag=No%20Such",
            (400, "invalid_query", "tag"),
        ),
        ("/api/questions?q=a%00b", (400, "invalid_query", "q")),
        ("/api/questions?q=", (400, "invalid_query", "q")),
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
