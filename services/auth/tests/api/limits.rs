//! What guessing costs.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use testkit::Backend;

use crate::app::App;

testkit::both_databases!(
    after_five_wrong_passwords_even_the_right_one_has_to_wait,
    a_stranger_cannot_lock_the_owner_out,
    a_right_password_forgets_the_wrong_ones_before,
    of_many_guesses_at_once_no_more_are_looked_at,
    one_address_cannot_try_many_accounts,
    many_addresses_cannot_try_one_account,
    replicas_count_together,
    unknown_tokens_are_limited_by_address,
    mails_are_limited,
    the_own_password_cannot_be_guessed_with_a_stolen_token,
);

const LOGIN: &str = "/api/auth/login";

fn guess(password: &str) -> Value {
    json!({ "email": "ada@example.org", "password": password })
}

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

async fn after_five_wrong_passwords_even_the_right_one_has_to_wait(backend: Backend) {
    let app = App::start(backend).await;
    app.registered("ada").await;
    for _ in 0..5 {
        let (wrong, _) = app.post_from("192.0.2.1", LOGIN, guess("wrong")).await;
        assert_eq!(wrong.problem(), (401, "invalid_credentials", ""));
    }
    for password in ["wrong", "correct horse"] {
        let (refused, wait) = app.post_from("192.0.2.1", LOGIN, guess(password)).await;
        assert_eq!(refused.problem(), (429, "too_many_attempts", ""));
        let wait = wait.expect("told when to come again");
        assert!((1..=30).contains(&wait), "{wait}");
    }
    // An unknown account is no different.
    let unknown = json!({ "email": "eve@example.org", "password": "wrong" });
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(
            app.post_from("192.0.2.1", LOGIN, unknown.clone())
                .await
                .0
                .status,
        );
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
}

async fn a_stranger_cannot_lock_the_owner_out(backend: Backend) {
    let app = App::start(backend).await;
    app.registered("ada").await;
    for _ in 0..7 {
        app.post_from("192.0.2.1", LOGIN, guess("wrong")).await;
    }
    let (owner, _) = app
        .post_from("192.0.2.2", LOGIN, guess("correct horse"))
        .await;
    assert_eq!(owner.status, 200);
    // Only what the gateway itself says counts, not what the client put before it.
    let (stranger, _) = app
        .post_from("192.0.2.2, 192.0.2.1", LOGIN, guess("correct horse"))
        .await;
    assert_eq!(stranger.status, 429);
}

async fn a_right_password_forgets_the_wrong_ones_before(backend: Backend) {
    let app = App::start(backend).await;
    app.registered("ada").await;
    for _ in 0..3 {
        for _ in 0..4 {
            let (wrong, _) = app.post_from("192.0.2.1", LOGIN, guess("wrong")).await;
            assert_eq!(wrong.status, 401);
        }
        let (right, _) = app
            .post_from("192.0.2.1", LOGIN, guess("correct horse"))
            .await;
        assert_eq!(right.status, 200);
    }
}

async fn of_many_guesses_at_once_no_more_are_looked_at(backend: Backend) {
    let app = App::start(backend).await;
    app.registered("ada").await;
    let guesses = (0..20).map(|_| app.post_from("192.0.2.1", LOGIN, guess("wrong")));
    let answers = futures::future::join_all(guesses).await;
    let looked_at = answers
        .iter()
        .filter(|(reply, _)| reply.status == 401)
        .count();
    let refused = answers
        .iter()
        .filter(|(reply, _)| reply.status == 429)
        .count();
    assert_eq!((looked_at, refused), (5, 15));
}

async fn one_address_cannot_try_many_accounts(backend: Backend) {
    let app = App::start_with(backend, |config| config.limits.address_failures = number(6)).await;
    app.registered("ada").await;
    for n in 0..6 {
        let body = json!({ "email": format!("user{n}@example.org"), "password": "123456789" });
        let (wrong, _) = app.post_from("2001:db8::1", LOGIN, body).await;
        assert_eq!(wrong.status, 401);
    }
    let (refused, wait) = app
        .post_from("2001:db8::2", LOGIN, guess("correct horse"))
        .await;
    assert_eq!(
        refused.problem(),
        (429, "too_many_attempts", ""),
        "the same network"
    );
    assert!(wait.is_some());
    let (other, _) = app
        .post_from("2001:db8:1::1", LOGIN, guess("correct horse"))
        .await;
    assert_eq!(other.status, 200);
}

