//! What bad input gets.

use serde_json::{Value, json};
use testkit::Backend;

use crate::{accounts::ada, app::App};

testkit::both_databases!(
    an_unknown_address_and_a_wrong_password_get_the_same_answer,
    every_faulty_field_is_named,
    what_is_no_request_is_a_problem_and_never_a_panic,
    the_operators_verbs_answer_and_import_says_what_is_missing,
);

fn with(field: &str, value: Value) -> Value {
    let mut body = ada();
    body[field] = value;
    body
}

async fn an_unknown_address_and_a_wrong_password_get_the_same_answer(backend: Backend) {
    let app = App::start(backend).await;
    app.post("/api/auth/register", None, ada()).await;
    let login = |email: &str| json!({ "email": email, "password": "wrong horse" });
    let mut wrong = app
        .post("/api/auth/login", None, login("ada@example.org"))
        .await;
    let mut unknown = app
        .post("/api/auth/login", None, login("eve@example.org"))
        .await;
    assert_eq!(wrong.problem(), (401, "invalid_credentials", ""));
    wrong.body["traceId"].take();
    unknown.body["traceId"].take();
    assert_eq!(wrong, unknown);
}

async fn every_faulty_field_is_named(backend: Backend) {
    let app = App::start(backend).await;
    let long = "x".repeat(41);
    for (body, field) in [
        (with("email", json!("no address")), "email"),
        (with("email", json!(7)), "email"),
        (with("password", json!("1234567")), "password"),
        (with("password", json!("x".repeat(129))), "password"),
        (with("displayName", json!("   ")), "displayName"),
        (with("displayName", json!(long)), "displayName"),
        (with("isAdmin", json!(true)), "isAdmin"),
        (
            json!({ "email": "ada@example.org", "displayName": "Ada" }),
            "password",
        ),
    ] {
        let reply = app.post("/api/auth/register", None, body.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid_field", field), "{body}");
    }
}

async fn what_is_no_request_is_a_problem_and_never_a_panic(backend: Backend) {
    let app = App::start(backend).await;
    let json_kind = "application/json";
    let path = "/api/auth/login";
    for (kind, body, status, code) in [
        (json_kind, "{", 400, "malformed_json"),
        (json_kind, "", 400, "malformed_json"),
        (json_kind, "{\"email\": \"\u{0}", 400, "malformed_json"),
        ("text/plain", "{}", 415, "unsupported_media_type"),
    ] {
        let reply = app.post_raw(path, kind, body).await;
        assert_eq!(reply.problem(), (status, code, ""), "{body:?}");
        assert!(reply.body["traceId"].is_string(), "{reply:?}");
    }
    assert_eq!(
        app.get(path, None).await.problem(),
        (405, "method_not_allowed", "")
    );
    assert_eq!(
        app.get("/api/auth/nowhere", None).await.problem(),
        (404, "not_found", "")
    );
}

async fn the_operators_verbs_answer_and_import_says_what_is_missing(backend: Backend) {
    let app = App::start(backend).await;
    let reply = app.post("/ops/import", None, json!({})).await;
    assert_eq!(reply.problem(), (409, "import_not_configured", ""));
    assert_eq!(app.get("/ops/consumers", None).await.status, 200);
    assert_eq!(app.get("/health/live", None).await.status, 200);
}
