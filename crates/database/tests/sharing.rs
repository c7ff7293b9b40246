//! Transactions of SQLite that share a commit: what one of them does to the others, and what it does
//! not.

use std::{path::PathBuf, time::Duration};

use database::{Database, Error, Options, Tx, params};
use testkit::Backend;
use tokio::task::JoinHandle;

const INSERT: &str = "INSERT INTO numbers (number) VALUES ($1)";

struct File {
    database: Database,
    backend: Backend,
}

impl File {
    async fn new() -> Self {
        let backend = Backend::sqlite();
        let database = backend.open(Options::default()).await;
        let create = "CREATE TABLE numbers (number INTEGER PRIMARY KEY, bytes BLOB)";
        database.execute(create, params![]).await.expect("a table");
        Self { database, backend }
    }

    async fn begin(&self) -> Tx {
        self.database.begin().await.expect("a transaction")
    }

    /// A writer that waits for its turn by the time this returns.
    async fn waiting(&self, number: i64) -> JoinHandle<Result<u64, Error>> {
        let database = self.database.clone();
        let writing = tokio::spawn(async move { database.execute(INSERT, params![number]).await });
        // It runs until it waits: nothing else does, on the test's one thread.
        tokio::task::yield_now().await;
        assert!(!writing.is_finished());
        writing
    }

    /// What another process sees.
    async fn numbers(&self) -> Vec<i64> {
        let other = self.backend.open(Options::default()).await;
        let sql = "SELECT number FROM numbers ORDER BY number";
        let numbers: Vec<(i64,)> = other.fetch_all(sql, params![]).await.expect("numbers");
        other.close().await;
        numbers.into_iter().map(|(number,)| number).collect()
    }

    /// How many transactions were written to the file so far, by its write-ahead log.
    fn commits(&self) -> usize {
        const HEADER: usize = 32;
        const FRAME: usize = 24;
        let path = self.backend.url.trim_start_matches("sqlite:");
        let log = std::fs::read(PathBuf::from(format!("{path}-wal"))).expect("a write-ahead log");
        let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().expect("four bytes"));
        let page = word(8) as usize;
        let frames = (HEADER..log.len()).step_by(FRAME + page);
        // The last frame of a transaction says how large it leaves the file.
        frames.filter(|frame| word(frame + 4) > 0).count()
    }
}

#[tokio::test]
async fn who_waits_to_write_shares_a_commit_with_who_writes() {
    let file = File::new().await;
    let before = file.commits();
    let mut tx = file.begin().await;
    tx.execute(INSERT, params![0_i64]).await.expect("a row");
    let mut others = Vec::new();
    for number in 1..=20 {
        others.push(file.waiting(number).await);
    }
    tx.commit().await.expect("the first one's commit");
    for other in others {
        other.await.expect("no panic").expect("a row");
    }
    assert_eq!(file.numbers().await, (0..=20).collect::<Vec<_>>());
    let commits = file.commits() - before;
    assert!(commits < 21, "{commits} commits of 21 transactions");
}

#[tokio::test]
async fn who_is_told_of_a_commit_finds_it_in_the_file() {
    let file = File::new().await;
    let mut tx = file.begin().await;
    tx.execute(INSERT, params![1_i64]).await.expect("a row");
    let other = file.waiting(2).await;
    let third = file.waiting(3).await;
    assert!(file.numbers().await.is_empty());
    tx.commit().await.expect("a commit");
    assert!(file.numbers().await.contains(&1));
    other.await.expect("no panic").expect("a row");
    assert!(file.numbers().await.contains(&2));
    third.await.expect("no panic").expect("a row");
    assert_eq!(file.numbers().await, [1, 2, 3]);
}

#[tokio::test]
async fn one_that_is_taken_back_leaves_the_others_of_its_group_alone() {
    let file = File::new().await;
    let mut tx = file.begin().await;
    tx.execute(INSERT, params![1_i64]).await.expect("a row");
    let refused = file.waiting(1).await;
    let given_up = {
        let database = file.database.clone();
        tokio::spawn(async move {
            let mut tx = database.begin().await.expect("its turn");
            tx.execute(INSERT, params![2_i64]).await.expect("a row");
            drop(tx);
        })
    };
    tokio::task::yield_now().await;
    let last = file.waiting(3).await;
    tx.commit().await.expect("a commit");
    let refused = refused.await.expect("no panic").expect_err("it is there");
    assert!(refused.is_unique_violation(), "{refused}");
    given_up.await.expect("no panic");
    last.await.expect("no panic").expect("a row");
    assert_eq!(file.numbers().await, [1, 3]);
}

