//! Registering, profiles, the administrator, and the events that tell of them.

use auth::config::Administrator;
use contracts::{
    Payload,
    events::{UserAuthenticated, UserCreated, UserUpdated},
};
use event_store::ReadQuery;
use serde_json::{Value, json};
use testkit::{Backend, eventually};

use crate::app::{App, PATIENCE, Reply};

pub(crate) fn ada() -> Value {
    json!({ "email": "Ada@Example.org", "password": "correct horse", "displayName": "Ada" })
}

testkit::both_databases!(
    whoever_registers_is_logged_in_and_has_a_profile,
    a_profile_can_be_renamed_and_nothing_else,
    of_two_registrations_with_one_address_one_gets_a_409,
    a_new_password_replaces_the_old_one_and_ends_all_logins,
    guests_play_without_an_account,
    events_tell_of_users_and_never_of_their_addresses,
    the_configured_administrator_is_made_once,
);

async fn whoever_registers_is_logged_in_and_has_a_profile(backend: Backend) {
    let app = App::start(backend).await;
    let session = app.post("/api/auth/register", None, ada()).await;
    assert_eq!(session.status, 201);
    assert_eq!(session.body["tokenType"], "Bearer");
    assert_eq!(session.body["expiresIn"], 900);
    assert_eq!(session.body["user"]["roles"], json!(["user"]));
    let token = session.text("/accessToken");
    let profile = app.get("/api/auth/profile", Some(&token)).await;
    let expected = json!({
        "id": session.body["user"]["id"], "email": "Ada@Example.org",
        "displayName": "Ada", "roles": ["user"],
    });
    assert_eq!(
        profile,
        Reply {
            status: 200,
            body: expected
        }
    );

    let login = json!({ "email": "ada@EXAMPLE.org", "password": "correct horse" });
    let again = app.post("/api/auth/login", None, login).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.body["user"], session.body["user"]);
}

async fn a_profile_can_be_renamed_and_nothing_else(backend: Backend) {
    let app = App::start(backend).await;
    let token = app
        .post("/api/auth/register", None, ada())
        .await
        .text("/accessToken");
    let renamed = app
        .patch(
            "/api/auth/profile",
            Some(&token),
            json!({ "displayName": " Countess " }),
        )
        .await;
    assert_eq!(
        (renamed.status, renamed.text("/displayName")),
        (200, "Countess".to_owned())
    );
    assert_eq!(renamed.text("/email"), "Ada@Example.org");
    let more = json!({ "displayName": "Root", "roles": ["admin"] });
    let refused = app.patch("/api/auth/profile", Some(&token), more).await;
    assert_eq!(refused.problem(), (422, "invalid_field", "roles"));
    let profile = app.get("/api/auth/profile", Some(&token)).await;
    assert_eq!(profile.text("/displayName"), "Countess");
}

async fn of_two_registrations_with_one_address_one_gets_a_409(backend: Backend) {
    let app = App::start(backend).await;
    let one = app.post("/api/auth/register", None, ada());
    let other = app.post("/api/auth/register", None, ada());
    let (one, other) = tokio::join!(one, other);
    let (winner, loser) = if one.status == 201 {
        (one, other)
    } else {
        (other, one)
    };
    assert_eq!(winner.status, 201);
    assert_eq!(loser.problem(), (409, "email_taken", "email"));
    let third = app.post("/api/auth/register", None, ada()).await;
    assert_eq!(third.problem(), (409, "email_taken", "email"));
}

