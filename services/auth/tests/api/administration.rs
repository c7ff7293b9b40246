//! What administrators see of users, and what they make of them.

use serde_json::{Value, json};
use testkit::Backend;
use uuid::Uuid;

use crate::app::{App, Reply};

testkit::both_databases!(
    administrators_find_users_page_by_page,
    what_is_no_list_is_refused,
    only_administrators_manage_users,
    new_roles_count_from_the_next_token_on,
    the_last_administrator_stays_one,
    of_two_administrators_who_remove_each_other_one_stays,
    a_former_administrator_has_no_power_left,
    bad_roles_are_refused,
    an_administrator_removes_a_user,
);

const USERS: &str = "/api/admin/users";

async fn set_roles(app: &App, token: &str, id: &str, roles: &[&str]) -> Reply {
    let path = format!("{USERS}/{id}/roles");
    app.put(&path, Some(token), json!({ "roles": roles })).await
}

async fn names(app: &App, token: &str, query: &str) -> Vec<String> {
    let page = app.get(&format!("{USERS}?{query}"), Some(token)).await;
    let items = page.body["items"]
        .as_array()
        .unwrap_or_else(|| panic!("{page:?}"));
    items
        .iter()
        .map(|user| user["displayName"].as_str().expect("a name").to_owned())
        .collect()
}

async fn administrators_find_users_page_by_page(backend: Backend) {
    let (app, root) = App::administered(backend).await;
    for name in ["ada", "bob", "b_b"] {
        app.registered(name).await;
    }
    app.guest().await;
    assert_eq!(names(&app, &root, "query=ADA").await, ["ada"]);
    assert_eq!(names(&app, &root, "query=bob%40example").await, ["bob"]);
    assert_eq!(names(&app, &root, "query=b_b").await, ["b_b"], "no pattern");
    assert_eq!(names(&app, &root, "query=%25").await, [""; 0]);
    assert_eq!(names(&app, &root, "role=admin").await, ["Root"]);
    assert_eq!(names(&app, &root, "role=guest").await.len(), 1);
    assert_eq!(
        names(&app, &root, "role=user&query=o").await.len(),
        4,
        "by name or address"
    );

    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{USERS}?limit=2{cursor}");
        let page = app.get(&path, Some(&root)).await;
        let items = page.body["items"].as_array().expect("items");
        found.extend(items.iter().map(|user| user["id"].clone()));
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found.len(), 5);
    let mut ids: Vec<String> = found
        .iter()
        .map(|id| id.as_str().expect("an id").to_owned())
        .collect();
    let in_order = ids.clone();
    ids.sort();
    ids.dedup();
    assert_eq!(ids, in_order);

    let one = app.get(&format!("{USERS}/{}", ids[1]), Some(&root)).await;
    assert_eq!(one.status, 200);
    assert!(one.body["createdAt"].is_string() && one.body["email"].is_string());
}

async fn what_is_no_list_is_refused(backend: Backend) {
    let (app, root) = App::administered(backend).await;
    app.registered("ada").await;
    let page = app.get(&format!("{USERS}?limit=1"), Some(&root)).await;
    let cursor = page.text("/nextCursor");
    let long = "x".repeat(255);
    for (query, code, field) in [
        ("limit=0".to_owned(), "invalid_query", "limit"),
        ("limit=101".to_owned(), "invalid_query", "limit"),
        ("limit=ten".to_owned(), "invalid_query", "limit"),
        ("role=root".to_owned(), "invalid_query", "role"),
        (format!("query={long}"), "invalid_query", "query"),
        ("query=%00".to_owned(), "invalid_query", "query"),
        ("cursor=nonsense".to_owned(), "bad_cursor", "cursor"),
        (format!("cursor={cursor}x"), "bad_cursor", "cursor"),
        (format!("role=user&cursor={cursor}"), "bad_cursor", "cursor"),
    ] {
        let refused = app.get(&format!("{USERS}?{query}"), Some(&root)).await;
        assert_eq!(refused.problem(), (400, code, field), "{query}");
    }
    for id in ["nonsense".to_owned(), Uuid::now_v7().to_string()] {
        let path = format!("{USERS}/{id}");
        let missing = (404, "user_not_found", "");
        assert_eq!(app.get(&path, Some(&root)).await.problem(), missing);
        assert_eq!(
            app.delete(&path, Some(&root), None).await.problem(),
            missing
        );
        assert_eq!(
            set_roles(&app, &root, &id, &["user"]).await.problem(),
            missing
        );
    }
}

async fn only_administrators_manage_users(backend: Backend) {
    let (app, _) = App::administered(backend).await;
    let ada = app.registered("ada").await;
    let (token, id) = (ada.text("/accessToken"), ada.text("/user/id"));
    let path = format!("{USERS}/{id}");
    for (token, expected) in [
        (None, (401, "unauthenticated", "")),
        (Some(token.as_str()), (403, "forbidden", "")),
    ] {
        assert_eq!(app.get(USERS, token).await.problem(), expected);
        assert_eq!(app.get(&path, token).await.problem(), expected);
        assert_eq!(app.delete(&path, token, None).await.problem(), expected);
        let roles = json!({ "roles": ["admin"] });
        let refused = app.put(&format!("{path}/roles"), token, roles).await;
        assert_eq!(refused.problem(), expected);
    }
}

