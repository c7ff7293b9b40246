//! Taking over the monolith's scores, again and again, and the order of a board.

use contracts::QuizMode;
use database::{Database, Migrations, Options, Timestamp, params};
use leaderboard::{
    domain::Entry,
    import::FromLegacy,
    store::{self, Source},
};
use serde_json::json;
use service::import::{Count, Import};
use testkit::Backend;
use uuid::Uuid;

testkit::both_databases!(
    an_import_takes_scores_and_names_and_a_repeat_takes_nothing,
    points_earned_here_stay_on_top_of_a_newer_import,
    the_board_is_in_the_order_of_the_domain,
);

const ADA: Uuid = Uuid::from_u128(7);

async fn open(home: &Backend) -> Database {
    let own = home.open(Options::default()).await;
    own.migrate(store::migrations()).await.expect("tables");
    own
}

/// A monolith in which Ada has 40 points.
async fn monolith(home: &Backend) -> (Database, Backend) {
    let other = if home.name == "sqlite" {
        Backend::sqlite()
    } else {
        Backend::postgres().await
    };
    let legacy = other.open(Options::default()).await;
    let migrations = Migrations::new(
        "legacy",
        sqlx::migrate!("../../migrations/legacy/postgres"),
        sqlx::migrate!("../../migrations/legacy/sqlite"),
    );
    legacy.migrate(migrations).await.expect("tables");
    for (sql, values) in [
        (
            "INSERT INTO users (id, display_name, roles, created_at, updated_at)
             VALUES ($1, 'Ada', $2, $3, $3)",
            params![ADA, json!(["user"]), at(1)],
        ),
        (
            "INSERT INTO leaderboard (quiz_mode, user_id, score, reached_at)
             VALUES ('classic', $1, 40, $2)",
            params![ADA, at(1)],
        ),
    ] {
        legacy.execute(sql, values).await.expect("written");
    }
    (legacy, other)
}

const fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + second * 1_000_000)
}

async fn line(own: &Database) -> (i64, i64, i64) {
    let page = store::page(own, (Uuid::nil(), ""), 10).await.expect("read");
    (page[0].base, page[0].points, page[0].score)
}

async fn an_import_takes_scores_and_names_and_a_repeat_takes_nothing(home: Backend) {
    let own = open(&home).await;
    let (legacy, _other) = monolith(&home).await;
    for taken in [1, 0] {
        let report = FromLegacy.run(&own, &legacy).await.expect("imported");
        assert_eq!(report.entries, Count { read: 1, taken });
    }
    assert_eq!(line(&own).await, (40, 0, 40));
    let shown = store::line(&own, QuizMode::Classic, ADA)
        .await
        .expect("read")
        .expect("a line");
    assert_eq!(
        (shown.display_name.as_str(), shown.position, shown.score),
        ("Ada", 1, 40)
    );
}

async fn points_earned_here_stay_on_top_of_a_newer_import(home: Backend) {
    let own = open(&home).await;
    let (legacy, _other) = monolith(&home).await;
    FromLegacy.run(&own, &legacy).await.expect("imported");
    let mut tx = own.begin().await.expect("a transaction");
    let before = store::lock(&mut tx, ADA, QuizMode::Classic)
        .await
        .expect("read")
        .expect("a line");
    let after = Entry {
        score: before.score + 10,
        reached_at: at(2).into(),
        ..before
    };
    store::save(&mut tx, QuizMode::Classic, &after)
        .await
        .expect("saved");
    tx.commit().await.expect("committed");
    assert_eq!(line(&own).await, (40, 10, 50));

    let played = "UPDATE leaderboard SET score = 60, reached_at = $1";
    legacy
        .execute(played, params![at(3)])
        .await
        .expect("written");
    FromLegacy.run(&own, &legacy).await.expect("imported");
    assert_eq!(line(&own).await, (60, 10, 70));
}

async fn the_board_is_in_the_order_of_the_domain(home: Backend) {
    let own = open(&home).await;
    let mut tx = own.begin().await.expect("a transaction");
    let mut entries = Vec::new();
    for (user, score, second) in [(4, 10, 5), (3, 10, 5), (2, 10, 1), (1, 30, 9), (5, 0, 0)] {
        let user_id = Uuid::from_u128(user);
        let entry = Entry {
            user_id,
            score,
            reached_at: at(second).into(),
        };
        store::save(&mut tx, QuizMode::Timed, &entry)
            .await
            .expect("saved");
        store::name(&mut tx, user_id, "somebody", Source::Answer)
            .await
            .expect("named");
        entries.push(entry);
    }
    entries.sort_by(Entry::rank);
    for (entry, place) in entries.iter().zip(1..) {
        let position = store::position(&mut tx, QuizMode::Timed, entry)
            .await
            .expect("counted");
        assert_eq!(position, place);
    }
    tx.commit().await.expect("committed");
    let top = store::top(&own, QuizMode::Timed).await.expect("read");
    let listed: Vec<_> = top.iter().map(|line| line.user_id).collect();
    assert_eq!(
        listed,
        entries
            .iter()
            .map(|entry| entry.user_id)
            .collect::<Vec<_>>()
    );
    assert!(
        store::top(&own, QuizMode::Classic)
            .await
            .expect("read")
            .is_empty()
    );
}
