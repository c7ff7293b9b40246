//! The database server dies under everything, and comes back.

use std::time::Duration;

use chassis::Shutdown;
use database::{Database, Options, params};
use event_store::{
    AppendError, Consumers, Log, LogOptions, ReadQuery, outbox, relay::RelayOptions,
};
use testkit::{
    Backend, Postgres, eventually,
    proxy::{FaultProxy, Mode},
};

use crate::{
    consumers::handler::{Journal, create_journal, handled, options},
    fixture::{OUTBOX, PATIENCE, draft, run_of, soon},
};

async fn enqueue(database: &Database) -> Result<(), database::Error> {
    let mut tx = database.begin().await?;
    OUTBOX.enqueue(&mut tx, draft("a")).await?;
    tx.commit().await
}

/// A log and a service's database on the server.
async fn databases(server: &Postgres) -> (Log, Database) {
    let admin = Database::connect(&server.url(), Options::default())
        .await
        .unwrap();
    for name in ["CREATE DATABASE log", "CREATE DATABASE service"] {
        sqlx::query(name)
            .execute(admin.postgres_pool().unwrap())
            .await
            .unwrap();
    }
    let url = |name: &str| {
        let url = server.url();
        let (base, _) = url.rsplit_once('/').unwrap();
        format!("{base}/{name}")
    };
    let log = Log::open(&url("log"), LogOptions::default()).await.unwrap();
    let database = Database::connect(&url("service"), Options::default())
        .await
        .unwrap();
    database.migrate(outbox::migrations()).await.unwrap();
    create_journal(&database).await;
    (log, database)
}

#[tokio::test]
async fn postgres_dies_and_comes_back_and_every_committed_event_is_handled_once() {
    let mut server = Postgres::start().await.unwrap();
    let (log, database) = databases(&server).await;
    let stop = Shutdown::new();
    let consumers = Consumers::new(database.clone(), log.clone())
        .with_options(options())
        .add(Journal::new());
    let (running, end) = (consumers.clone(), stop.clone());
    let reading = tokio::spawn(async move { running.run(None, end).await });
    let relay = RelayOptions {
        max_backoff: options().max_backoff,
        ..RelayOptions::new("test")
    };
    let relaying = tokio::spawn(outbox::run_relay(
        database.clone(),
        log.clone(),
        relay,
        stop.clone(),
    ));

    for _ in 0..3 {
        enqueue(&database).await.unwrap();
    }
    soon(consumers.caught_up_to(3)).await;
    let writing = tokio::spawn({
        let database = database.clone();
        async move { while enqueue(&database).await.is_ok() {} }
    });
    eventually(PATIENCE, || async { *log.appended().borrow() > 10 }).await;
    server.crash().await.unwrap();
    soon(writing).await.unwrap();
    server.restart().await.unwrap();
    eventually(PATIENCE, || enqueue(&database)).await;

    let sql = "SELECT version FROM stream_versions WHERE stream = 'a'";
    let (written,): (i64,) = database.fetch_one(sql, params![]).await.unwrap();
    soon(log.appended().wait_for(|head| *head == written))
        .await
        .unwrap();
    soon(consumers.caught_up_to(written)).await;
    assert_eq!(handled(&database).await, (1..=written).collect::<Vec<_>>());
    let newest = log.read(&ReadQuery::newest().limit(1)).await.unwrap();
    assert_eq!(
        (newest[0].position, newest[0].event.version),
        (written, written)
    );
    stop.trigger();
    soon(reading).await.unwrap();
    soon(relaying).await.unwrap();
}

/// The backend's URL by way of a proxy.
pub(crate) async fn through_proxy(backend: &Backend) -> (String, FaultProxy) {
    let (user, rest) = backend.url.rsplit_once('@').unwrap();
    let (address, name) = rest.split_once('/').unwrap();
    let proxy = FaultProxy::start(address.parse().unwrap()).await.unwrap();
    (format!("{user}@{}/{name}", proxy.address()), proxy)
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_is_repeated_harmlessly() {
    let backend = Backend::postgres().await;
    let (url, proxy) = through_proxy(&backend).await;
    let log = Log::open(&url, LogOptions::default()).await.unwrap();
    log.append(run_of("a", 1)).await.unwrap();
    let batch = run_of("b", 3);
    proxy.set(Mode::CutResponseAfter(0)).await;
    let lost = log.append(batch.clone()).await.unwrap_err();
    assert!(
        matches!(lost, AppendError::Unavailable(_)) && lost.is_transient(),
        "{lost}"
    );
    proxy.set(Mode::Pass).await;
    eventually(PATIENCE, || async {
        log.append(batch.clone()).await.is_ok()
    })
    .await;
    let stored = log.read(&ReadQuery::after(0)).await.unwrap();
    assert_eq!(
        stored.iter().map(|r| r.position).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_told_in_bounded_time() {
    let backend = Backend::postgres().await;
    let (url, proxy) = through_proxy(&backend).await;
    let timeout = Duration::from_millis(500);
    let log = Log::open(
        &url,
        LogOptions {
            timeout,
            ..Default::default()
        },
    )
    .await
    .unwrap();
    log.append(run_of("a", 1)).await.unwrap();
    proxy.set(Mode::Blackhole).await;
    let (batch, all) = (run_of("b", 1), ReadQuery::after(0));
    let (appended, read) =
        soon(async { tokio::join!(log.append(batch.clone()), log.read(&all)) }).await;
    assert!(matches!(appended, Err(AppendError::Unavailable(_))));
    assert!(read.unwrap_err().is_transient());
    proxy.set(Mode::Pass).await;
    proxy.sever().await;
    eventually(PATIENCE, || async {
        log.append(batch.clone()).await.is_ok()
    })
    .await;
    assert_eq!(log.head().await.unwrap().position, 2);
}
