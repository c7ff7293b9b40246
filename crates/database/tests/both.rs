//! The same statements against SQLite and PostgreSQL.

use std::time::Duration;

use database::{Database, Error, Json, Options, Sql, Timestamp, params};
use serde_json::json;

use uuid::Uuid;

/// Opens every backend with an empty table `things`.
async fn databases() -> Vec<(testkit::Backend, Database)> {
    let mut opened = Vec::new();
    for backend in testkit::backends().await {
        let database = backend.open(Options::default()).await;
        let create = Sql::by_dialect(
            "CREATE TABLE things (id UUID CONSTRAINT things_pk PRIMARY KEY, number BIGINT, \
             real DOUBLE PRECISION, flag BOOLEAN, name TEXT CONSTRAINT things_name UNIQUE, \
             body JSONB, bytes BYTEA, at TIMESTAMPTZ)",
            "CREATE TABLE things (id BLOB CONSTRAINT things_pk PRIMARY KEY, number INTEGER, \
             real REAL, flag BOOLEAN, name TEXT CONSTRAINT things_name UNIQUE, \
             body TEXT, bytes BLOB, at INTEGER)",
        );
        database
            .execute(create, params![])
            .await
            .expect("the table is created");
        opened.push((backend, database));
    }
    opened
}

type Row = (
    Uuid,
    Option<i64>,
    Option<f64>,
    Option<bool>,
    Option<String>,
    Option<Json<serde_json::Value>>,
    Option<Vec<u8>>,
    Option<Timestamp>,
);

const INSERT: &str = "INSERT INTO things (id, number, real, flag, name, body, bytes, at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const SELECT: &str =
    "SELECT id, number, real, flag, name, body, bytes, at FROM things ORDER BY number";

#[tokio::test]
async fn every_kind_of_value_comes_back_as_it_went_in_and_so_does_null() {
    for (backend, database) in databases().await {
        let (id, at) = (
            Uuid::now_v7(),
            Timestamp::from_micros(1_700_000_000_123_456),
        );
        let body = json!({ "a": [1, null, "x"] });
        let values = params![
            id,
            7_i64,
            1.5,
            true,
            "name",
            body.clone(),
            vec![0_u8, 255],
            at
        ];
        database.execute(INSERT, values).await.unwrap();
        let nulls = params![
            Uuid::nil(),
            8_i64,
            None::<f64>,
            None::<bool>,
            None::<String>,
            None::<serde_json::Value>,
            None::<Vec<u8>>,
            None::<Timestamp>
        ];
        database.execute(INSERT, nulls).await.unwrap();
        let rows = database.fetch_all::<Row>(SELECT, params![]).await.unwrap();
        let whole: Row = (
            id,
            Some(7),
            Some(1.5),
            Some(true),
            Some("name".to_owned()),
            Some(Json(body)),
            Some(vec![0, 255]),
            Some(at),
        );
        let empty: Row = (Uuid::nil(), Some(8), None, None, None, None, None, None);
        assert_eq!(rows, [whole, empty], "{}", backend.name);
    }
}

#[tokio::test]
async fn lists_are_bound_as_one_value() {
    for (backend, database) in databases().await {
        let ids: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
        for (number, id) in ids.iter().enumerate() {
            let sql = "INSERT INTO things (id, number, name) VALUES ($1, $2, $3)";
            let values = params![*id, i64::try_from(number).unwrap(), format!("n{number}")];
            database.execute(sql, values).await.unwrap();
        }
        let by_name = Sql::by_dialect(
            "SELECT number FROM things WHERE name = ANY($1) ORDER BY number",
            "SELECT number FROM things WHERE name IN (SELECT value FROM json_each($1)) \
             ORDER BY number",
        );
        let names = params![vec!["n0".to_owned(), "n2".to_owned()]];
        let found = database.fetch_all::<(i64,)>(by_name, names).await.unwrap();
        assert_eq!(found, [(0,), (2,)], "{}", backend.name);
        let by_id = Sql::by_dialect(
            "SELECT number FROM things WHERE id = ANY($1)",
            "SELECT number FROM things \
             WHERE lower(hex(id)) IN (SELECT value FROM json_each($1))",
        );
        let found = database
            .fetch_all::<(i64,)>(by_id, params![vec![ids[1]]])
            .await
            .unwrap();
        assert_eq!(found, [(1,)], "{}", backend.name);
    }
}