#[tokio::test]
async fn what_is_written_ahead_is_copied_into_the_file_once_it_is_much() {
    const MIB: u64 = 1024 * 1024;
    let file = File::new().await;
    let insert = "INSERT INTO numbers (number, bytes) VALUES ($1, zeroblob(1048576))";
    for number in 0..40_i64 {
        let inserted = file.database.execute(insert, params![number]).await;
        inserted.expect("a row");
    }
    let path = file.backend.url.trim_start_matches("sqlite:");
    let size = |path: String| std::fs::metadata(path).expect("a file").len();
    let (ahead, copied) = (size(format!("{path}-wal")), size(path.to_owned()));
    assert!(ahead < 20 * MIB, "{ahead} bytes written ahead");
    assert!(copied > 20 * MIB, "{copied} bytes in the file");
}

/// Whoever gives up because of what it saw goes on to look at it.
#[tokio::test]
async fn what_a_transaction_saw_before_it_was_taken_back_is_in_the_file() {
    let file = File::new().await;
    let mut tx = file.begin().await;
    tx.execute(INSERT, params![1_i64]).await.expect("a row");
    let looking = {
        let database = file.database.clone();
        tokio::spawn(async move {
            let count = "SELECT COUNT(*) FROM numbers";
            let mut tx = database.begin().await.expect("its turn");
            let (inside,): (i64,) = tx.fetch_one(count, params![]).await.expect("a count");
            drop(tx);
            let outside = database.fetch_one(count, params![]).await;
            let (outside,): (i64,) = outside.expect("a count");
            (inside, outside)
        })
    };
    tokio::task::yield_now().await;
    let last = file.waiting(2).await;
    tx.commit().await.expect("a commit");
    assert_eq!(looking.await.expect("no panic"), (1, 1));
    last.await.expect("no panic").expect("a row");
}

#[tokio::test]
async fn the_first_of_a_group_can_be_taken_back_while_others_wait() {
    let file = File::new().await;
    let mut tx = file.begin().await;
    tx.execute(INSERT, params![1_i64]).await.expect("a row");
    let (second, third) = (file.waiting(2).await, file.waiting(3).await);
    tx.rollback().await.expect("it is taken back");
    second.await.expect("no panic").expect("a row");
    third.await.expect("no panic").expect("a row");
    assert_eq!(file.numbers().await, [2, 3]);
}

#[tokio::test]
async fn a_group_that_finds_no_room_is_lost_as_a_whole_and_each_is_told() {
    let file = File::new().await;
    let bound = "PRAGMA max_page_count = 16";
    let bounded = file.database.execute(bound, params![]).await;
    bounded.expect("a bound");
    let mut tx = file.begin().await;
    tx.execute(INSERT, params![1_i64]).await.expect("a row");
    let large = {
        let database = file.database.clone();
        tokio::spawn(async move {
            let mut tx = database.begin().await.expect("its turn");
            let sql = "INSERT INTO numbers VALUES (2, zeroblob(1000000))";
            let refused = tx.execute(sql, params![]).await.expect_err("no room");
            assert!(matches!(refused, Error::Full(_)), "{refused:?}");
            // What was open is gone; nothing may be written outside of it.
            tx.execute(INSERT, params![3_i64]).await.expect_err("over");
            tx.commit().await.expect_err("nothing to commit");
        })
    };
    tokio::task::yield_now().await;
    let first = tx.commit().await.expect_err("its group is gone");
    assert!(first.is_transient(), "{first}");
    large.await.expect("no panic");
    assert!(file.numbers().await.is_empty());
    let next = file.database.execute(INSERT, params![4_i64]).await;
    next.expect("it goes on");
    assert_eq!(file.numbers().await, [4]);
}

