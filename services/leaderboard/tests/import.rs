//! Taking over scores: the monolith's, again and again, and those of the first version's table.

use contracts::{Period, QuizMode};
use database::{Database, Migrations, Options, Timestamp, params};
use leaderboard::{
    domain::{Board, Entry},
    import::FromLegacy,
    store::{
        self, boards,
        entries::{self, Line},
        held::{self, Origin},
        tree::{self, Tree},
    },
    upkeep,
};
use serde_json::json;
use service::{
    departed,
    import::{Count, Import},
};
use testkit::Backend;
use uuid::Uuid;

testkit::both_databases!(
    an_import_takes_scores_and_names_and_a_repeat_takes_nothing,
    points_earned_here_stay_on_top_of_a_newer_import,
    nobody_comes_back_whose_account_was_deleted,
    the_first_versions_entries_are_moved_and_late_ones_are_added_on_top,
    a_rebuild_mends_a_board_that_was_miscounted,
);

const ADA: Uuid = Uuid::from_u128(7);

const BOARD: Board = Board {
    quiz_mode: QuizMode::Classic,
    period: Period::AllTime,
    begins: 0,
};

async fn open(home: &Backend) -> Database {
    let own = home.open(Options::default()).await;
    own.migrate(departed::migrations()).await.expect("tables");
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
    let page = boards::lines(own, (Uuid::nil(), -1), 10)
        .await
        .expect("read");
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
    let shown = boards::line(&own, BOARD, ADA)
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
    let held = held::held(&mut tx, ADA, &[BOARD]).await.expect("read");
    let before = held.on(BOARD).expect("a line");
    let after = Entry {
        score: before.score + 10,
        reached_at: at(2).into(),
        ..before
    };
    held::set(&mut tx, ADA, BOARD, Some(after), Origin::Answer);
    tx.commit().await.expect("committed");
    assert_eq!(line(&own).await, (40, 10, 50));

    let played = "UPDATE leaderboard SET score = 60, reached_at = $1";
    legacy
        .execute(played, params![at(3)])
        .await
        .expect("written");
    FromLegacy.run(&own, &legacy).await.expect("imported");
    assert_eq!(line(&own).await, (60, 10, 70));
    assert_eq!(upkeep::rebuild(&own).await.expect("rebuilt").wrong_nodes, 0);
}

async fn nobody_comes_back_whose_account_was_deleted(home: Backend) {
    let own = open(&home).await;
    let (legacy, _other) = monolith(&home).await;
    let mut tx = own.begin().await.expect("a transaction");
    departed::note(&mut tx, ADA).await.expect("noted");
    tx.commit().await.expect("committed");
    let report = FromLegacy.run(&own, &legacy).await.expect("imported");
    assert_eq!(report.entries, Count { read: 1, taken: 0 });
    assert!(boards::top(&own, BOARD).await.expect("read").is_empty());
}

/// As the first version wrote it.
async fn old_entry(own: &Database, user: u128, base: Option<i64>, points: i64, second: i64) {
    own.execute(
        "INSERT INTO entries (user_id, quiz_mode, base, base_at, points, score, reached_at)
         VALUES ($1, 'classic', $2, $3, $4, $5, $6)",
        params![
            Uuid::from_u128(user),
            base.unwrap_or(0),
            base.map(|_| at(0)),
            points,
            base.unwrap_or(0) + points,
            at(second)
        ],
    )
    .await
    .expect("written");
}

async fn the_first_versions_entries_are_moved_and_late_ones_are_added_on_top(home: Backend) {
    let own = open(&home).await;
    let mut users: Vec<u128> = (1..=1_203).collect();
    for user in &users {
        let points = i64::try_from(user % 40).expect("small");
        old_entry(&own, *user, user.is_multiple_of(2).then_some(5), points, 9).await;
    }
    upkeep::at_start(&own).await.expect("moved");
    let left = "SELECT COUNT(*) FROM entries";
    let (left,): (i64,) = own.fetch_one(left, params![]).await.expect("counted");
    assert_eq!(left, 0);
    let score = |user: &u128| (user % 40) + if user.is_multiple_of(2) { 5 } else { 0 };
    users.sort_by_key(|user| (std::cmp::Reverse(score(user)), *user));
    for (index, user) in users.iter().enumerate().step_by(97) {
        let user_id = Uuid::from_u128(*user);
        let shown = boards::line(&own, BOARD, user_id).await.expect("read");
        let shown = shown.expect("a line");
        assert_eq!(shown.position, i64::try_from(index).expect("few") + 1);
        assert_eq!(u128::try_from(shown.score).expect("positive"), score(user));
    }
    // A replica of the first version still runs: it sees an empty table and opens a line.
    old_entry(&own, 10, None, 1_000, 20).await;
    assert_eq!(upkeep::take_over(&own).await.expect("moved"), 1);
    let top = boards::top(&own, BOARD).await.expect("read");
    assert_eq!((top[0].user_id, top[0].score), (Uuid::from_u128(10), 1_015));
    let told = upkeep::rebuild(&own).await.expect("rebuilt");
    assert_eq!((told.boards, told.wrong_nodes, told.moved), (1, 0, 0));
}

async fn a_rebuild_mends_a_board_that_was_miscounted(home: Backend) {
    let own = open(&home).await;
    let mut tx = own.begin().await.expect("a transaction");
    let line = |user: u128| Line {
        user_id: Uuid::from_u128(user),
        board: BOARD.id(),
        base: 0,
        base_at: None,
        points: 500 - i64::try_from(user).expect("small"),
        bonus: 0,
        reached_at: at(0),
    };
    let lines: Vec<Line> = (1..=400).map(line).collect();
    let new = entries::insert_new(&mut tx, &lines).await.expect("written");
    assert_eq!(new.len(), 400);
    Tree::default()
        .build(&mut tx, BOARD.id())
        .await
        .expect("built");
    tx.commit().await.expect("committed");
    own.execute(
        "UPDATE rank_nodes SET members = members + 3 WHERE first_key = $1",
        params![Vec::<u8>::new()],
    )
    .await
    .expect("tampered");
    let told = upkeep::rebuild(&own).await.expect("rebuilt");
    assert!(told.wrong_nodes > 0);
    let mut tx = own.begin().await.expect("a transaction");
    assert_eq!(tree::wrong(&mut tx, BOARD.id()).await.expect("checked"), 0);
    let key = line(400).key();
    let above = tree::count_above(&mut tx, BOARD, &key).await;
    assert_eq!(above.expect("counted"), 399);
}