#[tokio::test]
async fn a_refusing_constraint_is_named() {
    for (backend, database) in databases().await {
        let sql = "INSERT INTO things (id, name) VALUES ($1, 'same')";
        database
            .execute(sql, params![Uuid::now_v7()])
            .await
            .unwrap();
        let error = database
            .execute(sql, params![Uuid::now_v7()])
            .await
            .unwrap_err();
        assert!(
            error.is_unique_violation() && error.violates("name"),
            "{}: {error}",
            backend.name
        );
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_and_a_committed_one_raises_its_signal() {
    for (backend, database) in databases().await {
        let signal = database.signal("things");
        let sql = "INSERT INTO things (id) VALUES ($1)";
        let mut tx = database.begin().await.unwrap();
        tx.execute(sql, params![Uuid::now_v7()]).await.unwrap();
        tx.signal("things");
        drop(tx);
        let count = || async {
            let sql = "SELECT COUNT(*) FROM things";
            database
                .fetch_one::<(i64,)>(sql, params![])
                .await
                .unwrap()
                .0
        };
        assert_eq!(count().await, 0, "{}", backend.name);
        assert!(!signal.has_changed().unwrap());

        let mut tx = database.begin().await.unwrap();
        tx.execute(sql, params![Uuid::now_v7()]).await.unwrap();
        tx.signal("things");
        tx.commit().await.unwrap();
        assert_eq!(count().await, 1, "{}", backend.name);
        assert!(signal.has_changed().unwrap());
    }
}

#[tokio::test]
async fn a_commit_hook_can_die_before_and_after_the_write_is_durable() {
    for backend in testkit::backends().await {
        let faults = testkit::CommitFaults::new();
        let options = Options {
            commit_hook: Some(faults.clone()),
            ..Options::default()
        };
        let database = backend.open(options).await;
        let create = "CREATE TABLE numbers (number BIGINT)";
        database.execute(create, params![]).await.unwrap();
        let insert = "INSERT INTO numbers VALUES ($1)";
        let numbers = || async {
            let sql = "SELECT number FROM numbers ORDER BY number";
            database.fetch_all::<(i64,)>(sql, params![]).await.unwrap()
        };
        faults.die_before(1);
        database.execute(insert, params![1_i64]).await.unwrap_err();
        assert_eq!(numbers().await, [], "{}", backend.name);
        faults.revive();
        faults.die_after(1);
        database.execute(insert, params![2_i64]).await.unwrap_err();
        assert_eq!(numbers().await, [(2,)], "{}", backend.name);
    }
}

#[tokio::test]
async fn writers_wait_for_each_other_and_none_is_lost() {
    for (backend, database) in databases().await {
        let id = Uuid::now_v7();
        let insert = "INSERT INTO things (id, number) VALUES ($1, 0)";
        database.execute(insert, params![id]).await.unwrap();
        let add = || {
            let database = database.clone();
            tokio::spawn(async move {
                let mut tx = database.begin().await.unwrap();
                let select = Sql::by_dialect(
                    "SELECT number FROM things WHERE id = $1 FOR UPDATE",
                    "SELECT number FROM things WHERE id = $1",
                );
                let (number,) = tx.fetch_one::<(i64,)>(select, params![id]).await.unwrap();
                let update = "UPDATE things SET number = $2 WHERE id = $1";
                tx.execute(update, params![id, number + 1]).await.unwrap();
                tx.commit().await.unwrap();
            })
        };
        for task in (0..20).map(|_| add()).collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let sql = "SELECT number FROM things WHERE id = $1";
        let (number,) = database
            .fetch_one::<(i64,)>(sql, params![id])
            .await
            .unwrap();
        assert_eq!(number, 20, "{}", backend.name);
    }
}

#[tokio::test]
async fn an_unusable_url_or_folder_is_told_and_an_absent_server_is_unavailable() {
    let options = Options {
        acquire_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let open = async |url: &str| Database::connect(url, options.clone()).await.err().unwrap();
    assert!(matches!(
        open("mysql://localhost/x").await,
        Error::Configuration(_)
    ));
    assert!(matches!(
        open("sqlite:/proc/no/such.db").await,
        Error::Configuration(_)
    ));
    let url = format!("postgres://nobody@127.0.0.1:{}/none", testkit::free_port());
    assert!(matches!(open(&url).await, Error::Unavailable(_)));
}

/// SQLite takes it back by itself, and its pool does not see that.
#[tokio::test]
async fn the_writer_goes_on_after_a_transaction_that_found_no_room() {
    let backend = testkit::Backend::sqlite();
    let database = backend.open(Options::default()).await;
    let execute = async |sql: &'static str| database.execute(sql, params![]).await;
    execute("CREATE TABLE filled (bytes BLOB)").await.unwrap();
    execute("PRAGMA max_page_count = 8").await.unwrap();
    let refused = execute("INSERT INTO filled VALUES (zeroblob(1000000))").await;
    assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
    let small = execute("INSERT INTO filled VALUES (zeroblob(10))").await;
    assert_eq!(small.expect("it fits into a page"), 1);
}

/// SQLite itself says that it is full, here at a bound of its writing connection, which a refusal may
/// end together with that connection.
#[tokio::test]
async fn a_full_disk_is_a_transient_error_that_is_remembered_until_there_is_room() {
    let backend = testkit::Backend::sqlite();
    let database = backend.open(Options::default()).await;
    let execute = async |sql: &'static str| database.execute(sql, params![]).await;
    let filled = execute("CREATE TABLE filled (bytes BLOB)").await;
    filled.expect("a table");
    assert_eq!(database.room().await, Ok(()));
    let bound = "PRAGMA max_page_count = 8";
    execute(bound).await.expect("a bound");
    let error = execute("INSERT INTO filled VALUES (zeroblob(1000000))").await;
    let error = error.expect_err("no room");
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert!(error.is_transient());
    database.ping().await.expect("it still answers");

    execute(bound).await.expect("the writer goes on");
    let small = execute("INSERT INTO filled VALUES (zeroblob(10))").await;
    small.expect("what fits into a page is still written");
    let room = database.room().await;
    assert!(room.is_err_and(|text| text.contains("full")));

    let grown = execute("PRAGMA max_page_count = 1000000").await;
    grown.expect("another bound");
    assert_eq!(database.room().await, Ok(()));
    let tables = "SELECT COUNT(*) FROM sqlite_schema";
    let tables = database.fetch_one::<(i64,)>(tables, params![]).await;
    assert_eq!(tables.expect("a count").0, 1, "what was tried is gone");
}

/// `PostgreSQL` is made to say so; its disk has room.
#[tokio::test]
async fn a_disk_with_room_again_is_not_told_of_except_by_who_may_not_try() {
    let backend = testkit::Backend::postgres().await;
    let database = backend.open(Options::default()).await;
    let refused = "DO $$ BEGIN RAISE EXCEPTION 'No space left' USING ERRCODE = 'disk_full'; END $$";
    let error = database.execute(refused, params![]).await;
    let error = error.expect_err("it says that it is full");
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert_eq!(database.room().await, Ok(()));

    let reader = "DO $$ BEGIN CREATE ROLE reads_only LOGIN; EXCEPTION
                  WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    database.execute(reader, params![]).await.expect("a role");
    let url = backend.url.replacen("postgres@", "reads_only@", 1);
    let reader = Database::connect(&url, Options::default()).await;
    let reader = reader.expect("it may connect");
    reader.execute(refused, params![]).await.ok();
    let room = reader.room().await;
    assert!(room.is_err_and(|text| text.contains("No space left")));
}
