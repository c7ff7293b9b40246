//! Maintenance on the monolith: the same paths and bodies as the maintenance service, from its own
//! tables.

use std::time::Duration;

use database::{Database, Options, Timestamp, params};
use serde_json::{Value, json};
use testkit::{Backend, eventually};

use crate::app::{Legacy, PATIENCE, bank, choice};

testkit::both_databases!(
    only_administrators_maintain,
    the_jobs_are_those_of_the_service,
    guests_who_were_not_here_for_long_go,
    expired_tokens_and_old_rows_go,
    a_reset_takes_stats_and_scores_and_leaves_badges,
    a_day_is_reported,
    what_is_about_the_log_has_nothing_to_do,
    a_run_is_found_again_and_a_key_is_one_run,
    a_run_whose_process_is_gone_has_ended_for_whoever_looks,
    what_is_not_acceptable_is_refused_naming_the_field,
);

const API: &str = "/api/admin/maintenance";

/// Far longer than anything here is kept.
const LONG: Duration = Duration::from_secs(400 * 24 * 60 * 60);

async fn database(legacy: &Legacy) -> Database {
    legacy.backend.open(Options::default()).await
}

async fn count(db: &Database, sql: &'static str) -> i64 {
    let (count,): (i64,) = db.fetch_one(sql, params![]).await.expect("a count");
    count
}

/// Runs a job to its end.
async fn run(legacy: &Legacy, job: &str, body: Value) -> Value {
    let root = legacy.root().await;
    let reply = legacy
        .http
        .post(&format!("{API}/{job}"), Some(&root), body)
        .await;
    assert_eq!(
        (reply.status, &reply.body["status"]),
        (200, &json!("completed")),
        "{reply:?}"
    );
    reply.body
}

async fn only_administrators_maintain(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let player = legacy.player("ada").await;
    for (token, problem) in [
        (None, (401, "unauthenticated", "")),
        (Some(player.as_str()), (403, "forbidden", "")),
    ] {
        for path in ["", "/health/runs", "/runs/7", "/reports/2026-06-01"] {
            let reply = legacy.http.get(&format!("{API}{path}"), token).await;
            assert_eq!(reply.problem(), problem, "{path}");
        }
        let reply = legacy
            .http
            .post(&format!("{API}/health"), token, json!({}))
            .await;
        assert_eq!(reply.problem(), problem);
    }
}

async fn the_jobs_are_those_of_the_service(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let ended = run(&legacy, "health", json!({})).await;
    let list = legacy.http.get(API, Some(&legacy.root().await)).await;
    let items = list.body["items"].as_array().expect("items").clone();
    let names: Vec<&str> = items
        .iter()
        .filter_map(|job| job["name"].as_str())
        .collect();
    let expected: Vec<&str> = maintenance::domain::JOBS
        .iter()
        .map(|job| job.name)
        .collect();
    assert_eq!(names, expected);
    assert_eq!(items[3]["lastRun"], ended);
    assert_eq!(ended["detail"], json!({ "services": {}, "findings": [] }));
}

async fn guests_who_were_not_here_for_long_go(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let db = database(&legacy).await;
    let guest = legacy.http.post("/api/auth/guest", None, json!({})).await;
    let old = Timestamp::system() - LONG;
    for sql in [
        "UPDATE users SET updated_at = $1, created_at = $1",
        "UPDATE refresh_tokens SET issued_at = $1",
    ] {
        db.execute(sql, params![old]).await.expect("older");
    }
    let fresh = legacy.http.post("/api/auth/guest", None, json!({})).await;
    legacy.player("ada").await;
    let ended = run(&legacy, "guest-cleanup", json!({})).await;
    assert_eq!(
        ended["detail"],
        json!({ "services": { "auth": { "guests": 1 } } })
    );
    let profile = |reply: &crate::app::Reply| reply.text("/accessToken");
    let gone = legacy
        .http
        .get("/api/auth/profile", Some(&profile(&guest)))
        .await;
    assert_eq!(gone.problem(), (401, "account_deleted", ""));
    let here = legacy
        .http
        .get("/api/auth/profile", Some(&profile(&fresh)))
        .await;
    assert_eq!(here.status, 200);
}

