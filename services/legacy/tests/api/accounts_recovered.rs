//! Forgotten passwords on the monolith, with a real mail server.

use serde_json::json;
use testkit::Backend;

use crate::{app::Legacy, post_office::PostOffice};

testkit::both_databases!(
    whoever_forgot_the_password_gets_a_way_back_by_mail,
    without_a_server_the_answer_is_the_same,
    what_a_server_puts_off_is_tried_again,
);

async fn whoever_forgot_the_password_gets_a_way_back_by_mail(backend: Backend) {
    let mut office = PostOffice::closed();
    let settings = office.settings();
    let legacy = Legacy::start_with(backend, |config| config.mail = Some(settings)).await;
    legacy.player("ada").await;
    let ask = json!({ "email": "ada@example.org" });
    let http = &legacy.http;
    assert_eq!(
        http.post("/api/auth/password/forgot", None, ask)
            .await
            .status,
        202
    );
    office.reopen().await;
    let mail = office.received(1).await.remove(0);
    assert_eq!(mail.recipients, "ada@example.org");
    let reset = json!({ "token": mail.token(), "newPassword": "battery staple" });
    let path = "/api/auth/password/reset";
    assert_eq!(http.post(path, None, reset.clone()).await.status, 204);
    let again = http.post(path, None, reset).await;
    assert_eq!(again.problem(), (401, "invalid_reset_token", ""));
    let login = json!({ "email": "ada@example.org", "password": "battery staple" });
    assert_eq!(http.post("/api/auth/login", None, login).await.status, 200);
}

async fn without_a_server_the_answer_is_the_same(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    legacy.player("ada").await;
    for email in ["ada@example.org", "eve@example.org"] {
        let ask = json!({ "email": email });
        let asked = legacy
            .http
            .post("/api/auth/password/forgot", None, ask)
            .await;
        assert_eq!(asked.status, 202);
    }
    let nonsense = json!({ "email": "nobody" });
    let refused = legacy
        .http
        .post("/api/auth/password/forgot", None, nonsense)
        .await;
    assert_eq!(refused.problem(), (422, "invalid_field", "email"));
}

async fn what_a_server_puts_off_is_tried_again(backend: Backend) {
    let office = PostOffice::open().await;
    let settings = office.settings();
    let legacy = Legacy::start_with(backend, |config| config.mail = Some(settings)).await;
    legacy.player("later").await;
    let ask = json!({ "email": "later@example.org" });
    let path = "/api/auth/password/forgot";
    assert_eq!(legacy.http.post(path, None, ask).await.status, 202);
    office.stop_putting_off();
    assert_eq!(office.received(1).await[0].recipients, "later@example.org");
}
