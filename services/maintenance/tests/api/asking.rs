//! The administrators' API: what it shows, what it starts, and what it refuses.

use contracts::{
    Payload,
    events::{MaintenanceAsked, MaintenanceDone},
};
use serde_json::{Value, json};
use testkit::{Backend, eventually};
use uuid::Uuid;

use crate::app::{App, PATIENCE, append, event, job};

testkit::both_databases!(
    only_administrators_see_and_start_anything,
    the_list_says_when_each_job_runs_and_how_it_ran_last,
    a_run_that_ends_in_time_is_the_answer,
    a_run_that_goes_on_is_found_under_its_location,
    a_second_run_is_refused_while_one_runs,
    the_same_key_is_the_same_run,
    the_history_is_read_page_by_page,
    what_is_not_acceptable_is_refused_naming_the_field,
    the_log_is_archived_and_snapshot_through_the_api,
    metrics_tell_runs_and_successes,
);

const API: &str = "/api/admin/maintenance";

async fn only_administrators_see_and_start_anything(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    let id = Uuid::nil();
    for (role, refusal) in [
        (None, (401, "unauthenticated", "")),
        (Some("user"), (403, "forbidden", "")),
    ] {
        for path in [
            API.to_owned(),
            format!("{API}/health/runs"),
            format!("{API}/runs/{id}"),
            format!("{API}/reports/2026-06-01"),
            format!("{API}/no-such-job/runs"),
        ] {
            assert_eq!(app.get(&path, role).await.problem(), refusal, "{path}");
        }
        let start = app.post(&format!("{API}/health"), role, "").await;
        assert_eq!(start.problem(), refusal);
    }
    assert!(app.logged::<MaintenanceAsked>().await.is_empty());
    app.stop().await;
}