async fn many_addresses_cannot_try_one_account(backend: Backend) {
    let app = App::start_with(backend, |config| config.limits.account_failures = number(6)).await;
    app.registered("ada").await;
    let (home, _) = app
        .post_from("192.0.2.200", LOGIN, guess("correct horse"))
        .await;
    assert_eq!(home.status, 200);
    for n in 0..6 {
        let (wrong, _) = app
            .post_from(&format!("192.0.2.{n}"), LOGIN, guess("wrong"))
            .await;
        assert_eq!(wrong.status, 401);
    }
    let (elsewhere, _) = app
        .post_from("192.0.2.100", LOGIN, guess("correct horse"))
        .await;
    assert_eq!(elsewhere.problem(), (429, "too_many_attempts", ""));
    let (home, _) = app
        .post_from("192.0.2.200", LOGIN, guess("correct horse"))
        .await;
    assert_eq!(home.status, 200, "the owner at home is not locked out");
}

async fn replicas_count_together(backend: Backend) {
    let app = App::start(backend).await;
    app.registered("ada").await;
    let replica = app.beside().await;
    for _ in 0..3 {
        app.post_from("192.0.2.1", LOGIN, guess("wrong")).await;
    }
    for _ in 0..2 {
        replica.post_from("192.0.2.1", LOGIN, guess("wrong")).await;
    }
    for one in [&app, &replica] {
        let (refused, _) = one
            .post_from("192.0.2.1", LOGIN, guess("correct horse"))
            .await;
        assert_eq!(refused.status, 429);
    }
}

async fn unknown_tokens_are_limited_by_address(backend: Backend) {
    let app = App::start_with(backend, |config| config.limits.token_failures = number(3)).await;
    let good = app.guest().await.text("/refreshToken");
    let refresh = |token: &str| json!({ "refreshToken": token });
    let path = "/api/auth/refresh";
    for n in 0..2 {
        let token = format!("unknown-{n}");
        let (wrong, _) = app.post_from("192.0.2.1", path, refresh(&token)).await;
        assert_eq!(wrong.status, 401);
    }
    let reset = json!({ "token": "unknown", "newPassword": "battery staple" });
    let (wrong, _) = app
        .post_from("192.0.2.1", "/api/auth/password/reset", reset.clone())
        .await;
    assert_eq!(wrong.status, 401);
    let (refused, wait) = app.post_from("192.0.2.1", path, refresh(&good)).await;
    assert_eq!((refused.status, wait.is_some()), (429, true));
    let (refused, _) = app
        .post_from("192.0.2.1", "/api/auth/password/reset", reset)
        .await;
    assert_eq!(refused.problem(), (429, "too_many_attempts", ""));
    let (elsewhere, _) = app.post_from("192.0.2.2", path, refresh(&good)).await;
    assert_eq!(elsewhere.status, 200);
}

async fn mails_are_limited(backend: Backend) {
    let app = App::start(backend).await;
    app.registered("ada").await;
    let path = "/api/auth/password/forgot";
    let ask = json!({ "email": "ada@example.org" });
    for _ in 0..3 {
        let (asked, _) = app.post_from("192.0.2.1", path, ask.clone()).await;
        assert_eq!(asked.status, 202);
    }
    let (refused, wait) = app.post_from("192.0.2.1", path, ask.clone()).await;
    assert_eq!(refused.problem(), (429, "too_many_attempts", ""));
    assert!(wait.is_some());
    let (elsewhere, _) = app.post_from("192.0.2.2", path, ask).await;
    assert_eq!(elsewhere.status, 202);
}

async fn the_own_password_cannot_be_guessed_with_a_stolen_token(backend: Backend) {
    let app = App::start(backend).await;
    let token = app.registered("ada").await.text("/accessToken");
    let change = json!({ "currentPassword": "wrong horse", "newPassword": "battery staple" });
    let path = "/api/auth/password";
    for _ in 0..3 {
        let wrong = app.post(path, Some(&token), change.clone()).await;
        assert_eq!(wrong.status, 401);
    }
    for _ in 0..2 {
        let body = Some(json!({ "password": "wrong horse" }));
        let wrong = app.delete("/api/auth/profile", Some(&token), body).await;
        assert_eq!(wrong.problem(), (401, "invalid_credentials", ""));
    }
    let refused = app.post(path, Some(&token), change).await;
    assert_eq!(refused.problem(), (429, "too_many_attempts", ""));
}
