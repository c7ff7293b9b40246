//! Sessions: theft, races, and their end everywhere.

use serde_json::json;
use testkit::Backend;

use crate::app::App;

testkit::both_databases!(
    a_stolen_token_ends_the_family_with_its_newest_token,
    of_many_refreshes_at_once_exactly_one_wins,
    replicas_exchange_one_token_once,
    a_logout_everywhere_ends_all_sessions_of_the_caller_alone,
    a_password_changed_during_a_login_lets_nobody_in_with_the_old_one,
);

const EVERYWHERE: &str = "/api/auth/logout-everywhere";

async fn a_stolen_token_ends_the_family_with_its_newest_token(backend: Backend) {
    let app = App::start(backend).await;
    let stolen = app.registered("ada").await.text("/refreshToken");
    let mut newest = stolen.clone();
    for _ in 0..4 {
        newest = app.refresh(&newest).await.text("/refreshToken");
    }
    let theft = app.refresh(&stolen).await;
    assert_eq!(theft.problem(), (401, "invalid_refresh_token", ""));
    let ended = app.refresh(&newest).await;
    assert_eq!(ended.problem(), (401, "invalid_refresh_token", ""));
}

async fn of_many_refreshes_at_once_exactly_one_wins(backend: Backend) {
    let app = App::start(backend).await;
    let token = app.guest().await.text("/refreshToken");
    let answers = futures::future::join_all((0..8).map(|_| app.refresh(&token))).await;
    let won: Vec<_> = answers.iter().filter(|reply| reply.status == 200).collect();
    let lost = answers.iter().filter(|reply| reply.status == 401).count();
    assert_eq!((won.len(), lost), (1, 7), "{answers:?}");
    // Nobody can say which of them was the thief.
    let newest = won[0].text("/refreshToken");
    assert_eq!(app.refresh(&newest).await.status, 401);
}

async fn replicas_exchange_one_token_once(backend: Backend) {
    let app = App::start(backend).await;
    let replica = app.beside().await;
    for _ in 0..5 {
        let token = app.guest().await.text("/refreshToken");
        let (one, other) = tokio::join!(app.refresh(&token), replica.refresh(&token));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401]);
    }
}

async fn a_logout_everywhere_ends_all_sessions_of_the_caller_alone(backend: Backend) {
    let app = App::start(backend).await;
    let here = app.registered("ada").await;
    let there = app.login("ada", "correct horse").await;
    let other = app.registered("bob").await;
    let without = app.post(EVERYWHERE, None, json!({})).await;
    assert_eq!(without.problem(), (401, "unauthenticated", ""));
    let token = here.text("/accessToken");
    for _ in 0..2 {
        assert_eq!(
            app.post(EVERYWHERE, Some(&token), json!({})).await.status,
            204
        );
    }
    for session in [here, there] {
        let ended = app.refresh(&session.text("/refreshToken")).await;
        assert_eq!(ended.problem(), (401, "invalid_refresh_token", ""));
    }
    assert_eq!(app.refresh(&other.text("/refreshToken")).await.status, 200);
    assert_eq!(app.login("ada", "correct horse").await.status, 200);
}

async fn a_password_changed_during_a_login_lets_nobody_in_with_the_old_one(backend: Backend) {
    let app = App::start(backend).await;
    let token = app.registered("ada").await.text("/accessToken");
    let change = json!({ "currentPassword": "correct horse", "newPassword": "battery staple" });
    let (changed, logged_in) = tokio::join!(
        app.post("/api/auth/password", Some(&token), change),
        app.login("ada", "correct horse")
    );
    assert_eq!(changed.status, 204);
    if logged_in.status == 200 {
        let ended = app.refresh(&logged_in.text("/refreshToken")).await;
        assert_eq!(
            ended.status, 401,
            "it was before the change, which ended it"
        );
    }
}
