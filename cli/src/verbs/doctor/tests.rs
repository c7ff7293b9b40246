//! What the doctor says when it is refused, by a system whose parts all say that they are ready.

use axum::{
    Json, Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::{arguments::Global, client::Client, endpoints::Endpoints, output::Format};

const TOKEN: &str = "the one of today";
/// Those that have consumers.
const SERVICES: [&str; 3] = ["auth", "question", "quiz"];

/// Asks for the token; what it guards is well, but for `/ops` where that has a status of its own.
fn part(ops: StatusCode) -> Router {
    let guarded = async move |request: Request| -> Response {
        let problem = |status: StatusCode, code: &str| {
            (status, Json(json!({ "code": code, "detail": code }))).into_response()
        };
        let given = request.headers().get("authorization");
        if given.is_none_or(|given| given != &format!("Bearer {TOKEN}")) {
            return problem(StatusCode::UNAUTHORIZED, "ops_token_required");
        }
        if request.uri().path().starts_with("/ops") && ops != StatusCode::OK {
            return problem(ops, "made_up");
        }
        Json(json!({ "items": [] })).into_response()
    };
    let ready = json!({ "status": "ready", "dependencies": {} });
    let ready = get(async || Json(ready));
    Router::new()
        .route("/health/ready", ready)
        .fallback(guarded)
}

/// A system of one process that plays all parts, and an operator with this token.
async fn context(ops: StatusCode, token: &str) -> Context {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, part(ops)).await });
    let services = SERVICES.iter().chain(&["log"]);
    let services: Vec<_> = services.map(|name| format!("{name} = {at:?}\n")).collect();
    let endpoints: Endpoints = toml::from_str(&format!(
        "admin = {at:?}\nadmin_token = {token:?}\nops_token = {token:?}\n[services]\n{}",
        services.concat()
    ))
    .unwrap();
    Context {
        client: Client::new(endpoints, "ada").unwrap(),
        format: Format::Json,
        global: Global {
            config: None,
            data_dir: ".banyan".into(),
            json: true,
            actor: None,
        },
    }
}

fn places(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|one| one.place.as_str()).collect()
}

#[tokio::test]
async fn a_system_that_lets_the_doctor_look_and_has_nothing_is_well() {
    let context = context(StatusCode::OK, TOKEN).await;
    assert_eq!(look(&context).await.findings(), []);
}

#[tokio::test]
async fn a_wrong_token_is_found_once_for_each_part() {
    let context = context(StatusCode::OK, "the one of yesterday").await;
    let found = look(&context).await.findings();
    assert_eq!(places(&found), ["auth", "gateway", "question", "quiz"]);
    for one in &found {
        assert!(one.what.contains("could not be looked at"), "{one:?}");
        assert!(one.what.contains("HTTP 401"), "{one:?}");
        assert_eq!(one.runbook, Runbook::BeforeTheFirst);
    }
}

#[tokio::test]
async fn operators_verbs_that_alone_refuse_are_found_although_all_is_ready() {
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_FOUND] {
        let context = context(status, TOKEN).await;
        let found = look(&context).await.findings();
        assert_eq!(places(&found), SERVICES, "{status}");
        assert!(
            found
                .iter()
                .all(|one| one.runbook == Runbook::ServiceCrashed)
        );
    }
}

#[tokio::test]
async fn a_deep_look_without_an_audit_is_no_deep_look() {
    let context = context(StatusCode::SERVICE_UNAVAILABLE, TOKEN).await;
    let mut seen = Seen::default();
    deep::check(&context, &mut seen).await;
    assert_eq!(places(&seen.findings()), ["audit", "log"]);
}

#[test]
fn a_part_that_is_silent_is_not_told_of_again() {
    let mut seen = Seen::default();
    let away = || anyhow::anyhow!("nobody answers");
    assert!(seen.answered::<Value>("quiz", Err(away())).is_none());
    let silent = Finding {
        place: "quiz at http://a".to_owned(),
        what: "does not answer".to_owned(),
        act: "start it".to_owned(),
        runbook: Runbook::ServiceCrashed,
    };
    seen.is_silent("quiz", silent);
    assert_eq!(places(&seen.findings()), ["quiz at http://a"]);
}
