//! What a transaction writes for several callers at once, and what it tells when it has committed: when, in
//! which order, and what a savepoint takes back of it.

use std::sync::{Arc, Mutex};

use database::{Database, Deferred, Error, Options, Tx, Writing, params};
use testkit::Backend;

testkit::both_databases!(
    what_was_deferred_is_written_by_the_commit_in_its_order,
    what_was_deferred_is_taken_back_with_its_transaction,
    a_savepoint_takes_back_what_was_deferred_since_and_nothing_else,
    what_was_written_since_a_savepoint_waits_again_when_it_is_gone_back_to,
    what_cannot_be_written_keeps_the_transaction_from_committing,
    a_part_within_a_part_is_taken_back_alone_whichever_of_them_wrote_first,
    what_is_to_be_done_once_it_has_committed_is_done_then_and_never_of_what_was_taken_back,
);

/// Numbers that wait to be written.
#[derive(Clone, Default)]
struct Numbers(Vec<i64>);

impl Deferred for Numbers {
    fn write(self, tx: &mut Tx) -> Writing<'_> {
        Box::pin(async move {
            for number in self.0 {
                let sql = "INSERT INTO numbers (number) VALUES ($1)";
                tx.execute(sql, params![number]).await?;
            }
            Ok(())
        })
    }
}

async fn empty(backend: &Backend) -> Database {
    let database = backend.open(Options::default()).await;
    let create = "CREATE TABLE numbers (number BIGINT PRIMARY KEY)";
    database.execute(create, params![]).await.expect("a table");
    database
}

fn defer(tx: &mut Tx, number: i64) {
    tx.deferred::<Numbers>().0.push(number);
}

async fn within(tx: &mut Tx) -> i64 {
    let sql = "SELECT COUNT(*) FROM numbers";
    tx.fetch_one::<(i64,)>(sql, params![])
        .await
        .expect("a count")
        .0
}

async fn numbers(database: &Database) -> Vec<i64> {
    let sql = "SELECT number FROM numbers ORDER BY number";
    let rows: Vec<(i64,)> = database.fetch_all(sql, params![]).await.expect("numbers");
    rows.into_iter().map(|(number,)| number).collect()
}

async fn what_was_deferred_is_written_by_the_commit_in_its_order(backend: Backend) {
    let database = empty(&backend).await;
    let mut tx = database.begin().await.expect("a transaction");
    defer(&mut tx, 1);
    defer(&mut tx, 2);
    assert_eq!(within(&mut tx).await, 0);
    tx.write_deferred().await.expect("written");
    assert_eq!(within(&mut tx).await, 2);
    defer(&mut tx, 3);
    tx.commit().await.expect("committed");
    assert_eq!(numbers(&database).await, [1, 2, 3]);
}

async fn what_was_deferred_is_taken_back_with_its_transaction(backend: Backend) {
    let database = empty(&backend).await;
    let mut tx = database.begin().await.expect("a transaction");
    defer(&mut tx, 1);
    tx.write_deferred().await.expect("written");
    defer(&mut tx, 2);
    tx.rollback().await.expect("rolled back");
    assert_eq!(numbers(&database).await, Vec::<i64>::new());
}

async fn a_savepoint_takes_back_what_was_deferred_since_and_nothing_else(backend: Backend) {
    let database = empty(&backend).await;
    let mut tx = database.begin().await.expect("a transaction");
    defer(&mut tx, 1);
    tx.savepoint();
    defer(&mut tx, 2);
    tx.savepoint();
    defer(&mut tx, 3);
    tx.release().await.expect("released");
    tx.take_back().await.expect("taken back");
    defer(&mut tx, 4);
    tx.savepoint();
    defer(&mut tx, 5);
    tx.release().await.expect("released");
    tx.commit().await.expect("committed");
    assert_eq!(numbers(&database).await, [1, 4, 5]);
}

async fn what_was_written_since_a_savepoint_waits_again_when_it_is_gone_back_to(backend: Backend) {
    let database = empty(&backend).await;
    let mut tx = database.begin().await.expect("a transaction");
    defer(&mut tx, 1);
    tx.savepoint();
    defer(&mut tx, 2);
    tx.write_deferred().await.expect("written");
    assert_eq!(within(&mut tx).await, 2);
    tx.take_back().await.expect("taken back");
    assert_eq!(within(&mut tx).await, 0);
    tx.commit().await.expect("committed");
    assert_eq!(numbers(&database).await, [1]);
}

async fn what_cannot_be_written_keeps_the_transaction_from_committing(backend: Backend) {
    let database = empty(&backend).await;
    let mut tx = database.begin().await.expect("a transaction");
    defer(&mut tx, 1);
    defer(&mut tx, 1);
    let error = tx.commit().await.expect_err("the same number twice");
    assert!(matches!(error, Error::Constraint { .. }), "{error:?}");
    assert_eq!(numbers(&database).await, Vec::<i64>::new());
}

async fn a_part_within_a_part_is_taken_back_alone_whichever_of_them_wrote_first(backend: Backend) {
    let database = empty(&backend).await;
    let mut tx = database.begin().await.expect("a transaction");
    let insert = "INSERT INTO numbers (number) VALUES ($1)";
    tx.savepoint();
    tx.savepoint();
    tx.execute(insert, params![1_i64]).await.expect("a row");
    tx.take_back().await.expect("the inner part taken back");
    tx.execute(insert, params![2_i64]).await.expect("a row");
    tx.savepoint();
    tx.take_back()
        .await
        .expect("a part that did nothing, taken back");
    tx.release().await.expect("the outer part kept");
    tx.savepoint();
    tx.execute(insert, params![3_i64]).await.expect("a row");
    tx.savepoint();
    tx.execute(insert, params![4_i64]).await.expect("a row");
    tx.release().await.expect("the inner part kept");
    tx.take_back().await.expect("the outer part taken back");
    tx.commit().await.expect("committed");
    assert_eq!(numbers(&database).await, [2]);
}

async fn what_is_to_be_done_once_it_has_committed_is_done_then_and_never_of_what_was_taken_back(
    backend: Backend,
) {
    let database = empty(&backend).await;
    let done: Arc<Mutex<Vec<i64>>> = Arc::default();
    let does = |number| {
        let done = Arc::clone(&done);
        move || done.lock().expect("nobody panicked").push(number)
    };
    let so_far = || done.lock().expect("nobody panicked").clone();

    let mut tx = database.begin().await.expect("a transaction");
    tx.on_commit(does(1));
    tx.savepoint();
    tx.on_commit(does(2));
    tx.take_back().await.expect("taken back");
    tx.savepoint();
    tx.on_commit(does(3));
    tx.release().await.expect("released");
    assert_eq!(so_far(), Vec::<i64>::new());
    tx.commit().await.expect("committed");
    assert_eq!(so_far(), [1, 3]);

    let mut tx = database.begin().await.expect("a transaction");
    tx.on_commit(does(4));
    tx.rollback().await.expect("rolled back");
    let mut tx = database.begin().await.expect("a transaction");
    tx.on_commit(does(5));
    defer(&mut tx, 1);
    defer(&mut tx, 1);
    tx.commit().await.expect_err("the same number twice");
    assert_eq!(so_far(), [1, 3]);
}
