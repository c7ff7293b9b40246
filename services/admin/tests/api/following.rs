//! Beside the monolith: its questions, then its edits, become ours; what both edited stays ours.

use std::time::{Duration, Instant};

use admin::config::Interval;
use contracts::Recorded;
use database::{Database, Migrations, Options, Timestamp, params};
use serde_json::{Value, json};
use testkit::{Backend, eventually};
use uuid::Uuid;

use crate::app::{App, Home, PATIENCE, draft};

testkit::both_databases!(
    the_first_import_is_silent_and_every_edit_after_it_is_an_event,
    two_replicas_take_each_edit_once,
    what_both_sides_edited_stays_ours_and_is_listed,
    without_following_a_repeated_import_is_silent,
);

pub(crate) const PATH: &str = "/api/admin/questions";

/// The monolith's database.
pub(crate) struct Monolith {
    pub(crate) backend: Backend,
    pub(crate) db: Database,
}

impl Monolith {
    pub(crate) async fn new(beside: &Backend) -> Self {
        let backend = match beside.name {
            "postgres" => Backend::postgres().await,
            _ => Backend::sqlite(),
        };
        let db = backend.open(Options::default()).await;
        let tables = Migrations::new(
            "legacy",
            sqlx::migrate!("../../migrations/legacy/postgres"),
            sqlx::migrate!("../../migrations/legacy/sqlite"),
        );
        db.migrate(tables).await.expect("tables");
        Self { backend, db }
    }

    /// Writes a question as the monolith does; its time is now.
    pub(crate) async fn write(&self, id: Uuid, number: usize, version: i64) {
        let now = self.now().await;
        self.write_at(now, id, number, version).await;
    }

    pub(crate) async fn now(&self) -> Timestamp {
        self.db.now().await.expect("a time")
    }

    pub(crate) async fn write_at(&self, at: Timestamp, id: Uuid, number: usize, version: i64) {
        let fields = draft(number);
        let text = |name: &str| fields[name].as_str().expect("a text").to_owned();
        self.db
            .execute(
                "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                        tags, version, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
                 ON CONFLICT (id) DO UPDATE SET text = excluded.text, version = excluded.version,
                     updated_at = excluded.updated_at, deleted_at = NULL",
                params![
                    id,
                    text("text"),
                    text("category"),
                    text("difficulty"),
                    fields["choices"].clone(),
                    text("correctChoiceId"),
                    json!(["http", "ports"]),
                    version,
                    at
                ],
            )
            .await
            .expect("a write");
    }

    /// Becomes one that was never upgraded.
    pub(crate) async fn forget_tags(&self) {
        if self.backend.name == "sqlite" {
            for sql in [
                "DROP TRIGGER question_tags_added",
                "DROP TRIGGER question_tags_changed",
                "DROP TRIGGER question_tags_removed",
            ] {
                self.db.execute(sql, params![]).await.expect("dropped");
            }
        }
        let sql = "ALTER TABLE questions DROP COLUMN tags";
        self.db.execute(sql, params![]).await.expect("dropped");
    }

    async fn delete(&self, id: Uuid) {
        let now = self.now().await;
        self.db
            .execute(
                "UPDATE questions SET deleted_at = $2, updated_at = $2, version = version + 1
                 WHERE id = $1",
                params![id, now],
            )
            .await
            .expect("a deletion");
    }
}

pub(crate) async fn follow(home: &Home, monolith: &Monolith) -> App {
    home.start_with(|config| {
        config.legacy_database = Some(monolith.backend.url.clone());
        config.legacy_follow = Some(Interval::try_from("100ms".to_owned()).expect("an interval"));
    })
    .await
}

/// Waits until the service shows so many questions.
pub(crate) async fn shows(app: &App, count: usize) {
    eventually(PATIENCE, || async {
        let page = app.get(&format!("{PATH}?limit=100")).await;
        page.body["items"].as_array().map(Vec::len) == Some(count)
    })
    .await;
}

pub(crate) async fn shows_text(app: &App, id: Uuid, number: usize) {
    let wanted = &draft(number)["text"];
    eventually(PATIENCE, || async {
        app.get(&format!("{PATH}/{id}")).await.body["text"] == *wanted
    })
    .await;
}

async fn the_first_import_is_silent_and_every_edit_after_it_is_an_event(backend: Backend) {
    let home = Home::new(backend).await;
    let monolith = Monolith::new(&home.backend).await;
    let ids: Vec<Uuid> = (1..=5).map(Uuid::from_u128).collect();
    for (number, id) in ids.iter().enumerate() {
        monolith.write(*id, number, 1).await;
    }
    let app = follow(&home, &monolith).await;
    shows(&app, 5).await;
    assert_eq!(home.events().await, []);

    let began = Instant::now();
    monolith.write(ids[0], 10, 2).await;
    shows_text(&app, ids[0], 10).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "a curator sees it soon"
    );
    monolith.write(Uuid::from_u128(6), 11, 1).await;
    shows(&app, 6).await;
    monolith.delete(ids[1]).await;
    shows(&app, 5).await;
    monolith.write(ids[1], 12, 3).await;
    shows(&app, 6).await;
    home.logged(4).await;
    let told: Vec<(String, Value)> = home
        .events()
        .await
        .into_iter()
        .map(|recorded| {
            (
                recorded.event.event_type,
                recorded.event.payload["version"].clone(),
            )
        })
        .collect();
    let expected = [
        ("question.updated", 2),
        ("question.created", 1),
        ("question.deleted", 2),
        ("question.created", 3),
    ]
    .map(|(kind, version)| (kind.to_owned(), json!(version)));
    assert_eq!(told, expected);

    // Restarted, it goes on; and an import by hand tells what it finds, too.
    app.stop().await;
    monolith.write(ids[2], 13, 2).await;
    let app = follow(&home, &monolith).await;
    shows_text(&app, ids[2], 13).await;
    let import = app.post("/ops/import", &json!({})).await;
    assert_eq!(import.status, 200, "{import:?}");
    home.logged(5).await;
    app.stop().await;
}

