//! The counted tree against counting, on both databases.

use std::collections::BTreeMap;

use contracts::Period;
use database::{Database, Options, Tx, params};
use leaderboard::{
    domain::{Board, Entry, QuizMode},
    store::{
        self, boards,
        standings::{self, Change},
        tree::{self, Tree},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use testkit::Backend;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

testkit::both_databases!(
    every_place_is_what_counting_says_after_any_changes,
    a_board_that_was_never_counted_has_exact_places_and_is_counted_with_the_next_line,
    an_emptied_board_begins_anew,
    writers_at_the_same_time_do_not_miscount,
);

/// So small that splits happen on all levels.
const SMALL: Tree = Tree { fan_out: 4 };

const BOARD: Board = Board {
    quiz_mode: QuizMode::Classic,
    period: Period::AllTime,
    begins: 0,
};

async fn open(home: &Backend) -> Database {
    let own = home.open(Options::default()).await;
    let departed = service::departed::migrations();
    own.migrate(departed).await.expect("tables");
    own.migrate(store::migrations()).await.expect("tables");
    own
}

fn entry(user: u128, score: i64, second: i64) -> Entry {
    Entry {
        user_id: Uuid::from_u128(user),
        score,
        reached_at: OffsetDateTime::UNIX_EPOCH + Duration::seconds(second),
    }
}

async fn set(tx: &mut Tx, before: Option<Entry>, after: Option<Entry>) {
    let change = Change {
        board: BOARD,
        before,
        after,
        bonus: 0,
    };
    standings::change(tx, SMALL, &[change])
        .await
        .expect("changed");
}

/// Places by counting, against those of the tree, of every `step`-th line.
async fn check(tx: &mut Tx, model: &BTreeMap<u128, Entry>, step: usize) {
    let mut sorted: Vec<&Entry> = model.values().collect();
    sorted.sort_by(|one, other| one.rank(other));
    for (above, entry) in sorted.iter().enumerate().step_by(step) {
        let key = entry.key();
        let counted = tree::count_above(tx, BOARD, &key).await.expect("counted");
        assert_eq!(counted, i64::try_from(above).expect("few"), "{entry:?}");
        let (oracle,): (i64,) = tx
            .fetch_one(
                "SELECT COUNT(*) FROM standings WHERE board = $1 AND rank_key < $2",
                params![BOARD.id(), key.to_vec()],
            )
            .await
            .expect("counted");
        assert_eq!(counted, oracle);
    }
    let wrong = tree::wrong(tx, BOARD.id()).await.expect("checked");
    assert_eq!(wrong, 0, "nodes that do not count what is there");
}

async fn nodes(tx: &mut Tx, level: i64) -> i64 {
    let (count,): (i64,) = tx
        .fetch_one(
            "SELECT COUNT(*) FROM rank_nodes WHERE board = $1 AND level = $2",
            params![BOARD.id(), level],
        )
        .await
        .expect("counted");
    count
}

async fn every_place_is_what_counting_says_after_any_changes(home: Backend) {
    let own = open(&home).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut model = BTreeMap::<u128, Entry>::new();
    // It grows, then moves, then shrinks.
    for (round, removals) in [5_u32, 5, 5, 20, 20, 60, 90].into_iter().enumerate() {
        let mut tx = own.begin().await.expect("a transaction");
        for _ in 0..300 {
            let user = random.random_range(0..700_u128) << 100;
            let before = model.get(&user).copied();
            let after = (random.random_range(0..100) >= removals).then(|| {
                // Few scores and times, so that ids decide often.
                let (score, at) = (random.random_range(0..40), random.random_range(0..5));
                entry(user, score * score, at)
            });
            set(&mut tx, before, after).await;
            match after {
                Some(entry) => model.insert(user, entry),
                None => model.remove(&user),
            };
        }
        check(&mut tx, &model, 7).await;
        if round == 2 {
            for level in 0..=2 {
                assert!(nodes(&mut tx, level).await > 3, "level {level} was split");
            }
        }
        tx.commit().await.expect("committed");
    }
    let mut tx = own.begin().await.expect("a transaction");
    SMALL.build(&mut tx, BOARD.id()).await.expect("built");
    check(&mut tx, &model, 1).await;
    while let Some((_, before)) = model.pop_last() {
        set(&mut tx, Some(before), None).await;
    }
    check(&mut tx, &model, 1).await;
    assert!(nodes(&mut tx, 0).await <= 2, "empty nodes went");
}

async fn a_board_that_was_never_counted_has_exact_places_and_is_counted_with_the_next_line(
    home: Backend,
) {
    let own = open(&home).await;
    let mut model = BTreeMap::new();
    let mut tx = own.begin().await.expect("a transaction");
    for user in 0..50 {
        let entry = entry(user, 1_000 - i64::try_from(user).expect("few"), 0);
        set(&mut tx, None, Some(entry)).await;
        model.insert(user, entry);
    }
    tree::clear(&mut tx, BOARD.id()).await.expect("cleared");
    check(&mut tx, &model, 1).await;
    let moved = entry(40, 2_000, 1);
    set(&mut tx, model.insert(40, moved), Some(moved)).await;
    check(&mut tx, &model, 1).await;
    assert_eq!(nodes(&mut tx, 0).await, 0);
    let new = entry(99, 500, 0);
    model.insert(99, new);
    set(&mut tx, None, Some(new)).await;
    check(&mut tx, &model, 1).await;
    assert!(nodes(&mut tx, 0).await > 1);
    tx.commit().await.expect("committed");
    let line = boards::line(&own, BOARD, Uuid::from_u128(99))
        .await
        .expect("read")
        .expect("a line");
    assert_eq!((line.position, line.score), (51, 500));
}

async fn an_emptied_board_begins_anew(home: Backend) {
    let own = open(&home).await;
    let mut tx = own.begin().await.expect("a transaction");
    let one = entry(1, 10, 0);
    for _ in 0..2 {
        set(&mut tx, None, Some(one)).await;
        set(&mut tx, Some(one), None).await;
        check(&mut tx, &BTreeMap::new(), 1).await;
    }
}

async fn writers_at_the_same_time_do_not_miscount(home: Backend) {
    let own = open(&home).await;
    let writer = |number: u128| {
        let own = own.clone();
        tokio::spawn(async move {
            let mut last = None;
            for score in 0..30 {
                let mut tx = own.begin().await.expect("a transaction");
                store::lock(&mut tx).await.expect("locked");
                let after = entry(number, score * 7 % 30, 0);
                set(&mut tx, last, Some(after)).await;
                last = Some(after);
                let other = entry(number * 1_000 + u128::from(score.unsigned_abs()), score, 1);
                set(&mut tx, None, Some(other)).await;
                tx.commit().await.expect("committed");
            }
        })
    };
    for writer in [1, 2, 3, 4].map(writer) {
        writer.await.expect("no panic");
    }
    let mut tx = own.begin().await.expect("a transaction");
    let wrong = tree::wrong(&mut tx, BOARD.id()).await.expect("checked");
    assert_eq!(wrong, 0);
    let (sum,): (i64,) = tx
        .fetch_one(
            "SELECT CAST(SUM(members) AS BIGINT) FROM rank_nodes WHERE level = 2",
            params![],
        )
        .await
        .expect("summed");
    assert_eq!(sum, 4 * 31);
}