async fn new_roles_count_from_the_next_token_on(backend: Backend) {
    let (app, root) = App::administered(backend).await;
    let ada = app.registered("ada").await;
    let id = ada.text("/user/id");
    let changed = set_roles(&app, &root, &id, &["admin"]).await;
    assert_eq!(
        (changed.status, &changed.body["roles"]),
        (200, &json!(["user", "admin"]))
    );
    let ended = app.refresh(&ada.text("/refreshToken")).await;
    assert_eq!(ended.status, 401, "old logins end");
    let old = app.get(USERS, Some(&ada.text("/accessToken"))).await;
    assert_eq!(old.problem(), (403, "forbidden", ""));
    let new = app.login("ada", "correct horse").await.text("/accessToken");
    assert_eq!(app.get(USERS, Some(&new)).await.status, 200);
    let again = set_roles(&app, &root, &id, &["user", "admin"]).await;
    assert_eq!(again.status, 200);
    let events = app.events_of(&id, 4).await;
    let updates = events.iter().filter(|kind| *kind == "user.updated").count();
    assert_eq!(updates, 1, "what changes nothing is no event");
}

async fn the_last_administrator_stays_one(backend: Backend) {
    let (app, root) = App::administered(backend).await;
    let id = app.get("/api/auth/profile", Some(&root)).await.text("/id");
    let last = (409, "last_administrator", "");
    assert_eq!(set_roles(&app, &root, &id, &["user"]).await.problem(), last);
    let path = format!("{USERS}/{id}");
    assert_eq!(app.delete(&path, Some(&root), None).await.problem(), last);
    let body = Some(json!({ "password": "correct horse" }));
    assert_eq!(
        app.delete("/api/auth/profile", Some(&root), body)
            .await
            .problem(),
        last
    );
    assert_eq!(app.get(USERS, Some(&root)).await.status, 200);
}

async fn of_two_administrators_who_remove_each_other_one_stays(backend: Backend) {
    let (app, root) = App::administered(backend).await;
    let root_id = app.get("/api/auth/profile", Some(&root)).await.text("/id");
    for round in 0..4 {
        let name = format!("ada{round}");
        let id = app.registered(&name).await.text("/user/id");
        assert_eq!(set_roles(&app, &root, &id, &["admin"]).await.status, 200);
        let ada = app.login(&name, "correct horse").await.text("/accessToken");
        let (one, other) = tokio::join!(
            set_roles(&app, &root, &id, &["user"]),
            set_roles(&app, &ada, &root_id, &["user"]),
        );
        let statuses = [one.status, other.status];
        assert!(statuses.contains(&200), "{one:?} {other:?}");
        let administrators = names(
            &app,
            &if one.status == 200 {
                root.clone()
            } else {
                ada.clone()
            },
            "role=admin",
        )
        .await;
        assert_eq!(administrators.len(), 1, "{one:?} {other:?}");
        if one.status == 200 {
            continue;
        }
        // Back to where the next round begins.
        assert_eq!(
            set_roles(&app, &ada, &root_id, &["admin"]).await.status,
            200
        );
        assert_eq!(set_roles(&app, &root, &id, &["user"]).await.status, 200);
    }
}

async fn a_former_administrator_has_no_power_left(backend: Backend) {
    let (app, root) = App::administered(backend).await;
    let id = app.registered("ada").await.text("/user/id");
    set_roles(&app, &root, &id, &["admin"]).await;
    let ada = app.login("ada", "correct horse").await.text("/accessToken");
    assert_eq!(app.get(USERS, Some(&ada)).await.status, 200);
    set_roles(&app, &root, &id, &["user"]).await;
    // The token is good for some minutes more, and says admin.
    let refused = app.get(USERS, Some(&ada)).await;
    assert_eq!(refused.problem(), (403, "forbidden", ""));
}

async fn bad_roles_are_refused(backend: Backend) {
    let (app, root) = App::administered(backend).await;
    let guest = app.guest().await.text("/user/id");
    let refused = set_roles(&app, &root, &guest, &["user"]).await;
    assert_eq!(refused.problem(), (409, "guest_has_no_roles", ""));
    let id = app.registered("ada").await.text("/user/id");
    let path = format!("{USERS}/{id}/roles");
    for (body, field) in [
        (json!({ "roles": [] }), "roles"),
        (json!({ "roles": ["user", "user", "user"] }), "roles"),
        (json!({ "roles": ["guest"] }), "roles[0]"),
        (json!({ "roles": "admin" }), "roles"),
        (json!({ "roles": null }), "roles"),
        (json!({}), "roles"),
        (json!({ "roles": ["user"], "more": 1 }), "more"),
    ] {
        let refused = app.put(&path, Some(&root), body.clone()).await;
        assert_eq!(refused.problem(), (422, "invalid_field", field), "{body}");
    }
    let unchanged = app.get(&format!("{USERS}/{id}"), Some(&root)).await;
    assert_eq!(unchanged.body["roles"], json!(["user"]));
}

async fn an_administrator_removes_a_user(backend: Backend) {
    let (app, root) = App::administered(backend).await;
    let ada = app.registered("ada").await;
    let (id, token) = (ada.text("/user/id"), ada.text("/accessToken"));
    let path = format!("{USERS}/{id}");
    let (one, other) = tokio::join!(
        app.delete(&path, Some(&root), None),
        app.delete(&path, Some(&root), None)
    );
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404]);
    let gone = app.get("/api/auth/profile", Some(&token)).await;
    assert_eq!(gone.problem(), (401, "account_deleted", ""));
    let events = app.events_of(&id, 3).await;
    assert_eq!(
        events.iter().filter(|kind| *kind == "user.deleted").count(),
        1
    );
    assert_eq!(
        app.get(&path, Some(&root)).await.body["code"],
        Value::from("user_not_found")
    );
}
