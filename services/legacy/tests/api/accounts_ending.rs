//! Accounts that are deleted on the monolith: every row of the user goes, and nothing else.

use database::params;
use serde_json::{Value, json};
use testkit::Backend;
use uuid::Uuid;

use crate::app::{Legacy, bank, choice, registration};

testkit::both_databases!(
    who_leaves_is_gone_from_every_table,
    a_token_of_somebody_who_left_plays_no_more,
    of_two_departures_at_once_one_counts,
    guests_leave_without_a_password_and_others_not,
    nobody_else_loses_anything,
);

const PROFILE: &str = "/api/auth/profile";
const DELETED: (u16, &str, &str) = (401, "account_deleted", "");
const USER_TABLES: [&str; 9] = [
    "answers",
    "stats",
    "mode_stats",
    "players",
    "achievements",
    "leaderboard",
    "idempotency_keys",
    "refresh_tokens",
    "draws",
];

async fn leave(legacy: &Legacy, token: &str) -> (u16, String) {
    let body = json!({ "password": "correct horse" });
    let reply = legacy.http.delete_with(PROFILE, token, body).await;
    (reply.status, reply.problem().1.to_owned())
}

/// Rows about the user, by table.
async fn rows(legacy: &Legacy, user: &str) -> Vec<(&'static str, i64)> {
    let db = legacy.backend.open(database::Options::default()).await;
    let id: Uuid = user.parse().expect("an id");
    let mut found = Vec::new();
    for table in USER_TABLES {
        let sql: &'static str = match table {
            "answers" => "SELECT CAST(COUNT(*) AS BIGINT) FROM answers WHERE user_id = $1",
            "stats" => "SELECT CAST(COUNT(*) AS BIGINT) FROM stats WHERE user_id = $1",
            "mode_stats" => "SELECT CAST(COUNT(*) AS BIGINT) FROM mode_stats WHERE user_id = $1",
            "players" => "SELECT CAST(COUNT(*) AS BIGINT) FROM players WHERE user_id = $1",
            "achievements" => {
                "SELECT CAST(COUNT(*) AS BIGINT) FROM achievements WHERE user_id = $1"
            }
            "leaderboard" => "SELECT CAST(COUNT(*) AS BIGINT) FROM leaderboard WHERE user_id = $1",
            "idempotency_keys" => {
                "SELECT CAST(COUNT(*) AS BIGINT) FROM idempotency_keys WHERE user_id = $1"
            }
            "draws" => "SELECT CAST(COUNT(*) AS BIGINT) FROM draws WHERE user_id = $1",
            _ => "SELECT CAST(COUNT(*) AS BIGINT) FROM refresh_tokens WHERE user_id = $1",
        };
        let (count,): (i64,) = db.fetch_one(sql, params![id]).await.expect("a count");
        found.push((table, count));
    }
    found
}

/// A user who has rows in every table; id and token.
async fn player(legacy: &Legacy, name: &str) -> (String, String) {
    let session = legacy
        .http
        .post("/api/auth/register", None, registration(name))
        .await;
    let token = session.text("/accessToken");
    for (n, question) in bank().iter().take(5).enumerate() {
        let key = format!("{name}-{n}");
        let answer = choice(question, "classic", true);
        let reply = legacy.http.answer(&token, Some(&key), answer).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let drawn = legacy.http.get("/api/questions/random", Some(&token)).await;
    assert_eq!(drawn.status, 200);
    (session.text("/user/id"), token)
}

async fn who_leaves_is_gone_from_every_table(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (id, token) = player(&legacy, "ada").await;
    for (table, count) in rows(&legacy, &id).await {
        assert!(count > 0, "the test leaves {table} empty");
    }
    assert_eq!(leave(&legacy, &token).await.0, 204);
    for (table, count) in rows(&legacy, &id).await {
        assert_eq!(count, 0, "{table}");
    }
    let login = json!({ "email": "ada@example.org", "password": "correct horse" });
    let login = legacy.http.post("/api/auth/login", None, login).await;
    assert_eq!(login.problem(), (401, "invalid_credentials", ""));
    let board = legacy
        .http
        .get("/api/leaderboard?quizMode=classic", None)
        .await;
    assert!(!board.body.to_string().contains(&id), "{board:?}");
}

async fn a_token_of_somebody_who_left_plays_no_more(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (_, token) = player(&legacy, "ada").await;
    leave(&legacy, &token).await;
    let answer = choice(&bank()[7], "classic", true);
    let played = legacy.http.answer(&token, None, answer).await;
    assert_eq!(played.problem(), DELETED);
    let http = &legacy.http;
    assert_eq!(http.get(PROFILE, Some(&token)).await.problem(), DELETED);
    let rename = json!({ "displayName": "Zombie" });
    assert_eq!(
        http.patch(PROFILE, Some(&token), rename).await.problem(),
        DELETED
    );
    let change = json!({ "currentPassword": "correct horse", "newPassword": "battery staple" });
    let refused = http.post("/api/auth/password", Some(&token), change).await;
    assert_eq!(refused.problem(), DELETED);
    assert_eq!(
        leave(&legacy, &token).await,
        (401, "account_deleted".to_owned())
    );
}

async fn of_two_departures_at_once_one_counts(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    for round in 0..3 {
        let (id, token) = player(&legacy, &format!("ada{round}")).await;
        let answer = choice(&bank()[9], "timed", true);
        let (one, other, played) = tokio::join!(
            leave(&legacy, &token),
            leave(&legacy, &token),
            legacy.http.answer(&token, None, answer)
        );
        let mut statuses = [one.0, other.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 401]);
        assert!([200, 401].contains(&played.status), "{played:?}");
        for (table, count) in rows(&legacy, &id).await {
            assert_eq!(count, 0, "{table}");
        }
    }
}

async fn guests_leave_without_a_password_and_others_not(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let guest = legacy.http.post("/api/auth/guest", None, json!({})).await;
    let left = legacy
        .http
        .delete(PROFILE, Some(&guest.text("/accessToken")))
        .await;
    assert_eq!(left.status, 204);
    let token = legacy.player("ada").await;
    let wrong = (401, "invalid_credentials", "");
    assert_eq!(
        legacy.http.delete(PROFILE, Some(&token)).await.problem(),
        wrong
    );
    let body = json!({ "password": "wrong horse" });
    assert_eq!(
        legacy
            .http
            .delete_with(PROFILE, &token, body)
            .await
            .problem(),
        wrong
    );
    let root = legacy.root().await;
    let last = legacy
        .http
        .delete_with(PROFILE, &root, json!({ "password": "correct horse" }))
        .await;
    assert_eq!(last.problem(), (409, "last_administrator", ""));
}

async fn nobody_else_loses_anything(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (_, leaver) = player(&legacy, "ada").await;
    let (stays, token) = player(&legacy, "bob").await;
    let before = rows(&legacy, &stays).await;
    let stats = async || legacy.http.get("/api/stats/me", Some(&token)).await.body;
    let counted: Value = stats().await;
    assert_eq!(leave(&legacy, &leaver).await.0, 204);
    assert_eq!(rows(&legacy, &stays).await, before);
    assert_eq!(stats().await, counted);
}
