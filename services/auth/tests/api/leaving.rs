//! Accounts that are deleted, and stay so.

use contracts::events::{Personal, UserCreated};
use database::params;
use event_store::ReadQuery;
use serde_json::json;
use testkit::{Backend, eventually};

use crate::app::{App, PATIENCE};

testkit::both_databases!(
    who_leaves_is_gone_and_stays_so,
    whoever_has_a_password_must_know_it,
    guests_leave_without_a_password,
    of_two_departures_at_once_one_is_told,
    a_departure_races_whatever_else_the_user_does,
    nothing_of_the_user_is_left,
    the_name_of_who_left_is_unreadable_in_every_event,
);

const PROFILE: &str = "/api/auth/profile";
const DELETED: (u16, &str, &str) = (401, "account_deleted", "");

async fn who_leaves_is_gone_and_stays_so(backend: Backend) {
    let app = App::start(backend).await;
    let ada = app.registered("ada").await;
    let (id, token) = (ada.text("/user/id"), ada.text("/accessToken"));
    let body = Some(json!({ "password": "correct horse" }));
    let left = app.delete(PROFILE, Some(&token), body.clone()).await;
    assert_eq!(left.status, 204, "{left:?}");
    assert_eq!(app.get(PROFILE, Some(&token)).await.problem(), DELETED);
    let rename = json!({ "displayName": "Zombie" });
    assert_eq!(
        app.patch(PROFILE, Some(&token), rename).await.problem(),
        DELETED
    );
    let change = json!({ "currentPassword": "correct horse", "newPassword": "battery staple" });
    let refused = app.post("/api/auth/password", Some(&token), change).await;
    assert_eq!(refused.problem(), DELETED);
    let everywhere = app
        .post("/api/auth/logout-everywhere", Some(&token), json!({}))
        .await;
    assert_eq!(everywhere.problem(), DELETED);
    let upgrade =
        json!({ "email": "z@example.org", "password": "correct horse", "displayName": "Z" });
    let refused = app.post("/api/auth/upgrade", Some(&token), upgrade).await;
    assert_eq!(refused.problem(), DELETED);
    assert_eq!(
        app.delete(PROFILE, Some(&token), body).await.problem(),
        DELETED
    );
    let refresh = app.refresh(&ada.text("/refreshToken")).await;
    assert_eq!(refresh.problem(), (401, "invalid_refresh_token", ""));
    let login = app.login("ada", "correct horse").await;
    assert_eq!(login.problem(), (401, "invalid_credentials", ""));

    let events = app.events_of(&id, 3).await;
    assert_eq!(
        events,
        ["user.created", "user.authenticated", "user.deleted"]
    );
    let again = app.registered("ada").await;
    assert_ne!(
        again.text("/user/id"),
        id,
        "the address is free again, for somebody else"
    );
}

async fn whoever_has_a_password_must_know_it(backend: Backend) {
    let app = App::start(backend).await;
    let token = app.registered("ada").await.text("/accessToken");
    let wrong = (401, "invalid_credentials", "");
    assert_eq!(
        app.delete(PROFILE, None, None).await.problem(),
        (401, "unauthenticated", "")
    );
    assert_eq!(
        app.delete(PROFILE, Some(&token), None).await.problem(),
        wrong
    );
    for body in [
        json!({}),
        json!(null),
        json!({ "password": null }),
        json!({ "password": "wrong" }),
    ] {
        let refused = app.delete(PROFILE, Some(&token), Some(body.clone())).await;
        assert_eq!(refused.problem(), wrong, "{body}");
    }
    for (body, field) in [
        (json!({ "password": 7 }), "password"),
        (json!({ "more": 7 }), "more"),
    ] {
        let refused = app.delete(PROFILE, Some(&token), Some(body)).await;
        assert_eq!(refused.problem(), (422, "invalid_field", field));
    }
    assert_eq!(app.get(PROFILE, Some(&token)).await.status, 200);
}

async fn guests_leave_without_a_password(backend: Backend) {
    let app = App::start(backend).await;
    let token = app.guest().await.text("/accessToken");
    let too_long = Some(json!({ "password": "é".repeat(129) }));
    let refused = app.delete(PROFILE, Some(&token), too_long).await;
    assert_eq!(refused.problem(), (422, "invalid_field", "password"));
    assert_eq!(app.get(PROFILE, Some(&token)).await.status, 200);
    for body in [None, Some(json!({}))] {
        let token = app.guest().await.text("/accessToken");
        assert_eq!(app.delete(PROFILE, Some(&token), body).await.status, 204);
        assert_eq!(app.get(PROFILE, Some(&token)).await.problem(), DELETED);
    }
}