async fn two_replicas_take_each_edit_once(backend: Backend) {
    // A SQLite file is served by one process; there, two in one process stand for them.
    let home = Home::new(backend).await;
    let monolith = Monolith::new(&home.backend).await;
    monolith.write(Uuid::from_u128(1), 1, 1).await;
    let one = follow(&home, &monolith).await;
    shows(&one, 1).await;
    let other = follow(&home, &monolith).await;
    for version in 2..=20 {
        monolith
            .write(Uuid::from_u128(1), version, version as i64)
            .await;
        monolith
            .write(Uuid::from_u128(100 + version as u128), 100 + version, 1)
            .await;
    }
    shows(&one, 20).await;
    shows_text(&other, Uuid::from_u128(1), 20).await;
    // 19 new ones, and of the edits at least the last: a look may find several at once.
    let last = draft(20)["text"].clone();
    eventually(PATIENCE, || async {
        let events = home.events().await;
        let created = |recorded: &&Recorded| recorded.event.event_type == "question.created";
        let is_last = |recorded: &Recorded| recorded.event.payload["text"] == last;
        events.iter().filter(created).count() == 19 && events.iter().any(is_last)
    })
    .await;
    let told = home.events().await;
    let mut texts: Vec<String> = told
        .iter()
        .map(|recorded| recorded.event.payload["text"].to_string())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), told.len(), "no edit was told twice: {told:?}");
    let edits = told.iter().map(|recorded| &recorded.event);
    let mut edits = edits.filter(|event| event.aggregate_id == Uuid::from_u128(1).to_string());
    let final_edit = edits.next_back().expect("edits");
    assert_eq!(final_edit.payload["text"], last);
    assert_eq!(final_edit.payload["version"], json!(20));
    for app in [&one, &other] {
        let shown = app.get(&format!("{PATH}/{}", Uuid::from_u128(1))).await;
        assert_eq!(shown.body["version"], json!(20));
    }
    one.stop().await;
    other.stop().await;
}

async fn what_both_sides_edited_stays_ours_and_is_listed(backend: Backend) {
    let home = Home::new(backend).await;
    let monolith = Monolith::new(&home.backend).await;
    let id = Uuid::from_u128(1);
    monolith.write(id, 1, 1).await;
    let app = follow(&home, &monolith).await;
    shows(&app, 1).await;
    let path = format!("{PATH}/{id}");
    assert_eq!(app.put(&path, &draft(2)).await.status, 202);
    monolith.write(id, 3, 2).await;
    let conflicts = async || app.get("/ops/conflicts").await.body["items"].clone();
    eventually(PATIENCE, || async { conflicts().await != json!([]) }).await;
    let listed = conflicts().await;
    assert_eq!(listed[0]["questionId"], json!(id));
    assert_eq!(listed[0]["legacy"]["text"], draft(3)["text"]);
    assert_eq!(app.get(&path).await.body["text"], draft(2)["text"]);
    let metrics = app.get("/metrics").await.text;
    assert!(metrics.contains("question_conflicts_total 1"), "{metrics}");
    // Where both say the same again there is no conflict any more, and following goes on.
    monolith.write(id, 2, 3).await;
    eventually(PATIENCE, || async { conflicts().await == json!([]) }).await;
    monolith.write(id, 4, 4).await;
    shows_text(&app, id, 4).await;
    home.logged(2).await;
    // An edit here settles it, too.
    assert_eq!(app.put(&path, &draft(5)).await.status, 202);
    monolith.write(id, 6, 5).await;
    eventually(PATIENCE, || async { conflicts().await != json!([]) }).await;
    assert_eq!(app.put(&path, &draft(7)).await.status, 202);
    assert_ne!(conflicts().await, json!([]));
    assert_eq!(app.put(&path, &draft(6)).await.status, 202);
    assert_eq!(conflicts().await, json!([]));
    monolith.write(id, 8, 6).await;
    shows_text(&app, id, 8).await;
    // Or else an operator.
    assert_eq!(app.put(&path, &draft(9)).await.status, 202);
    monolith.delete(id).await;
    eventually(PATIENCE, || async { conflicts().await != json!([]) }).await;
    assert_eq!(conflicts().await[0]["legacy"], Value::Null);
    let settled = app.delete(&format!("/ops/conflicts/{id}")).await;
    assert_eq!(settled.status, 204);
    assert_eq!(conflicts().await, json!([]));
    assert_eq!(app.get(&path).await.body["text"], draft(9)["text"]);
    app.stop().await;
}

async fn without_following_a_repeated_import_is_silent(backend: Backend) {
    let home = Home::new(backend).await;
    let monolith = Monolith::new(&home.backend).await;
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    monolith.write(one, 1, 1).await;
    monolith.write(two, 2, 1).await;
    let app = home
        .start_with(|config| config.legacy_database = Some(monolith.backend.url.clone()))
        .await;
    shows(&app, 2).await;
    assert_eq!(
        app.put(&format!("{PATH}/{two}"), &draft(3)).await.status,
        202
    );
    monolith.write(one, 4, 2).await;
    monolith.write(two, 5, 2).await;
    let import = app.post("/ops/import", &json!({})).await;
    assert_eq!(
        import.body,
        json!({ "inserted": 0, "updated": 1, "skipped": 1 })
    );
    shows_text(&app, one, 4).await;
    shows_text(&app, two, 3).await;
    home.logged(1).await;
    app.stop().await;
}