#[tokio::test]
async fn who_gives_up_waiting_holds_up_nobody() {
    let file = File::new().await;
    let mut tx = file.begin().await;
    tx.execute(INSERT, params![1_i64]).await.expect("a row");
    let impatient = file.waiting(2).await;
    let patient = file.waiting(3).await;
    impatient.abort();
    assert!(impatient.await.expect_err("it was given up").is_cancelled());
    tx.commit().await.expect("a commit");
    patient.await.expect("no panic").expect("a row");
    assert_eq!(file.numbers().await, [1, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_are_given_up_at_any_moment_lose_nobody_elses_rows() {
    let file = File::new().await;
    let mut kept = Vec::new();
    let mut given_up = Vec::new();
    for number in 0..400 {
        let database = file.database.clone();
        let writing = tokio::spawn(async move { database.execute(INSERT, params![number]).await });
        if number % 2 == 0 {
            kept.push((number, writing));
        } else {
            given_up.push(writing);
        }
        if number % 7 == 0 {
            tokio::task::yield_now().await;
            given_up.iter().for_each(JoinHandle::abort);
        }
    }
    for (_, writing) in &mut kept {
        writing.await.expect("no panic").expect("a row");
    }
    let there = file.numbers().await;
    for (number, _) in kept {
        assert!(there.contains(&number), "{number} is lost");
    }
    let last = file.database.execute(INSERT, params![1_000_i64]).await;
    last.expect("the connection was handed on");
}

#[tokio::test]
async fn another_process_that_writes_is_waited_for_within_bounds() {
    let file = File::new().await;
    let impatient = Options {
        acquire_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let impatient = file.backend.open(impatient).await;
    let patient = file.backend.open(Options::default()).await;
    let mut tx = file.begin().await;
    tx.execute(INSERT, params![1_i64]).await.expect("a row");
    let refused = impatient.execute(INSERT, params![2_i64]).await;
    assert!(matches!(refused, Err(Error::Contention(_))), "{refused:?}");
    let waiting = tokio::spawn(async move { patient.execute(INSERT, params![3_i64]).await });
    tokio::task::yield_now().await;
    tx.commit().await.expect("a commit");
    waiting.await.expect("no panic").expect("it was waited for");
    impatient
        .execute(INSERT, params![4_i64])
        .await
        .expect("now");
    assert_eq!(file.numbers().await, [1, 3, 4]);
}

#[tokio::test]
async fn a_closed_database_refuses_and_one_that_waited_is_done_first() {
    let file = File::new().await;
    let mut tx = file.begin().await;
    tx.execute(INSERT, params![1_i64]).await.expect("a row");
    let waiting = file.waiting(2).await;
    let database = file.database.clone();
    let closing = tokio::spawn(async move { database.close().await });
    tokio::task::yield_now().await;
    tx.commit().await.expect("a commit");
    waiting.await.expect("no panic").expect("a row");
    closing.await.expect("it closes");
    let refused = file.database.begin().await.err().expect("it is closed");
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    assert_eq!(file.numbers().await, [1, 2]);
}

#[tokio::test]
async fn a_long_read_holds_up_no_other_task_of_its_thread() {
    let file = File::new().await;
    // Some seconds of counting on the slowest machine, unless it is given up.
    let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)
                SELECT COUNT(*) FROM n";
    let database = file.database.clone();
    let reading = tokio::spawn(async move {
        let counted: Result<(i64,), Error> = database.fetch_one(long, params![]).await;
        counted.expect("a count").0
    });
    tokio::task::yield_now().await;
    assert!(!reading.is_finished());
    let short: (i64,) = {
        let read = file.database.fetch_one("SELECT 7", params![]).await;
        read.expect("another connection reads meanwhile")
    };
    assert_eq!(short.0, 7);
    assert!(!reading.is_finished(), "it did not run here");
    assert_eq!(reading.await.expect("no panic"), 3_000_000);
}

#[tokio::test]
async fn who_opens_a_new_file_waits_for_another_process_that_writes_it() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let backend = Backend::sqlite();
    // As one that was a moment earlier: it writes, and the file is not yet written ahead.
    let path = backend.url.trim_start_matches("sqlite:");
    let other = rusqlite::Connection::open(path).expect("a file");
    let write = "BEGIN IMMEDIATE; CREATE TABLE numbers (number INTEGER)";
    other.execute_batch(write).expect("a lock");
    let options = Options {
        acquire_timeout: PATIENCE,
        ..Options::default()
    };
    let asked = std::time::Instant::now();
    let refused = Database::connect(&backend.url, options.clone()).await;
    assert!(refused.is_err(), "the other still writes");
    assert!(asked.elapsed() >= PATIENCE, "it gave up at once");
    other.execute_batch("COMMIT").expect("a commit");
    let opened = Database::connect(&backend.url, options).await;
    opened.expect("an open file").close().await;
}