async fn expired_tokens_and_old_rows_go(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let db = database(&legacy).await;
    let token = legacy.player("ada").await;
    let answer = choice(&bank()[0], "classic", true);
    let reply = legacy.http.answer(&token, Some("key"), answer).await;
    assert_eq!(reply.status, 200);
    let old = Timestamp::system() - LONG;
    for sql in [
        "UPDATE refresh_tokens SET expires_at = $1",
        "UPDATE idempotency_keys SET created_at = $1",
    ] {
        db.execute(sql, params![old]).await.expect("older");
    }
    // Signing in as root makes a token that is good.
    let ended = run(&legacy, "expired-tokens", json!({})).await;
    assert!(ended["detail"]["services"]["auth"]["refreshTokens"].is_number());
    assert_eq!(count(&db, "SELECT COUNT(*) FROM refresh_tokens").await, 1);
    let ended = run(&legacy, "retention", json!({})).await;
    assert_eq!(ended["detail"]["services"]["quiz"]["idempotencyKeys"], 1);
    assert_eq!(count(&db, "SELECT COUNT(*) FROM idempotency_keys").await, 0);
}

async fn a_reset_takes_stats_and_scores_and_leaves_badges(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (http, token) = (&legacy.http, legacy.player("ada").await);
    let answer = http
        .answer(&token, None, choice(&bank()[0], "classic", true))
        .await;
    assert_eq!(answer.status, 200);
    let user = http
        .get("/api/auth/profile", Some(&token))
        .await
        .text("/id");
    let badges = http.get("/api/achievements/me", Some(&token)).await.body;
    let body = json!({ "parameters": { "userId": user }, "reason": "asked for it" });
    let ended = run(&legacy, "stats-reset", body).await;
    assert_eq!(ended["detail"], json!({ "userId": user }));
    let stats = http.get("/api/stats/me", Some(&token)).await.body;
    assert_eq!(
        (&stats["answered"], &stats["streak"]),
        (&json!(0), &json!(0))
    );
    for period in ["all", "day", "week"] {
        let path = format!("/api/leaderboard?quizMode=classic&period={period}");
        let board = http.get(&path, Some(&token)).await;
        assert_eq!(board.status, 200, "{board:?}");
        assert_eq!(
            (&board.body["top"], &board.body["me"]),
            (&json!([]), &Value::Null),
            "{period}"
        );
    }
    assert_eq!(
        http.get("/api/achievements/me", Some(&token)).await.body,
        badges
    );
    // What the player does now counts again.
    let again = choice(&bank()[1], "classic", true);
    assert_eq!(http.answer(&token, None, again).await.status, 200);
    let stats = http.get("/api/stats/me", Some(&token)).await.body;
    assert_eq!(stats["answered"], 1);
}

