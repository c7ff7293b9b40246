//! Accounts on the monolith: the same answers as from the auth service.

use serde_json::{Value, json};
use testkit::Backend;

use crate::app::{Legacy, registration};

testkit::both_databases!(
    accounts_work_as_on_the_auth_service,
    a_refresh_token_is_good_once_and_its_reuse_ends_the_login,
    of_two_registrations_with_one_address_one_gets_a_409,
    bad_input_is_refused_naming_the_field,
    a_restart_finds_accounts_and_questions_as_they_were,
);

async fn accounts_work_as_on_the_auth_service(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let http = &legacy.http;
    let session = http
        .post("/api/auth/register", None, registration("ada"))
        .await;
    assert_eq!(
        (session.status, &session.body["expiresIn"]),
        (201, &json!(900))
    );
    let token = session.text("/accessToken");
    let renamed = http
        .patch(
            "/api/auth/profile",
            Some(&token),
            json!({ "displayName": "Countess" }),
        )
        .await;
    assert_eq!(renamed.text("/displayName"), "Countess");
    let profile = http.get("/api/auth/profile", Some(&token)).await;
    assert_eq!(profile.body, renamed.body);
    assert_eq!(profile.text("/email"), "ada@example.org");

    let change = json!({ "currentPassword": "correct horse", "newPassword": "battery staple" });
    assert_eq!(
        http.post("/api/auth/password", Some(&token), change)
            .await
            .status,
        204
    );
    let login = |password: &str| json!({ "email": "ADA@example.org", "password": password });
    let old = http
        .post("/api/auth/login", None, login("correct horse"))
        .await;
    assert_eq!(old.problem(), (401, "invalid_credentials", ""));
    assert_eq!(
        http.post("/api/auth/login", None, login("battery staple"))
            .await
            .status,
        200
    );

    let guest = http.post("/api/auth/guest", None, json!({})).await;
    assert_eq!(
        (guest.status, &guest.body["user"]["roles"]),
        (201, &json!(["guest"]))
    );
    let keys = http.get("/.well-known/jwks.json", None).await;
    assert_eq!(keys.body["keys"][0]["alg"], "EdDSA");
}

async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_login(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let refresh = async |token: &str| {
        legacy
            .http
            .post("/api/auth/refresh", None, json!({ "refreshToken": token }))
            .await
    };
    let session = legacy.http.post("/api/auth/guest", None, json!({})).await;
    let first = session.text("/refreshToken");
    let second = refresh(&first).await.text("/refreshToken");
    assert_eq!(
        refresh(&first).await.problem(),
        (401, "invalid_refresh_token", "")
    );
    assert_eq!(
        refresh(&second).await.problem(),
        (401, "invalid_refresh_token", "")
    );

    let session = legacy.http.post("/api/auth/guest", None, json!({})).await;
    let token = session.text("/refreshToken");
    let logout = legacy
        .http
        .post("/api/auth/logout", None, json!({ "refreshToken": token }))
        .await;
    assert_eq!(logout.status, 204);
    assert_eq!(
        refresh(&token).await.problem(),
        (401, "invalid_refresh_token", "")
    );
}

async fn of_two_registrations_with_one_address_one_gets_a_409(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let one = legacy
        .http
        .post("/api/auth/register", None, registration("ada"));
    let other = legacy
        .http
        .post("/api/auth/register", None, registration("ada"));
    let (one, other) = tokio::join!(one, other);
    let (winner, loser) = if one.status == 201 {
        (one, other)
    } else {
        (other, one)
    };
    assert_eq!(winner.status, 201);
    assert_eq!(loser.problem(), (409, "email_taken", "email"));
}

async fn bad_input_is_refused_naming_the_field(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let with = |field: &str, value: Value| {
        let mut body = registration("ada");
        body[field] = value;
        body
    };
    for (body, field) in [
        (with("email", json!("nobody")), "email"),
        (with("password", json!("short")), "password"),
        (with("displayName", json!("")), "displayName"),
        (with("admin", json!(true)), "admin"),
    ] {
        let reply = legacy.http.post("/api/auth/register", None, body).await;
        assert_eq!(reply.problem(), (422, "invalid_field", field));
    }
    for token in [None, Some("nonsense")] {
        let reply = legacy.http.get("/api/auth/profile", token).await;
        assert_eq!(reply.problem(), (401, "unauthenticated", ""));
    }
}

async fn a_restart_finds_accounts_and_questions_as_they_were(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let token = legacy.player("ada").await;
    let before = legacy.http.get("/api/questions?limit=100", None).await;
    let legacy = legacy.restart().await;
    assert_eq!(
        legacy
            .http
            .get("/api/auth/profile", Some(&token))
            .await
            .status,
        200
    );
    assert_eq!(
        legacy.http.get("/api/questions?limit=100", None).await,
        before
    );
    assert_eq!(
        legacy
            .http
            .get("/api/admin/questions", Some(&legacy.root().await))
            .await
            .status,
        200
    );
}
