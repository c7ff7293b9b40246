//! A guest becomes a user.

use serde_json::{Value, json};
use testkit::Backend;

use crate::app::App;

testkit::both_databases!(
    a_guest_becomes_a_user_with_the_same_id,
    of_two_upgrades_at_once_one_wins,
    whoever_is_no_guest_is_not_upgraded,
    a_taken_address_leaves_the_guest_a_guest,
);

const UPGRADE: &str = "/api/auth/upgrade";

fn ada() -> Value {
    json!({ "email": "Ada@example.org", "password": "correct horse", "displayName": "Ada" })
}

async fn a_guest_becomes_a_user_with_the_same_id(backend: Backend) {
    let app = App::start(backend).await;
    let guest = app.guest().await;
    let id = guest.text("/user/id");
    let user = app
        .post(UPGRADE, Some(&guest.text("/accessToken")), ada())
        .await;
    assert_eq!(user.status, 200, "{user:?}");
    let expected = json!({ "id": id, "displayName": "Ada", "roles": ["user"] });
    assert_eq!(user.body["user"], expected);
    let profile = app
        .get("/api/auth/profile", Some(&user.text("/accessToken")))
        .await;
    assert_eq!(profile.text("/email"), "Ada@example.org");
    assert_eq!(app.refresh(&guest.text("/refreshToken")).await.status, 401);
    assert_eq!(app.refresh(&user.text("/refreshToken")).await.status, 200);
    assert_eq!(
        app.login("ada", "correct horse").await.body["user"],
        expected
    );
    let events = app.events_of(&id, 4).await;
    let expected = [
        "user.created",
        "user.authenticated",
        "user.updated",
        "user.authenticated",
    ];
    assert_eq!(events[..4], expected);
}

async fn of_two_upgrades_at_once_one_wins(backend: Backend) {
    let app = App::start(backend).await;
    let (one, other) = (app.guest().await, app.guest().await);
    let (token, others) = (one.text("/accessToken"), other.text("/accessToken"));
    let mut bob = ada();
    bob["email"] = json!("bob@example.org");
    let twice = tokio::join!(
        app.post(UPGRADE, Some(&token), ada()),
        app.post(UPGRADE, Some(&token), bob)
    );
    let (winner, loser) = if twice.0.status == 200 {
        twice
    } else {
        (twice.1, twice.0)
    };
    assert_eq!(winner.status, 200);
    assert_eq!(loser.problem(), (409, "not_a_guest", ""));

    let third = app.guest().await.text("/accessToken");
    let mut eve = ada();
    eve["email"] = json!("eve@example.org");
    let same = tokio::join!(
        app.post(UPGRADE, Some(&others), eve.clone()),
        app.post(UPGRADE, Some(&third), eve)
    );
    let (winner, loser) = if same.0.status == 200 {
        same
    } else {
        (same.1, same.0)
    };
    assert_eq!(winner.status, 200);
    assert_eq!(loser.problem(), (409, "email_taken", "email"));
}

async fn whoever_is_no_guest_is_not_upgraded(backend: Backend) {
    let app = App::start(backend).await;
    assert_eq!(
        app.post(UPGRADE, None, ada()).await.problem(),
        (401, "unauthenticated", "")
    );
    let user = app.registered("bob").await.text("/accessToken");
    let refused = app.post(UPGRADE, Some(&user), ada()).await;
    assert_eq!(refused.problem(), (409, "not_a_guest", ""));
    let guest = app.guest().await.text("/accessToken");
    assert_eq!(app.post(UPGRADE, Some(&guest), ada()).await.status, 200);
    let mut again = ada();
    again["email"] = json!("again@example.org");
    // The token still says guest; the account does not.
    let refused = app.post(UPGRADE, Some(&guest), again).await;
    assert_eq!(refused.problem(), (409, "not_a_guest", ""));
}

async fn a_taken_address_leaves_the_guest_a_guest(backend: Backend) {
    let app = App::start(backend).await;
    app.registered("ada").await;
    let guest = app.guest().await;
    let token = guest.text("/accessToken");
    let taken = app.post(UPGRADE, Some(&token), ada()).await;
    assert_eq!(taken.problem(), (409, "email_taken", "email"));
    for (field, value) in [
        ("email", "nobody"),
        ("password", "short"),
        ("displayName", "a\u{7}"),
    ] {
        let mut body = ada();
        body[field] = json!(value);
        let refused = app.post(UPGRADE, Some(&token), body).await;
        assert_eq!(refused.problem(), (422, "invalid_field", field));
    }
    let profile = app.get("/api/auth/profile", Some(&token)).await;
    assert_eq!(profile.body["roles"], json!(["guest"]));
    assert_eq!(app.refresh(&guest.text("/refreshToken")).await.status, 200);
}
