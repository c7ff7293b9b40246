//! Access tokens, refresh tokens, and their ends.

use auth::{domain::User, keys::SigningKey};
use chassis::identity::Verifier;
use serde_json::{Value, json};
use testkit::Backend;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    accounts::ada,
    app::{App, Reply},
};

testkit::both_databases!(
    a_refresh_token_is_good_once_and_its_reuse_ends_the_login,
    a_refresh_token_raced_is_exchanged_once,
    a_login_ends_with_its_logout,
    the_published_keys_verify_the_tokens,
    what_is_no_good_token_is_401,
);

async fn refresh(app: &App, token: &str) -> Reply {
    app.post("/api/auth/refresh", None, json!({ "refreshToken": token }))
        .await
}

async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_login(backend: Backend) {
    let app = App::start(backend).await;
    let first = app
        .post("/api/auth/register", None, ada())
        .await
        .text("/refreshToken");
    let other_login = json!({ "email": "ada@example.org", "password": "correct horse" });
    let other = app
        .post("/api/auth/login", None, other_login)
        .await
        .text("/refreshToken");

    let exchanged = refresh(&app, &first).await;
    assert_eq!(exchanged.status, 200);
    let second = exchanged.text("/refreshToken");
    assert_ne!(first, second);
    assert_eq!(
        refresh(&app, &first).await.problem(),
        (401, "invalid_refresh_token", "")
    );
    // Whoever holds the second one may be the thief.
    assert_eq!(
        refresh(&app, &second).await.problem(),
        (401, "invalid_refresh_token", "")
    );
    assert_eq!(
        refresh(&app, &other).await.status,
        200,
        "another login is not concerned"
    );
}

async fn a_refresh_token_raced_is_exchanged_once(backend: Backend) {
    let app = App::start(backend).await;
    let token = app
        .post("/api/auth/guest", None, json!({}))
        .await
        .text("/refreshToken");
    let (one, other) = tokio::join!(refresh(&app, &token), refresh(&app, &token));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

async fn a_login_ends_with_its_logout(backend: Backend) {
    let app = App::start(backend).await;
    let token = app
        .post("/api/auth/register", None, ada())
        .await
        .text("/refreshToken");
    let body = json!({ "refreshToken": token });
    assert_eq!(
        app.post("/api/auth/logout", None, body.clone())
            .await
            .status,
        204
    );
    assert_eq!(app.post("/api/auth/logout", None, body).await.status, 204);
    assert_eq!(
        refresh(&app, &token).await.problem(),
        (401, "invalid_refresh_token", "")
    );
}

async fn the_published_keys_verify_the_tokens(backend: Backend) {
    let app = App::start(backend).await;
    let session = app.post("/api/auth/register", None, ada()).await;
    let verifier = Verifier::jwks(app.url("/.well-known/jwks.json"));
    let claims = verifier
        .verify(&session.text("/accessToken"))
        .await
        .expect("a good token");
    assert_eq!(claims.sub.to_string(), session.text("/user/id"));
    assert_eq!(
        (claims.name.as_str(), claims.exp - claims.iat),
        ("Ada", 900)
    );
    let keys = app.get("/.well-known/jwks.json", None).await;
    assert_eq!(keys.body["keys"][0]["kty"], "OKP");
    assert_eq!(
        keys.body["keys"][0]["d"],
        Value::Null,
        "never the private part"
    );
}

async fn what_is_no_good_token_is_401(backend: Backend) {
    let app = App::start(backend).await;
    let user = User::guest(Uuid::now_v7());
    let sign = |path: &str, age: Duration| {
        let key = SigningKey::load_or_create(&app.folder.path().join(path)).expect("a key");
        key.sign(&user.claims(OffsetDateTime::now_utc() - age, Uuid::now_v7()))
            .expect("a token")
    };
    let good = sign("signing.pem", Duration::ZERO);
    assert_eq!(app.get("/api/auth/profile", Some(&good)).await.status, 200);

    let expired = sign("signing.pem", Duration::hours(1));
    let foreign = sign("another.pem", Duration::ZERO);
    let mut forged: Vec<&str> = good.split('.').collect();
    let claims = sign("signing.pem", Duration::seconds(5));
    forged[1] = claims.split('.').nth(1).expect("claims");
    let forged = forged.join(".");
    for (what, token) in [
        ("none", None),
        ("nonsense", Some("nonsense")),
        ("expired", Some(&*expired)),
        ("of another key", Some(&*foreign)),
        ("with changed claims", Some(&*forged)),
    ] {
        let reply = app.get("/api/auth/profile", token).await;
        assert_eq!(reply.problem(), (401, "unauthenticated", ""), "{what}");
    }
}
