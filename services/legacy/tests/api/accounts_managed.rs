//! Guests who become users, and what administrators do with users: as on the auth service.

use serde_json::{Value, json};
use testkit::Backend;

use crate::app::{Legacy, Reply, bank, choice, registration};

testkit::both_databases!(
    a_guest_becomes_a_user_and_keeps_everything,
    administrators_find_users_and_change_their_roles,
    the_last_administrator_stays_one,
    a_logout_everywhere_ends_all_sessions,
    guessing_is_limited,
    there_are_no_providers_to_sign_in_with,
);

async fn set_roles(legacy: &Legacy, token: &str, id: &str, roles: &[&str]) -> Reply {
    let path = format!("/api/admin/users/{id}/roles");
    legacy
        .http
        .put(&path, Some(token), json!({ "roles": roles }))
        .await
}

async fn a_guest_becomes_a_user_and_keeps_everything(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let guest = legacy.http.post("/api/auth/guest", None, json!({})).await;
    let token = guest.text("/accessToken");
    let played = legacy
        .http
        .answer(&token, None, choice(&bank()[0], "classic", true))
        .await;
    assert_eq!(played.status, 200);
    let stats = legacy.http.get("/api/stats/me", Some(&token)).await.body;
    let taken = legacy
        .http
        .post("/api/auth/upgrade", Some(&token), registration("root"))
        .await;
    assert_eq!(taken.problem(), (409, "email_taken", "email"));
    let user = legacy
        .http
        .post("/api/auth/upgrade", Some(&token), registration("ada"))
        .await;
    assert_eq!(user.status, 200);
    let expected = json!({
        "id": guest.body["user"]["id"], "displayName": "ada", "roles": ["user"],
    });
    assert_eq!(user.body["user"], expected);
    let token = user.text("/accessToken");
    assert_eq!(
        legacy.http.get("/api/stats/me", Some(&token)).await.body,
        stats
    );
    let again = legacy
        .http
        .post("/api/auth/upgrade", Some(&token), registration("bob"))
        .await;
    assert_eq!(again.problem(), (409, "not_a_guest", ""));
}

async fn administrators_find_users_and_change_their_roles(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let root = legacy.root().await;
    for name in ["ada", "bob"] {
        legacy.player(name).await;
    }
    legacy.http.post("/api/auth/guest", None, json!({})).await;
    let list = async |query: &str| {
        let path = format!("/api/admin/users?{query}");
        legacy.http.get(&path, Some(&root)).await
    };
    let found = list("query=ADA").await;
    assert_eq!(found.body["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(found.text("/items/0/email"), "ada@example.org");
    assert_eq!(found.body["nextCursor"], Value::Null);
    let first = list("limit=3").await;
    let second = list(&format!("limit=3&cursor={}", first.text("/nextCursor"))).await;
    assert_eq!(second.body["items"].as_array().map(Vec::len), Some(1));
    for (query, code, field) in [
        ("limit=0", "invalid_query", "limit"),
        ("role=root", "invalid_query", "role"),
        ("cursor=nonsense", "bad_cursor", "cursor"),
    ] {
        assert_eq!(list(query).await.problem(), (400, code, field));
    }

    let id = found.text("/items/0/id");
    let path = format!("/api/admin/users/{id}");
    assert_eq!(
        legacy.http.get(&path, Some(&root)).await.body,
        found.body["items"][0]
    );
    let changed = set_roles(&legacy, &root, &id, &["admin"]).await;
    assert_eq!(
        (changed.status, &changed.body["roles"]),
        (200, &json!(["user", "admin"]))
    );
    let none = set_roles(&legacy, &root, &id, &[]).await;
    assert_eq!(none.problem(), (422, "invalid_field", "roles"));
    let user = list("query=bob").await.text("/items/0/id");
    let token = legacy.player("eve").await;
    let refused = set_roles(&legacy, &token, &user, &["admin"]).await;
    assert_eq!(refused.problem(), (403, "forbidden", ""));
    let guest = list("role=guest").await.text("/items/0/id");
    let refused = set_roles(&legacy, &root, &guest, &["user"]).await;
    assert_eq!(refused.problem(), (409, "guest_has_no_roles", ""));

    let path = format!("/api/admin/users/{user}");
    assert_eq!(legacy.http.delete(&path, Some(&root)).await.status, 204);
    let gone = (404, "user_not_found", "");
    assert_eq!(legacy.http.delete(&path, Some(&root)).await.problem(), gone);
    assert_eq!(legacy.http.get(&path, Some(&root)).await.problem(), gone);
}

async fn the_last_administrator_stays_one(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let root = legacy.root().await;
    let id = legacy
        .http
        .get("/api/auth/profile", Some(&root))
        .await
        .text("/id");
    let last = (409, "last_administrator", "");
    assert_eq!(
        set_roles(&legacy, &root, &id, &["user"]).await.problem(),
        last
    );
    let path = format!("/api/admin/users/{id}");
    assert_eq!(legacy.http.delete(&path, Some(&root)).await.problem(), last);
}

async fn a_logout_everywhere_ends_all_sessions(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let session = legacy
        .http
        .post("/api/auth/register", None, registration("ada"))
        .await;
    let token = session.text("/accessToken");
    let path = "/api/auth/logout-everywhere";
    assert_eq!(legacy.http.post(path, None, json!({})).await.status, 401);
    assert_eq!(
        legacy.http.post(path, Some(&token), json!({})).await.status,
        204
    );
    let refresh = json!({ "refreshToken": session.text("/refreshToken") });
    let ended = legacy.http.post("/api/auth/refresh", None, refresh).await;
    assert_eq!(ended.problem(), (401, "invalid_refresh_token", ""));
}

async fn guessing_is_limited(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    legacy.player("ada").await;
    let login = |password: &str| json!({ "email": "ada@example.org", "password": password });
    for _ in 0..5 {
        let wrong = legacy
            .http
            .post("/api/auth/login", None, login("wrong horse"))
            .await;
        assert_eq!(wrong.problem(), (401, "invalid_credentials", ""));
    }
    let refused = legacy
        .http
        .post("/api/auth/login", None, login("correct horse"))
        .await;
    assert_eq!(refused.problem(), (429, "too_many_attempts", ""));
}

async fn there_are_no_providers_to_sign_in_with(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let none = legacy.http.get("/api/auth/oidc", None).await;
    assert_eq!((none.status, none.body), (200, json!({ "items": [] })));
    let unknown = (404, "unknown_provider", "provider");
    for path in [
        "/api/auth/oidc/google",
        "/api/auth/oidc/google/callback?state=x&code=y",
    ] {
        assert_eq!(legacy.http.get(path, None).await.problem(), unknown);
    }
    let token = legacy.player("ada").await;
    let link = legacy
        .http
        .post("/api/auth/oidc/google/link", Some(&token), json!({}))
        .await;
    assert_eq!(link.problem(), unknown);
}
