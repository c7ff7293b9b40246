//! What bad input gets: 4xx with a stable code that names the field, and nothing half done.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::Backend;
use uuid::Uuid;

use crate::app::{App, COMPLETES, QUESTION, read, right};

testkit::both_databases!(
    a_bad_answer_is_refused_and_names_its_field,
    a_bad_key_is_refused,
    a_preference_that_cannot_be_read_is_ignored,
    what_is_not_the_callers_is_not_there,
    a_request_without_a_good_token_is_refused,
    hostile_text_goes_no_further,
);

const ADA: Uuid = Uuid::from_u128(7);

/// Whether anything was recorded.
async fn assert_nothing_is_recorded(app: &App) {
    let text = app.written().await;
    assert_eq!(text, "", "nothing half done");
}

/// A value of one field (nothing: the field is missing), and what it is refused with.
fn bad_fields() -> Vec<(&'static str, Option<Value>, (u16, &'static str))> {
    const INVALID: (u16, &str) = (422, "invalid_field");
    let choices = [
        json!("b".repeat(41)),
        json!("b".repeat(10_000)),
        json!(""),
        json!("b\u{0}"),
        json!("\u{1b}[2J"),
        json!(7),
        json!(null),
        json!(["b"]),
    ];
    let modes = [
        json!("turbo"),
        json!("Classic"),
        json!(18_446_744_073_709_551_615_u64),
    ];
    let mut all = vec![
        ("choiceId", Some(json!("x")), (422, "unknown_choice")),
        ("choiceId", None, INVALID),
        ("questionId", Some(json!("42")), INVALID),
        ("questionId", Some(json!(1e300)), INVALID),
        (
            "questionId",
            Some(json!(Uuid::nil())),
            (404, "question_not_found"),
        ),
        ("questionId", None, INVALID),
        ("quizMode", None, INVALID),
        ("isCorrect", Some(json!(true)), INVALID),
    ];
    all.extend(choices.map(|choice| ("choiceId", Some(choice), INVALID)));
    all.extend(modes.map(|mode| ("quizMode", Some(mode), INVALID)));
    all
}

async fn a_bad_answer_is_refused_and_names_its_field(backend: Backend) {
    let app = App::start(backend).await;
    for (field, value, (status, code)) in bad_fields() {
        let mut body = right();
        match value {
            Some(value) => body[field] = value,
            None => drop(body.as_object_mut().expect("an object").remove(field)),
        }
        let answer = app.post(ADA, &body.to_string(), &[]).await;
        let told = (answer.0, &answer.1["code"], &answer.1["field"]);
        assert_eq!(told, (status, &json!(code), &json!(field)), "{}", answer.1);
    }
    for body in ["", "{", "nothing", "\u{0}"] {
        let (status, answer) = app.post(ADA, body, &[]).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("malformed_json")),
            "{body:?}"
        );
    }
    for body in ["null", "[]", "7", "\"b\""] {
        let (status, answer) = app.post(ADA, body, &[]).await;
        assert_eq!(
            (status, &answer["code"]),
            (422, &json!("invalid_field")),
            "{body}"
        );
    }
    let text = app.send(
        Method::POST,
        "/api/answers",
        Some(ADA),
        &[("content-type", "text/plain")],
        None,
    );
    assert_eq!(text.await.status().as_u16(), 415);
    assert_nothing_is_recorded(&app).await;
    app.stop().await;
}

async fn a_bad_key_is_refused(backend: Backend) {
    let app = App::start(backend).await;
    let body = right().to_string();
    let long = "k".repeat(256);
    for key in ["", " ", "\t", "a\tb", &*long, "schl\u{fc}ssel"] {
        let (status, answer) = app.post(ADA, &body, &[("idempotency-key", key)]).await;
        let told = (status, &answer["code"], &answer["field"]);
        let expected = (
            400,
            &json!("idempotency_key_invalid"),
            &json!("Idempotency-Key"),
        );
        assert_eq!(told, expected, "{key:?}");
    }
    let two = [("idempotency-key", "one"), ("idempotency-key", "two")];
    let (status, answer) = app.post(ADA, &body, &two).await;
    assert_eq!(
        (status, &answer["code"]),
        (400, &json!("idempotency_key_invalid"))
    );
    assert_nothing_is_recorded(&app).await;

    let longest = "k".repeat(255);
    let headers = [("idempotency-key", &*longest), ("prefer", "respond-async")];
    let (status, first) = app.post(ADA, &body, &headers).await;
    assert_eq!(status, 202, "{first}");
    let (status, again) = app.post(ADA, &body, &headers).await;
    assert_eq!(
        (status, again),
        (202, first),
        "a duplicate is the same answer"
    );
    let other = json!({ "questionId": QUESTION, "choiceId": "a", "quizMode": "classic" });
    let (status, answer) = app.post(ADA, &other.to_string(), &headers).await;
    let told = (status, &answer["code"], &answer["field"]);
    assert_eq!(
        told,
        (
            422,
            &json!("idempotency_key_reused"),
            &json!("Idempotency-Key")
        )
    );
    app.stop().await;
}

