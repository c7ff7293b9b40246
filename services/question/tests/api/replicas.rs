//! Two replicas on one database: neither shows what is no longer true.

use contracts::events::QuestionDeleted;
use testkit::Backend;
use tokio::time::{Duration, Instant};

use crate::{
    app::{App, PATIENCE, Replica},
    created, id, updated,
};

testkit::both_databases!(
    an_edit_is_seen_on_every_replica_within_a_second_however_hot_the_caches_are,
    a_replay_and_an_edit_by_hand_are_seen_on_every_replica,
);

/// Ten times what a replica's look at the revision takes: other tests run at the same time.
const SOON: Duration = Duration::from_secs(1);

/// The text of question 1 as each kind of read has it, asked often enough to be kept.
async fn texts(replica: &Replica) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.clear();
        let (_, one) = replica.get(&format!("/api/questions/{}", id(1))).await;
        texts.push(one["text"].as_str().unwrap_or_default().to_owned());
        for path in [
            "/api/questions",
            "/api/questions?q=what",
            "/api/questions?category=rust",
        ] {
            let (_, page) = replica.get(path).await;
            let text = page["items"][0]["text"].as_str();
            texts.push(text.unwrap_or_default().to_owned());
        }
    }
    texts
}

/// Waits until a replica shows it everywhere; then it must stay.
async fn shows(replica: &Replica, text: &str) {
    let begun = Instant::now();
    loop {
        if texts(replica).await.iter().all(|shown| shown == text) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", texts(replica).await);
    }
    for _ in 0..5 {
        let shown = texts(replica).await;
        assert!(shown.iter().all(|shown| shown == text), "{shown:?}");
    }
}

async fn an_edit_is_seen_on_every_replica_within_a_second_however_hot_the_caches_are(
    backend: Backend,
) {
    let app = App::start(backend).await;
    let other = app.beside().await;
    app.append(id(1), 1, &created(id(1), "rust", "What is edit 1?"))
        .await;
    for replica in [&*app, &other] {
        shows(replica, "What is edit 1?").await;
    }
    let mut slowest = Duration::ZERO;
    for version in 2..=6 {
        let text = format!("What is edit {version}?");
        let mut edit = updated(id(1), &text);
        edit.version = version;
        app.append(id(1), version, &edit).await;
        // The confirmation says that the database has it; from here the caches' delay counts.
        testkit::eventually(PATIENCE, || async {
            let applied = app.logged("question.applied").await;
            i64::try_from(applied.len()).is_ok_and(|applied| applied == version)
        })
        .await;
        let applied = Instant::now();
        for replica in [&*app, &other] {
            shows(replica, &text).await;
        }
        slowest = slowest.max(applied.elapsed());
    }
    assert!(slowest < SOON, "{slowest:?}");
    let metrics = other.raw("GET", "/metrics", &[]).await;
    let hits = metrics.body.lines().find_map(|line| {
        let hits = line.strip_prefix("bank_cache_hits_total{kind=\"page\"} ")?;
        hits.parse::<u64>().ok()
    });
    assert!(hits.is_some_and(|hits| hits > 0), "{hits:?}");
    let gone = QuestionDeleted {
        question_id: id(1),
        version: 7,
    };
    app.append(id(1), 7, &gone).await;
    for replica in [&*app, &other] {
        shows(replica, "").await;
    }
    other.stop().await;
}

async fn a_replay_and_an_edit_by_hand_are_seen_on_every_replica(backend: Backend) {
    let app = App::start(backend).await;
    let other = app.beside().await;
    app.append(id(1), 1, &created(id(1), "rust", "What is a borrow?"))
        .await;
    for replica in [&*app, &other] {
        shows(replica, "What is a borrow?").await;
    }
    let database = app.database().await;
    for sql in [
        "UPDATE questions SET text = 'What was that?'",
        "UPDATE bank_revision SET revision = revision + 1",
    ] {
        database.execute(sql, Vec::new()).await.expect("an edit");
    }
    database.close().await;
    for replica in [&*app, &other] {
        shows(replica, "What was that?").await;
    }
    assert_eq!(app.post("/ops/consumers/question-bank/replay").await, 200);
    for replica in [&*app, &other] {
        shows(replica, "What is a borrow?").await;
    }
}
