//! Whoever gives up waiting for a transaction leaves nothing behind that others would meet.

use std::time::Duration;

use database::{Database, Options, params};

/// Each of them catches the begin at another moment.
const TIMES: i64 = 30;

#[tokio::test]
async fn a_begin_that_nobody_waits_for_makes_later_statements_no_part_of_it() {
    let server = testkit::database().await;
    let only_one = Options {
        max_connections: 1,
        ..Options::default()
    };
    let database = Database::connect(server.url(), only_one)
        .await
        .expect("a database");
    let table = "CREATE TABLE kept (n BIGINT)";
    database.execute(table, params![]).await.expect("a table");
    let others = Database::connect(server.url(), Options::default()).await;
    let others = others.expect("a database");
    for time in 0..TIMES {
        let patience = Duration::from_micros(20 * u64::try_from(time).unwrap_or(0));
        tokio::time::timeout(patience, database.begin()).await.ok();
        let insert = "INSERT INTO kept VALUES ($1)";
        database.execute(insert, params![time]).await.expect("room");
        // Durable, so that everybody sees it.
        let count = others.fetch_one("SELECT COUNT(*) FROM kept", params![]);
        let (seen,): (i64,) = count.await.expect("a count");
        assert_eq!(seen, time + 1);
    }
}