async fn the_list_says_when_each_job_runs_and_how_it_ran_last(backend: Backend) {
    let berlin = json!({ "enabled": true, "schedule": "30 2 * * *", "time_zone": "Europe/Berlin" });
    let app = App::start(&backend, &[job("retention", berlin)], |_| {}).await;
    let body = format!(r#"{{"parameters":{{"userId":"{}"}}}}"#, Uuid::nil());
    let run = app
        .post(&format!("{API}/stats-reset"), Some("admin"), &body)
        .await;
    let list = app.read(API).await;
    let items = list["items"].as_array().expect("items");
    let names: Vec<&str> = items
        .iter()
        .filter_map(|job| job["name"].as_str())
        .collect();
    let expected = [
        "daily-report",
        "expired-tokens",
        "guest-cleanup",
        "health",
        "log-archive",
        "log-snapshot",
        "retention",
        "stats-reset",
    ];
    assert_eq!(names, expected);
    let retention = &items[6];
    assert_eq!(retention["schedule"], "30 2 * * *");
    assert_eq!(
        (&retention["timeZone"], &retention["enabled"]),
        (&json!("Europe/Berlin"), &json!(true))
    );
    assert!(retention["nextRunAt"].is_string() && retention["lastRun"].is_null());
    let health = &items[3];
    assert_eq!(
        (&health["enabled"], &health["nextRunAt"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(items[7]["lastRun"], run.body);
    assert_eq!(items[7]["schedule"], Value::Null);
    app.stop().await;
}

async fn a_run_that_ends_in_time_is_the_answer(backend: Backend) {
    let settings = [job("health", json!({ "participants": ["maintenance"] }))];
    let app = App::start(&backend, &settings, |_| {}).await;
    let run = app
        .post(&format!("{API}/health"), Some("admin"), "{}")
        .await;
    assert_eq!(
        (run.status, &run.body["status"]),
        (200, &json!("completed")),
        "{run:?}"
    );
    assert_eq!(run.body["trigger"], "request");
    assert_eq!(run.body["detail"]["findings"], json!([]));
    let report = &run.body["detail"]["services"]["maintenance"];
    let consumers = report["consumers"].as_array().expect("consumers");
    let names = consumers.iter().filter_map(|one| one["name"].as_str());
    let expected = "daily-counts maintenance-duties maintenance-replies maintenance-wishes";
    assert_eq!(names.collect::<Vec<_>>().join(" "), expected);
    assert_eq!(report["outbox"]["refusedStreams"], 0);
    app.stop().await;
}

async fn a_run_that_goes_on_is_found_under_its_location(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    let path = format!("{API}/guest-cleanup");
    let headers = [("prefer", "respond-async")];
    let body = r#"{"parameters":{"olderThanSeconds":3600},"reason":"spring"}"#;
    let run = app.post_with(&path, Some("admin"), body, &headers).await;
    assert_eq!(
        (run.status, &run.body["status"]),
        (202, &json!("running")),
        "{run:?}"
    );
    assert_eq!(run.headers["preference-applied"], "respond-async");
    let location = run.headers["location"].to_str().expect("a text").to_owned();
    assert_eq!(app.read(&location).await, run.body);
    let asked = eventually(PATIENCE, || async {
        app.logged::<MaintenanceAsked>().await.pop()
    })
    .await;
    assert_eq!(asked.parameters, json!({ "olderThanSeconds": 3600 }));
    let done = MaintenanceDone {
        run_id: asked.run_id,
        job: asked.job,
        round: 1,
        service: "auth".to_owned(),
        more: false,
        detail: json!({ "deleted": 12 }),
        error: None,
    };
    append(&app.log, vec![event(MaintenanceDone::TYPE, &done)]).await;
    let run = eventually(PATIENCE, || async {
        let run = app.read(&location).await;
        (run["status"] == "completed").then_some(run)
    })
    .await;
    assert_eq!(
        run["detail"],
        json!({ "services": { "auth": { "deleted": 12 } } })
    );
    app.stop().await;
}

async fn a_second_run_is_refused_while_one_runs(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    let path = format!("{API}/guest-cleanup");
    let headers = [("prefer", "wait=0")];
    let run = app.post_with(&path, Some("admin"), "", &headers).await;
    assert_eq!(run.status, 202);
    let second = app.post_with(&path, Some("admin"), "", &headers).await;
    assert_eq!(second.problem(), (409, "already_running", ""));
    assert_eq!(second.body["runId"], run.body["id"]);
    app.stop().await;
}

async fn the_same_key_is_the_same_run(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    let path = format!("{API}/stats-reset");
    let body = |reason: &str| {
        format!(
            r#"{{"parameters":{{"userId":"{}"}},"reason":"{reason}"}}"#,
            Uuid::nil()
        )
    };
    let headers = [("idempotency-key", "once")];
    let first = app
        .post_with(&path, Some("admin"), &body("a"), &headers)
        .await;
    let again = app
        .post_with(&path, Some("admin"), &body("a"), &headers)
        .await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.body, again.body);
    let other = app
        .post_with(&path, Some("admin"), &body("b"), &headers)
        .await;
    assert_eq!(
        other.problem(),
        (422, "idempotency_key_reused", "Idempotency-Key")
    );
    let long = "k".repeat(256);
    let headers = [("idempotency-key", long.as_str())];
    let unusable = app
        .post_with(&path, Some("admin"), &body("a"), &headers)
        .await;
    assert_eq!(
        unusable.problem(),
        (400, "idempotency_key_invalid", "Idempotency-Key")
    );
    let page = app.read(&format!("{path}/runs")).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
    app.stop().await;
}

async fn the_history_is_read_page_by_page(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    let path = format!("{API}/stats-reset");
    let body = format!(r#"{{"parameters":{{"userId":"{}"}}}}"#, Uuid::nil());
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(app.post(&path, Some("admin"), &body).await.body["id"].clone());
    }
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = app.read(&format!("{path}/runs{query}")).await;
        seen.extend(
            page["items"]
                .as_array()
                .expect("items")
                .iter()
                .map(|run| run["id"].clone()),
        );
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        query = format!("?limit=2&cursor={cursor}");
        // A cursor belongs to its job.
        let foreign = app
            .get(&format!("{API}/health/runs{query}"), Some("admin"))
            .await;
        assert_eq!(foreign.problem(), (400, "bad_cursor", "cursor"));
    }
    made.reverse();
    assert_eq!(seen, made);
    app.stop().await;
}

async fn what_is_not_acceptable_is_refused_naming_the_field(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    let user = Uuid::nil();
    for (job, body, problem) in [
        ("no-such-job", String::new(), (404, "unknown_job", "")),
        ("health", "{".to_owned(), (400, "malformed_json", "")),
        ("health", "7".to_owned(), (422, "invalid_field", ".")),
        (
            "health",
            r#"{"force":true}"#.to_owned(),
            (422, "invalid_field", "force"),
        ),
        (
            "health",
            r#"{"parameters":[]}"#.to_owned(),
            (422, "invalid_field", "parameters"),
        ),
        (
            "health",
            r#"{"reason":"a\u0000b"}"#.to_owned(),
            (422, "invalid_field", "reason"),
        ),
        (
            "health",
            format!(r#"{{"reason":"{}"}}"#, "r".repeat(201)),
            (422, "invalid_field", "reason"),
        ),
        (
            "health",
            r#"{"parameters":{"a":{"b":"\u0000"}}}"#.to_owned(),
            (422, "invalid_field", "parameters.a.b"),
        ),
        (
            "log-archive",
            r#"{"parameters":{"from":1}}"#.to_owned(),
            (422, "invalid_field", "parameters.from"),
        ),
        (
            "guest-cleanup",
            r#"{"parameters":{"olderThanSeconds":3599}}"#.to_owned(),
            (422, "invalid_field", "parameters.olderThanSeconds"),
        ),
        (
            "stats-reset",
            "null".to_owned(),
            (422, "invalid_field", "parameters.userId"),
        ),
        (
            "stats-reset",
            r#"{"parameters":{"userId":"<script>"}}"#.to_owned(),
            (422, "invalid_field", "parameters.userId"),
        ),
        (
            "stats-reset",
            format!(r#"{{"parameters":{{"userId":"{user}","more":1}}}}"#),
            (422, "invalid_field", "parameters.more"),
        ),
        (
            "daily-report",
            r#"{"parameters":{"day":"2999-01-01"}}"#.to_owned(),
            (422, "invalid_field", "parameters.day"),
        ),
    ] {
        let reply = app
            .post(&format!("{API}/{job}"), Some("admin"), &body)
            .await;
        assert_eq!(reply.problem(), problem, "{job} {body}");
    }
    for (path, problem) in [
        ("no-such-job/runs", (404, "unknown_job", "")),
        ("health/runs?limit=0", (400, "invalid_query", "limit")),
        ("health/runs?limit=101", (400, "invalid_query", "limit")),
        ("health/runs?limit=ten", (400, "invalid_query", "limit")),
        ("health/runs?cursor=abc", (400, "bad_cursor", "cursor")),
        ("runs/7", (404, "run_not_found", "")),
        (
            "runs/00000000-0000-0000-0000-000000000000",
            (404, "run_not_found", ""),
        ),
        ("reports/2026-06-01", (404, "report_not_found", "")),
        ("reports/yesterday", (422, "invalid_field", "day")),
        ("reports/2026-6-1", (422, "invalid_field", "day")),
    ] {
        let reply = app.get(&format!("{API}/{path}"), Some("admin")).await;
        assert_eq!(reply.problem(), problem, "{path}");
    }
    assert!(
        app.logged::<MaintenanceAsked>().await.is_empty(),
        "nothing was half done"
    );
    // Markup is text like any other.
    let body = format!(
        r#"{{"parameters":{{"userId":"{user}"}},"reason":"<img src=x onerror=alert(1)>"}}"#
    );
    let reply = app
        .post(&format!("{API}/stats-reset"), Some("admin"), &body)
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    app.stop().await;
}

async fn the_log_is_archived_and_snapshot_through_the_api(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    let job = json!({ "enabled": true });
    let events = (0..5).map(|_| event("user.deleted", &job)).collect();
    append(&app.log, events).await;
    let archived = app
        .post(&format!("{API}/log-archive"), Some("admin"), "")
        .await;
    assert_eq!(
        (archived.status, &archived.body["error"]),
        (200, &Value::Null)
    );
    let detail = &archived.body["detail"];
    assert!(detail["archivedTo"].as_i64() >= Some(5), "{detail}");
    assert!(app.log.backed_up_to().await.expect("a position") >= 5);
    let snapshot = app
        .post(&format!("{API}/log-snapshot"), Some("admin"), "")
        .await;
    assert_eq!(snapshot.body["status"], "completed", "{snapshot:?}");
    let position = snapshot.body["detail"]["position"]
        .as_i64()
        .expect("a position");
    let epoch = app.log.epoch().to_string();
    let folder = app.folder.path().join("archive").join(epoch);
    assert!(
        folder
            .join(format!("snapshot-{position:012}.json"))
            .exists()
    );
    app.stop().await;
}

async fn metrics_tell_runs_and_successes(backend: Backend) {
    let app = App::start(&backend, &[], |_| {}).await;
    let body = format!(r#"{{"parameters":{{"userId":"{}"}}}}"#, Uuid::nil());
    app.post(&format!("{API}/stats-reset"), Some("admin"), &body)
        .await;
    let metrics = eventually(PATIENCE, || async {
        let metrics = app.text("/metrics").await;
        metrics
            .contains(r#"maintenance_runs_total{job="stats-reset",outcome="completed"} 1"#)
            .then_some(metrics)
    })
    .await;
    assert!(metrics.contains(r#"maintenance_last_success_seconds{job="stats-reset"}"#));
    assert!(metrics.contains(r#"maintenance_run_seconds_count{job="stats-reset"} 1"#));
    app.stop().await;
}