async fn a_preference_that_cannot_be_read_is_ignored(backend: Backend) {
    let app = App::start(backend).await;
    for preference in [
        "respond-async, wait=99999999999999999999999999",
        "respond-async; ;;=,,,",
        "respond-async, wait=\"",
        "wait=0, wait=soon",
        "respond-async, wait=-1",
    ] {
        let user_id = Uuid::now_v7();
        let headers = [("prefer", preference)];
        let (status, answer) = app.post(user_id, &right().to_string(), &headers).await;
        assert_eq!(status, 202, "{preference}: {answer}");
    }
    app.stop().await;
}

async fn what_is_not_the_callers_is_not_there(backend: Backend) {
    let app = App::start(backend).await;
    let answer_id = app.answer(ADA).await;
    app.ends(&COMPLETES, answer_id, ADA).await;
    let (status, _) = app.get(ADA, &format!("/api/answers/{answer_id}")).await;
    assert_eq!(status, 200);
    let other = Uuid::now_v7();
    let (status, body) = app.get(other, &format!("/api/answers/{answer_id}")).await;
    assert_eq!((status, &body["code"]), (404, &json!("answer_not_found")));
    for id in [
        Uuid::now_v7().to_string(),
        "7".to_owned(),
        "%00".to_owned(),
        "9".repeat(5000),
        "..%2f..%2fops".to_owned(),
    ] {
        let (status, body) = app.get(ADA, &format!("/api/answers/{id}")).await;
        assert_eq!(status, 404, "{id}: {body}");
    }
    app.stop().await;
}

async fn a_request_without_a_good_token_is_refused(backend: Backend) {
    let app = App::start(backend).await;
    let body = right().to_string();
    for (method, path, body) in [
        (Method::POST, "/api/answers", Some(&*body)),
        (Method::GET, "/api/answers/7", None),
        (Method::GET, "/api/stats/me", None),
    ] {
        for token in ["", "Bearer", "Bearer x.y.z", "Basic YTpi"] {
            let headers = [("authorization", token)];
            let headers = if token.is_empty() {
                &[][..]
            } else {
                &headers[..]
            };
            let answer = app.send(method.clone(), path, None, headers, body).await;
            let challenge = answer.headers().contains_key("www-authenticate");
            let (status, problem) = read(answer).await;
            assert_eq!(
                (status, challenge),
                (401, true),
                "{path} {token:?}: {problem}"
            );
            assert_eq!(problem["code"], "unauthenticated");
        }
    }
    assert_nothing_is_recorded(&app).await;
    app.stop().await;
}

async fn hostile_text_goes_no_further(backend: Backend) {
    let app = App::start(backend).await;
    for text in [
        "<script>alert(1)</script>",
        "'; DROP TABLE answers; --",
        "{{7*7}}",
    ] {
        let body = json!({ "questionId": QUESTION, "choiceId": text, "quizMode": "classic" });
        let body = body.to_string();
        let path = "/api/answers";
        let answer = app
            .send(Method::POST, path, Some(ADA), &[], Some(&body))
            .await;
        let kind = answer.headers()["content-type"].clone();
        assert_eq!(
            (answer.status().as_u16(), kind.as_bytes()),
            (422, &b"application/problem+json"[..])
        );
        let body = answer.text().await.expect("a body");
        assert!(!body.contains(text), "{body}");
    }
    assert_nothing_is_recorded(&app).await;
    app.stop().await;
}
