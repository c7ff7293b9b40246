//! Forgotten passwords, with a real mail server.

use auth::mail::Settings;
use serde_json::{Value, json};
use testkit::{Backend, eventually};

use crate::{
    app::{App, PATIENCE, Reply},
    post_office::PostOffice,
};

testkit::both_databases!(
    whoever_forgot_the_password_gets_a_way_back_by_mail,
    a_reset_token_is_good_once_and_only_the_newest_is,
    an_unknown_address_gets_the_same_answer_and_no_mail,
    a_mail_waits_while_the_server_is_down_and_arrives_when_it_is_back,
    without_a_server_mails_wait_and_a_restart_with_one_sends_them,
    a_refused_recipient_is_noted_and_not_tried_again,
    a_mail_that_may_have_been_taken_is_not_sent_again,
    what_a_server_puts_off_is_tried_again,
    nothing_that_users_chose_gets_into_a_mail,
);

async fn start(backend: Backend, office: &PostOffice) -> App {
    let settings = office.settings();
    App::start_with(backend, |config| config.mail = Some(settings)).await
}

async fn forgot(app: &App, email: &str) -> Reply {
    let body = json!({ "email": email });
    app.post("/api/auth/password/forgot", None, body).await
}

async fn reset(app: &App, token: &str, password: &str) -> Reply {
    let body = json!({ "token": token, "newPassword": password });
    app.post("/api/auth/password/reset", None, body).await
}

/// What operators see, once it is `wanted`.
async fn shown(app: &App, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(PATIENCE, || async {
        let shown = app.get("/ops/mails", None).await.body;
        wanted(&shown).then_some(shown)
    })
    .await
}

fn count(shown: &Value, state: &str) -> i64 {
    let counts = shown["counts"].as_array().expect("a list");
    let found = counts.iter().find(|count| count["state"] == state);
    found.map_or(0, |count| count["mails"].as_i64().expect("a number"))
}

async fn whoever_forgot_the_password_gets_a_way_back_by_mail(backend: Backend) {
    let office = PostOffice::open().await;
    let app = start(backend, &office).await;
    let session = app.registered("ada").await;
    let asked = forgot(&app, "ADA@example.org").await;
    assert_eq!((asked.status, asked.body), (202, Value::Null));
    let mail = office.received(1).await.remove(0);
    assert_eq!(mail.recipients, "ada@example.org");
    assert!(
        mail.text.contains("\r\nTo: ada@example.org\r\n")
            || mail.text.starts_with("To: ada@example.org"),
        "{}",
        mail.text
    );
    assert!(
        mail.text
            .contains("From: Node-Learn <accounts@example.org>"),
        "{}",
        mail.text
    );

    assert_eq!(
        reset(&app, &mail.token(), "battery staple").await.status,
        204
    );
    assert_eq!(app.login("ada", "correct horse").await.status, 401);
    assert_eq!(app.login("ada", "battery staple").await.status, 200);
    let ended = app.refresh(&session.text("/refreshToken")).await;
    assert_eq!(ended.problem(), (401, "invalid_refresh_token", ""));
}

async fn a_reset_token_is_good_once_and_only_the_newest_is(backend: Backend) {
    let office = PostOffice::open().await;
    let app = start(backend, &office).await;
    app.registered("ada").await;
    forgot(&app, "ada@example.org").await;
    let older = office.received(1).await[0].token();
    shown(&app, |shown| count(shown, "sent") == 1).await;
    forgot(&app, "ada@example.org").await;
    let newer = office.received(2).await[1].token();
    let short = reset(&app, &newer, "short").await;
    assert_eq!(short.problem(), (422, "invalid_field", "newPassword"));
    for token in [older.as_str(), "", "nonsense\u{0}"] {
        let refused = reset(&app, token, "battery staple").await;
        assert_eq!(refused.problem(), (401, "invalid_reset_token", ""));
    }
    let (one, other) = tokio::join!(
        reset(&app, &newer, "battery staple"),
        reset(&app, &newer, "battery staple")
    );
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 401], "one of two at once");

    // A changed password makes a mail that is under way worthless.
    forgot(&app, "ada@example.org").await;
    let third = office.received(3).await[2].token();
    let token = app
        .login("ada", "battery staple")
        .await
        .text("/accessToken");
    let change = json!({ "currentPassword": "battery staple", "newPassword": "correct horse" });
    let changed = app.post("/api/auth/password", Some(&token), change).await;
    assert_eq!(changed.status, 204);
    let late = reset(&app, &third, "battery staple").await;
    assert_eq!(late.problem(), (401, "invalid_reset_token", ""));
}

async fn an_unknown_address_gets_the_same_answer_and_no_mail(backend: Backend) {
    let office = PostOffice::open().await;
    let app = start(backend, &office).await;
    app.registered("ada").await;
    let unknown = forgot(&app, "eve@example.org").await;
    let known = forgot(&app, "ada@example.org").await;
    assert_eq!(unknown, known);
    let mails = office.received(1).await;
    assert_eq!(
        mails[0].recipients, "ada@example.org",
        "hers came, asked for later"
    );
    let nonsense = forgot(&app, "no address").await;
    assert_eq!(nonsense.problem(), (422, "invalid_field", "email"));
}