async fn a_day_is_reported(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let db = database(&legacy).await;
    let token = legacy.player("ada").await;
    legacy.http.post("/api/auth/guest", None, json!({})).await;
    for (question, is_right) in [(0, true), (1, false)] {
        let answer = choice(&bank()[question], "timed", is_right);
        assert_eq!(legacy.http.answer(&token, None, answer).await.status, 200);
    }
    let noon = "2026-06-01T12:00:00Z";
    let noon: Timestamp = serde_json::from_value(json!(noon)).expect("a time");
    for sql in [
        "UPDATE users SET created_at = $1",
        "UPDATE answers SET answered_at = $1",
        "UPDATE achievements SET unlocked_at = $1",
    ] {
        db.execute(sql, params![noon]).await.expect("that day");
    }
    let badges = count(&db, "SELECT COUNT(*) FROM achievements").await;
    let body = json!({ "parameters": { "day": "2026-06-01" } });
    let ended = run(&legacy, "daily-report", body).await;
    let root = legacy.root().await;
    let report = legacy
        .http
        .get(&format!("{API}/reports/2026-06-01"), Some(&root))
        .await;
    assert_eq!(report.status, 200, "{report:?}");
    assert_eq!(report.body, ended["detail"]["report"]);
    let answers = json!({ "submitted": 2, "completed": 2, "failed": 0, "correct": 1 });
    assert_eq!(
        (&report.body["answers"], &report.body["byMode"]["timed"]),
        (&answers, &answers)
    );
    assert_eq!(
        (&report.body["newUsers"], &report.body["newGuests"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(report.body["badgesUnlocked"], badges);
    let other = legacy
        .http
        .get(&format!("{API}/reports/2026-06-02"), Some(&root))
        .await;
    assert_eq!(other.problem(), (404, "report_not_found", ""));
}

async fn what_is_about_the_log_has_nothing_to_do(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    for job in ["log-archive", "log-snapshot"] {
        let ended = run(&legacy, job, json!({})).await;
        assert_eq!(
            ended["detail"],
            json!({ "note": "There is no event log here." })
        );
    }
}

async fn a_run_is_found_again_and_a_key_is_one_run(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let root = legacy.root().await;
    let first = run(&legacy, "retention", json!({ "reason": "spring" })).await;
    let second = run(&legacy, "retention", json!({})).await;
    let path = format!("{API}/runs/{}", first["id"].as_str().expect("an id"));
    assert_eq!(legacy.http.get(&path, Some(&root)).await.body, first);
    let page = legacy
        .http
        .get(&format!("{API}/retention/runs?limit=1"), Some(&root))
        .await;
    assert_eq!(page.body["items"], json!([second]));
    let cursor = page.text("/nextCursor");
    let path = format!("{API}/retention/runs?limit=1&cursor={cursor}");
    let page = legacy.http.get(&path, Some(&root)).await;
    assert_eq!(
        (&page.body["items"], &page.body["nextCursor"]),
        (&json!([first]), &Value::Null)
    );

    // A run whose process died does not keep the next one out for ever.
    let db = database(&legacy).await;
    let sql = "UPDATE maintenance_runs SET status = 'running', finished_at = NULL
               WHERE status = 'completed' AND started_at = (SELECT MAX(started_at) FROM maintenance_runs)";
    db.execute(sql, params![]).await.expect("running");
    let refused = legacy
        .http
        .post(&format!("{API}/retention"), Some(&root), json!({}))
        .await;
    assert_eq!(refused.problem(), (409, "already_running", ""));
    assert_eq!(refused.body["runId"], second["id"]);
    let long_ago = Timestamp::system() - Duration::from_secs(60 * 60);
    db.execute(
        "UPDATE maintenance_runs SET started_at = $1 WHERE status = 'running'",
        params![long_ago],
    )
    .await
    .expect("older");
    eventually(PATIENCE, || async {
        let reply = legacy
            .http
            .post(&format!("{API}/retention"), Some(&root), json!({}))
            .await;
        reply.status == 200
    })
    .await;
}

async fn what_is_not_acceptable_is_refused_naming_the_field(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (http, root) = (&legacy.http, legacy.root().await);
    for (job, body, problem) in [
        ("no-such-job", json!({}), (404, "unknown_job", "")),
        (
            "health",
            json!({ "force": true }),
            (422, "invalid_field", "force"),
        ),
        (
            "health",
            json!({ "reason": "a\u{0}" }),
            (422, "invalid_field", "reason"),
        ),
        (
            "stats-reset",
            json!({}),
            (422, "invalid_field", "parameters.userId"),
        ),
    ] {
        let reply = http.post(&format!("{API}/{job}"), Some(&root), body).await;
        assert_eq!(reply.problem(), problem, "{job}");
    }
    for (path, problem) in [
        ("no-such-job/runs", (404, "unknown_job", "")),
        ("health/runs?limit=0", (400, "invalid_query", "limit")),
        ("health/runs?cursor=abc", (400, "bad_cursor", "cursor")),
        ("runs/7", (404, "run_not_found", "")),
        ("reports/yesterday", (422, "invalid_field", "day")),
    ] {
        let reply = http.get(&format!("{API}/{path}"), Some(&root)).await;
        assert_eq!(reply.problem(), problem, "{path}");
    }
}

async fn a_run_whose_process_is_gone_has_ended_for_whoever_looks(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let db = database(&legacy).await;
    // A body of null is none.
    let ended = run(&legacy, "health", Value::Null).await;
    let root = legacy.root().await;
    let id = ended["id"].as_str().expect("an id");
    for path in [
        format!("{API}/runs/{id}"),
        format!("{API}/health/runs"),
        API.to_owned(),
    ] {
        db.execute(
            "UPDATE maintenance_runs SET status = 'running', finished_at = NULL, started_at = $1",
            params![Timestamp::system() - LONG],
        )
        .await
        .expect("running");
        let reply = legacy.http.get(&path, Some(&root)).await;
        assert_eq!(reply.status, 200, "{path}");
        let text = reply.body.to_string();
        assert!(text.contains("timed_out"), "{path}: {text}");
    }
}
