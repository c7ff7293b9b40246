//! Curators' questions: the role admin, and what of their edits players see.

use serde_json::{Value, json};
use testkit::Backend;

use crate::app::{Legacy, bank};

testkit::both_databases!(
    a_question_is_added_edited_and_removed,
    only_administrators_curate,
    a_faulty_question_is_refused_naming_every_fault,
);

const PATH: &str = "/api/admin/questions";

fn draft() -> Value {
    json!({
        "text": "Which port does HTTPS use?", "category": "networking", "difficulty": "easy",
        "choices": [
            { "id": "a", "text": "80" }, { "id": "b", "text": "443" },
            { "id": "c", "text": "22" }, { "id": "d", "text": "53" },
        ],
        "correctChoiceId": "b",
    })
}

async fn a_question_is_added_edited_and_removed(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (http, root) = (&legacy.http, legacy.root().await);
    let made = http.post(PATH, Some(&root), draft()).await;
    assert_eq!((made.status, &made.body["version"]), (201, &json!(1)));
    assert_eq!(made.body["correctChoiceId"], "b");
    let path = format!("{PATH}/{}", made.text("/id"));
    let shown = format!("/api/questions/{}", made.text("/id"));
    assert_eq!(
        http.get(&shown, None).await.text("/text"),
        "Which port does HTTPS use?"
    );

    let mut edited = draft();
    edited["difficulty"] = json!("medium");
    let replaced = http.put(&path, Some(&root), edited).await;
    assert_eq!(
        (replaced.status, &replaced.body["version"]),
        (200, &json!(2))
    );
    assert_eq!(http.get(&shown, None).await.text("/difficulty"), "medium");

    assert_eq!(http.delete(&path, Some(&root)).await.status, 204);
    assert_eq!(
        http.get(&shown, None).await.problem(),
        (404, "question_not_found", "")
    );
    assert_eq!(
        http.delete(&path, Some(&root)).await.problem(),
        (404, "question_not_found", "")
    );
    let gone = http.put(&path, Some(&root), draft()).await;
    assert_eq!(gone.problem(), (404, "question_not_found", ""));

    let page = http.get("/api/admin/questions?limit=3", Some(&root)).await;
    assert_eq!(page.body["items"].as_array().map(Vec::len), Some(3));
    assert!(page.body["items"][0]["correctChoiceId"].is_string());
}

async fn only_administrators_curate(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let player = legacy.player("ada").await;
    let path = format!("{PATH}/{}", bank()[0].id);
    for (token, problem) in [
        (None, (401, "unauthenticated", "")),
        (Some(player.as_str()), (403, "forbidden", "")),
    ] {
        assert_eq!(legacy.http.get(PATH, token).await.problem(), problem);
        assert_eq!(
            legacy.http.post(PATH, token, draft()).await.problem(),
            problem
        );
        assert_eq!(
            legacy.http.put(&path, token, draft()).await.problem(),
            problem
        );
        assert_eq!(legacy.http.delete(&path, token).await.problem(), problem);
    }
}

async fn a_faulty_question_is_refused_naming_every_fault(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let root = legacy.root().await;
    let mut faulty = draft();
    faulty["text"] = json!("Short?");
    faulty["correctChoiceId"] = json!("e");
    let reply = legacy.http.post(PATH, Some(&root), faulty).await;
    assert_eq!(reply.problem(), (422, "invalid_field", "text"));
    let fields: Vec<&str> = reply.body["faults"]
        .as_array()
        .expect("all faults")
        .iter()
        .filter_map(|fault| fault["field"].as_str())
        .collect();
    assert_eq!(fields, ["text", "correctChoiceId"]);
}