async fn a_new_password_replaces_the_old_one_and_ends_all_logins(backend: Backend) {
    let app = App::start(backend).await;
    let session = app.post("/api/auth/register", None, ada()).await;
    let token = session.text("/accessToken");
    let change =
        |current: &str, new: &str| json!({ "currentPassword": current, "newPassword": new });
    let path = "/api/auth/password";
    let wrong = app
        .post(path, Some(&token), change("wrong horse", "battery staple"))
        .await;
    assert_eq!(wrong.problem(), (401, "invalid_credentials", ""));
    let short = app
        .post(path, Some(&token), change("correct horse", "staple"))
        .await;
    assert_eq!(short.problem(), (422, "invalid_field", "newPassword"));
    let done = app
        .post(
            path,
            Some(&token),
            change("correct horse", "battery staple"),
        )
        .await;
    assert_eq!(done.status, 204);

    let login = |password: &str| json!({ "email": "ada@example.org", "password": password });
    let old = app
        .post("/api/auth/login", None, login("correct horse"))
        .await;
    assert_eq!(old.problem(), (401, "invalid_credentials", ""));
    assert_eq!(
        app.post("/api/auth/login", None, login("battery staple"))
            .await
            .status,
        200
    );
    let refresh = json!({ "refreshToken": session.text("/refreshToken") });
    let ended = app.post("/api/auth/refresh", None, refresh).await;
    assert_eq!(ended.problem(), (401, "invalid_refresh_token", ""));
}

async fn guests_play_without_an_account(backend: Backend) {
    let app = App::start(backend).await;
    let guest = app.post("/api/auth/guest", None, json!({})).await;
    assert_eq!(guest.status, 201);
    assert_eq!(guest.body["user"]["roles"], json!(["guest"]));
    assert!(guest.text("/user/displayName").starts_with("Guest "));
    let token = guest.text("/accessToken");
    let profile = app.get("/api/auth/profile", Some(&token)).await;
    assert_eq!(
        (profile.status, &profile.body["email"]),
        (200, &Value::Null)
    );
    let change = json!({ "currentPassword": "correct horse", "newPassword": "battery staple" });
    let refused = app.post("/api/auth/password", Some(&token), change).await;
    assert_eq!(refused.problem(), (409, "no_password", ""));
}

async fn events_tell_of_users_and_never_of_their_addresses(backend: Backend) {
    let app = App::start(backend).await;
    let session = app.post("/api/auth/register", None, ada()).await;
    let (token, id) = (session.text("/accessToken"), session.text("/user/id"));
    app.patch(
        "/api/auth/profile",
        Some(&token),
        json!({ "displayName": "Countess" }),
    )
    .await;
    let events = eventually(PATIENCE, || async {
        let stream = ReadQuery::after(0).stream(format!("user-{id}"));
        let events = app.log.read(&stream).await.ok()?;
        (events.len() == 3).then_some(events)
    })
    .await;
    let types: Vec<&str> = events.iter().map(|e| e.event.event_type.as_str()).collect();
    assert_eq!(
        types,
        [
            UserCreated::TYPE,
            UserAuthenticated::TYPE,
            UserUpdated::TYPE
        ]
    );
    let opened = app.log.personal().open(events.clone()).await;
    let updated = &opened.expect("with its keys")[2].event;
    let updated: UserUpdated = updated.payload().expect("its shape");
    assert!(updated.display_name == "Countess".into());
    let text = serde_json::to_string(&events)
        .expect("events are JSON")
        .to_lowercase();
    for secret in ["ada@", "example.org", "argon2", "correct horse", "countess"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

async fn the_configured_administrator_is_made_once(backend: Backend) {
    let configure = |password: &str| {
        let password = password.to_owned();
        move |config: &mut auth::Config| {
            config.administrator = Some(Administrator {
                email: "root@example.org".to_owned(),
                password,
                display_name: "Root".to_owned(),
            });
        }
    };
    let login = json!({ "email": "root@example.org", "password": "first password" });
    let app = App::start_with(backend, configure("first password")).await;
    let first = app.post("/api/auth/login", None, login.clone()).await;
    assert_eq!(first.body["user"]["roles"], json!(["user", "admin"]));
    // Another password in the configuration is not another password of the account.
    let app = app.restart(configure("second password")).await;
    let second = app.post("/api/auth/login", None, login).await;
    assert_eq!(second.body["user"], first.body["user"]);
}