async fn of_two_departures_at_once_one_is_told(backend: Backend) {
    let app = App::start(backend).await;
    let replica = app.beside().await;
    for _ in 0..4 {
        let guest = app.guest().await;
        let (id, token) = (guest.text("/user/id"), guest.text("/accessToken"));
        let (one, other) = tokio::join!(
            app.delete(PROFILE, Some(&token), None),
            replica.delete(PROFILE, Some(&token), None)
        );
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 401], "{one:?} {other:?}");
        let events = app.events_of(&id, 3).await;
        assert_eq!(
            events,
            ["user.created", "user.authenticated", "user.deleted"]
        );
    }
}

async fn a_departure_races_whatever_else_the_user_does(backend: Backend) {
    let app = App::start(backend).await;
    let replica = app.beside().await;
    for round in 0..4 {
        let name = format!("ada{round}");
        let ada = app.registered(&name).await;
        let (id, token) = (ada.text("/user/id"), ada.text("/accessToken"));
        let body = Some(json!({ "password": "correct horse" }));
        let refresh_token = ada.text("/refreshToken");
        let (left, refreshed, renamed, login) = tokio::join!(
            app.delete(PROFILE, Some(&token), body),
            replica.refresh(&refresh_token),
            replica.patch(PROFILE, Some(&token), json!({ "displayName": "Zombie" })),
            replica.login(&name, "correct horse"),
        );
        assert_eq!(left.status, 204, "{left:?}");
        assert!([200, 401].contains(&refreshed.status), "{refreshed:?}");
        assert!([200, 401].contains(&renamed.status), "{renamed:?}");
        assert!([200, 401].contains(&login.status), "{login:?}");
        for session in [refreshed, login] {
            if session.status == 200 {
                let ended = app.refresh(&session.text("/refreshToken")).await;
                assert_eq!(ended.status, 401);
            }
        }
        assert_eq!(app.get(PROFILE, Some(&token)).await.problem(), DELETED);
        let db = app.database().await;
        let id: uuid::Uuid = id.parse().expect("an id");
        let rows: Vec<(i64,)> = db
            .fetch_all(
                "SELECT CAST(1 AS BIGINT) FROM users WHERE id = $1
                 UNION ALL SELECT CAST(1 AS BIGINT) FROM refresh_tokens WHERE user_id = $1",
                params![id],
            )
            .await
            .expect("rows");
        assert_eq!(rows, []);
    }
}

async fn nothing_of_the_user_is_left(backend: Backend) {
    let app = App::start(backend).await;
    let ada = app.registered("ada").await;
    let asked = json!({ "email": "ada@example.org" });
    app.post("/api/auth/password/forgot", None, asked).await;
    let body = Some(json!({ "password": "correct horse" }));
    app.delete(PROFILE, Some(&ada.text("/accessToken")), body)
        .await;
    let mails = app.get("/ops/mails", None).await;
    assert_eq!(
        mails.body["items"],
        json!([]),
        "what waited is not sent any more"
    );
}

async fn the_name_of_who_left_is_unreadable_in_every_event(backend: Backend) {
    let app = App::start(backend).await;
    let ada = app.registered("ada").await;
    let bob = app.registered("bob").await;
    let name_of = async |user: &str| {
        let created = ReadQuery::after(0).stream(format!("user-{user}")).limit(1);
        let stored = app.log.read(&created).await.expect("the log");
        let opened = app
            .log
            .personal()
            .open(stored)
            .await
            .expect("with its keys");
        let payload = opened.first().map(|created| created.event.payload());
        let created: Option<UserCreated> = payload.transpose().expect("its shape");
        created.map(|created| created.display_name)
    };
    let (id, other) = (ada.text("/user/id"), bob.text("/user/id"));
    eventually(PATIENCE, || async {
        name_of(&id).await == Some("ada".into()) && name_of(&other).await == Some("bob".into())
    })
    .await;
    let body = Some(json!({ "password": "correct horse" }));
    let left = app
        .delete(PROFILE, Some(&ada.text("/accessToken")), body)
        .await;
    assert_eq!(left.status, 204);
    eventually(PATIENCE, || async {
        name_of(&id).await == Some(Personal::Erased)
    })
    .await;
    assert!(name_of(&other).await == Some("bob".into()));
    let told = ReadQuery::after(0).stream(format!("personal-{id}"));
    eventually(PATIENCE, || async {
        app.log.read(&told).await.expect("the log").len() == 1
    })
    .await;
}