async fn a_mail_waits_while_the_server_is_down_and_arrives_when_it_is_back(backend: Backend) {
    let mut office = PostOffice::closed();
    let app = start(backend, &office).await;
    app.registered("ada").await;
    assert_eq!(forgot(&app, "ada@example.org").await.status, 202);
    let waiting = shown(&app, |shown| !shown["items"][0]["error"].is_null()).await;
    assert_eq!(count(&waiting, "waiting") + count(&waiting, "sending"), 1);
    office.reopen().await;
    let token = office.received(1).await[0].token();
    assert_eq!(reset(&app, &token, "battery staple").await.status, 204);
    let sent = shown(&app, |shown| count(shown, "sent") == 1).await;
    assert_eq!(sent["items"], json!([]));
}

async fn without_a_server_mails_wait_and_a_restart_with_one_sends_them(backend: Backend) {
    let app = App::start(backend).await;
    app.registered("ada").await;
    for _ in 0..2 {
        assert_eq!(forgot(&app, "ada@example.org").await.status, 202);
    }
    let waiting = shown(&app, |_| true).await;
    assert_eq!(waiting["configured"], false);
    assert_eq!(count(&waiting, "waiting"), 1, "one is enough");
    let office = PostOffice::open().await;
    let settings = Settings {
        reset_link: Some("https://example.org/reset?t={token}".to_owned()),
        ..office.settings()
    };
    let app = app.restart(|config| config.mail = Some(settings)).await;
    let mail = office.received(1).await.remove(0);
    assert!(
        mail.text.contains("https://example.org/reset?t="),
        "{}",
        mail.text
    );
    shown(&app, |shown| count(shown, "sent") == 1).await;
}

async fn a_refused_recipient_is_noted_and_not_tried_again(backend: Backend) {
    let office = PostOffice::open().await;
    let app = start(backend, &office).await;
    app.registered("refused").await;
    app.registered("ada").await;
    forgot(&app, "refused@example.org").await;
    let failed = shown(&app, |shown| count(shown, "failed") == 1).await;
    assert_eq!(failed["items"][0]["attempts"], 1);
    let error = failed["items"][0]["error"].as_str().expect("a reason");
    assert!(error.contains("550"), "{error}");
    // Others are not kept waiting by it.
    forgot(&app, "ada@example.org").await;
    assert_eq!(office.received(1).await[0].recipients, "ada@example.org");
}

async fn a_mail_that_may_have_been_taken_is_not_sent_again(backend: Backend) {
    let office = PostOffice::open().await;
    let app = start(backend, &office).await;
    app.registered("vanishing").await;
    app.registered("ada").await;
    forgot(&app, "vanishing@example.org").await;
    let unknown = shown(&app, |shown| count(shown, "unknown") == 1).await;
    assert_eq!(unknown["items"][0]["attempts"], 1);
    forgot(&app, "ada@example.org").await;
    let mails = office.received(2).await;
    assert_eq!(mails.len(), 2);
    // It did arrive, and is good.
    assert_eq!(
        reset(&app, &mails[0].token(), "battery staple")
            .await
            .status,
        204
    );
}

async fn what_a_server_puts_off_is_tried_again(backend: Backend) {
    let office = PostOffice::open().await;
    let app = start(backend, &office).await;
    app.registered("later").await;
    forgot(&app, "later@example.org").await;
    let put_off = shown(&app, |shown| shown["items"][0]["error"].is_string()).await;
    let error = put_off["items"][0]["error"].as_str().expect("a reason");
    assert!(error.contains("451"), "{error}");
    office.stop_putting_off();
    assert_eq!(office.received(1).await[0].recipients, "later@example.org");
}

async fn nothing_that_users_chose_gets_into_a_mail(backend: Backend) {
    let office = PostOffice::open().await;
    let app = start(backend, &office).await;
    let register = async |email: &str, name: &str| {
        let body = json!({ "email": email, "password": "correct horse", "displayName": name });
        app.post("/api/auth/register", None, body).await
    };
    for email in [
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org,eve@example.org",
        "\"ada\r\nBcc: eve\"@example.org",
        "<ada@example.org>",
        "ada@example.org\0",
    ] {
        let refused = register(email, "Ada").await;
        assert_eq!(
            refused.problem(),
            (422, "invalid_field", "email"),
            "{email:?}"
        );
    }
    let lines = register("ada@example.org", "Ada\r\nBcc: eve@example.org").await;
    assert_eq!(lines.problem(), (422, "invalid_field", "displayName"));
    let hostile = "Win! <eve@example.org>, \"Bcc: eve\"";
    assert_eq!(register("ada@example.org", hostile).await.status, 201);
    forgot(&app, "ada@example.org").await;
    let mail = office.received(1).await.remove(0);
    assert_eq!(mail.recipients, "ada@example.org");
    assert!(
        !mail.text.contains("eve") && !mail.text.contains("Win!"),
        "{}",
        mail.text
    );
}
