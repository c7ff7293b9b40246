//! Both sides of a move: tokens, passwords and questions of one are good on the other.

use admin::domain::Question;
use contracts::{
    Event, Payload,
    events::{QuestionDeleted, QuestionUpdated},
};
use event_store::{Append, Expected, Log};
use serde_json::{Value, json};
use testkit::{Backend, eventually};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::{Legacy, PATIENCE, ROOT, Reply, Server, bank, choice, registration};

testkit::both_databases!(
    a_token_of_either_side_is_good_on_the_other,
    imported_users_log_in_with_their_passwords,
    an_import_never_overwrites_what_changed_here,
    whoever_registered_on_both_sides_keeps_both_accounts,
    questions_follow_the_monolith_with_every_import,
    what_an_event_wrote_no_import_overwrites,
);

fn login(name: &str, password: &str) -> Value {
    json!({ "email": format!("{name}@example.org"), "password": password })
}

async fn import(server: &Server) -> (i64, i64, i64) {
    let reply = server.post("/ops/import", None, json!({})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let count = |name: &str| reply.body[name].as_i64().expect("a count");
    (count("inserted"), count("updated"), count("skipped"))
}

async fn a_token_of_either_side_is_good_on_the_other(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (auth, _database) = legacy.auth_beside().await;
    let there = auth
        .post("/api/auth/register", None, registration("ada"))
        .await;
    let token = there.text("/accessToken");
    let told = legacy
        .http
        .answer(&token, None, choice(&bank()[0], "classic", true))
        .await;
    assert_eq!(told.status, 200, "legacy takes the user in by the token");
    let board = legacy
        .http
        .get("/api/leaderboard?quizMode=classic", Some(&token))
        .await;
    assert_eq!(board.body["me"]["displayName"], "ada");
    assert_eq!(board.body["me"]["userId"], there.body["user"]["id"]);

    let here = legacy.player("eve").await;
    let profile = auth.get("/api/auth/profile", Some(&here)).await;
    assert_eq!(
        (profile.status, profile.text("/displayName")),
        (200, "eve".to_owned())
    );

    let root = json!({ "email": ROOT.0, "password": ROOT.1 });
    let one = legacy
        .http
        .post("/api/auth/login", None, root.clone())
        .await;
    let other = auth.post("/api/auth/login", None, root).await;
    assert_eq!(
        one.body["user"], other.body["user"],
        "the administrator is one user"
    );
    let reply = legacy
        .http
        .get("/api/admin/questions", Some(&other.text("/accessToken")))
        .await;
    assert_eq!(reply.status, 200);
}

async fn imported_users_log_in_with_their_passwords(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let ada = legacy
        .http
        .post("/api/auth/register", None, registration("ada"))
        .await;
    let (auth, _database) = legacy.auth_beside().await;
    let user = eventually(PATIENCE, || async {
        let reply = auth
            .post("/api/auth/login", None, login("ada", "correct horse"))
            .await;
        (reply.status == 200).then(|| reply.body["user"].clone())
    })
    .await;
    assert_eq!(
        user, ada.body["user"],
        "imported at the start, with the same id"
    );

    legacy.player("eve").await;
    let (inserted, updated, _) = import(&auth).await;
    assert_eq!((inserted, updated), (1, 0));
    assert_eq!(
        auth.post("/api/auth/login", None, login("eve", "correct horse"))
            .await
            .status,
        200
    );
    let (inserted, updated, skipped) = import(&auth).await;
    assert_eq!((inserted, updated), (0, 0), "a repeat changes nothing");
    assert!(skipped >= 2);
}

async fn an_import_never_overwrites_what_changed_here(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (ada, eve) = (legacy.player("ada").await, legacy.player("eve").await);
    let (auth, _database) = legacy.auth_beside().await;
    import(&auth).await;
    let rename = |name: &str| json!({ "displayName": name });
    let path = "/api/auth/profile";
    auth.patch(path, Some(&ada), rename("Changed here")).await;
    legacy
        .http
        .patch(path, Some(&ada), rename("Changed there"))
        .await;
    legacy
        .http
        .patch(path, Some(&eve), rename("Changed there"))
        .await;
    let (inserted, updated, _) = import(&auth).await;
    assert_eq!((inserted, updated), (0, 1), "only eve's row");
    let shown = async |token: &str| auth.get(path, Some(token)).await.text("/displayName");
    assert_eq!(shown(&ada).await, "Changed here");
    assert_eq!(shown(&eve).await, "Changed there");

    // Somebody whom only a token made known here, and who changed the name here already.
    let late = legacy.player("late").await;
    auth.patch(path, Some(&late), rename("Renamed before"))
        .await;
    import(&auth).await;
    assert_eq!(shown(&late).await, "Renamed before");
    let logged_in = auth
        .post("/api/auth/login", None, login("late", "correct horse"))
        .await;
    assert_eq!(
        logged_in.status, 200,
        "the credentials came with the import"
    );
}

async fn whoever_registered_on_both_sides_keeps_both_accounts(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (auth, _database) = legacy.auth_beside().await;
    let here = auth
        .post("/api/auth/register", None, registration("ada"))
        .await;
    let there = legacy
        .http
        .post("/api/auth/register", None, registration("ada"))
        .await;
    assert_ne!(here.body["user"]["id"], there.body["user"]["id"]);
    let (inserted, updated, _) = import(&auth).await;
    assert_eq!((inserted, updated), (0, 0));
    let again = auth
        .post("/api/auth/login", None, login("ada", "correct horse"))
        .await;
    assert_eq!(again.body["user"], here.body["user"]);
}

async fn append<P: Payload>(log: &Log, question: Uuid, version: i64, payload: &P) {
    let id = Uuid::now_v7();
    let event = Event {
        id,
        event_type: P::TYPE.to_owned(),
        stream: format!("question-{question}"),
        aggregate_id: question.to_string(),
        version,
        schema_version: P::SCHEMA_VERSION,
        payload: serde_json::to_value(payload).expect("JSON"),
        timestamp: OffsetDateTime::now_utc(),
        correlation_id: id,
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: "admin".to_owned(),
        traceparent: None,
    };
    let append = Append {
        event,
        expected: Expected::Any,
    };
    log.append(vec![append]).await.expect("an append");
}

/// Edits a question's text in the monolith.
async fn edit(legacy: &Legacy, root: &str, question: &Question, text: &str) {
    let mut body = serde_json::to_value(question.curated()).expect("JSON");
    body["text"] = json!(text);
    let fields = body.as_object_mut().expect("an object");
    fields.remove("id");
    fields.remove("version");
    let path = format!("/api/admin/questions/{}", question.id);
    assert_eq!(legacy.http.put(&path, Some(root), body).await.status, 200);
}

/// The question service, once it holds the whole bank.
async fn filled(legacy: &Legacy) -> (Server, Backend, Log) {
    let beside = legacy.question_beside().await;
    let whole = bank().len() as i64;
    eventually(PATIENCE, || async {
        import(&beside.0).await == (0, 0, whole)
    })
    .await;
    beside
}

fn path(question: &Question) -> String {
    format!("/api/questions/{}", question.id)
}

fn without_trace(mut reply: Reply) -> Reply {
    if let Some(body) = reply.body.as_object_mut() {
        body.remove("traceId");
    }
    reply
}

async fn questions_follow_the_monolith_with_every_import(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (service, _database, _log) = filled(&legacy).await;
    let (root, bank) = (legacy.root().await, bank());
    for path in [
        "/api/questions?limit=100",
        "/api/questions?limit=7&q=what%20doe",
        "/api/questions?q=HTTP%2F2",
        "/api/questions?q=%2A",
        "/api/questions?tag=postgresql&difficulty=hard",
        "/api/questions/categories",
        "/api/questions/tags",
        "/api/questions/random?category=cooking",
    ] {
        let (here, there) = (
            legacy.http.get(path, None).await,
            service.get(path, None).await,
        );
        assert_eq!(without_trace(here.clone()), without_trace(there), "{path}");
        let tags = (
            legacy.http.revalidate(path, "").await,
            service.revalidate(path, "").await,
        );
        assert_eq!(tags.0, tags.1, "{path}");
        if let Some(cursor) = here.body["nextCursor"].as_str() {
            let next = format!("{path}&cursor={cursor}");
            assert_eq!(
                service.get(&next, None).await,
                legacy.http.get(&next, None).await
            );
        }
    }
    edit(&legacy, &root, &bank[0], "Edited in the monolith?").await;
    let removed = format!("/api/admin/questions/{}", bank[1].id);
    assert_eq!(legacy.http.delete(&removed, Some(&root)).await.status, 204);
    assert_eq!(import(&service).await, (0, 2, bank.len() as i64 - 2));
    let shown = service.get(&path(&bank[0]), None).await;
    assert_eq!(shown.text("/text"), "Edited in the monolith?");
    let gone = service.get(&path(&bank[1]), None).await;
    assert_eq!(gone.problem(), (404, "question_not_found", ""));
}

async fn what_an_event_wrote_no_import_overwrites(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (service, _database, log) = filled(&legacy).await;
    let (root, bank) = (legacy.root().await, bank());
    let updated = QuestionUpdated {
        text: "Edited by an event?".to_owned(),
        ..bank[0].updated()
    };
    append(&log, bank[0].id, 1, &updated).await;
    let deleted = QuestionDeleted {
        question_id: bank[1].id,
        version: 2,
    };
    append(&log, bank[1].id, 1, &deleted).await;
    let gone = path(&bank[1]);
    eventually(PATIENCE, || async {
        service.get(&gone, None).await.status == 404
    })
    .await;
    edit(&legacy, &root, &bank[0], "Edited in the monolith?").await;
    edit(&legacy, &root, &bank[1], "Edited in the monolith, too?").await;
    assert_eq!(import(&service).await, (0, 0, bank.len() as i64));
    let shown = service.get(&path(&bank[0]), None).await;
    assert_eq!(shown.text("/text"), "Edited by an event?");
    assert_eq!(
        service.get(&gone, None).await.status,
        404,
        "an import brings nothing back"
    );
}
