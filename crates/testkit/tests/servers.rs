//! The private servers: isolated, restartable, and gone with whoever started them.

use std::{path::Path, process::Command, time::Duration};

use database::{Database, Options, params};
use testkit::{Backend, Nats, POSTGRES_URL, Postgres, Process, eventually};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(30);

/// Gives up soon on a server that is gone.
fn impatient() -> Options {
    Options {
        acquire_timeout: Duration::from_millis(500),
        ..Options::default()
    }
}

async fn names(backend: Backend) {
    let database = backend.open(Options::default()).await;
    database
        .execute("CREATE TABLE names (name TEXT)", params![])
        .await
        .expect("a table");
    database
        .execute("INSERT INTO names (name) VALUES ($1)", params!["ada"])
        .await
        .expect("a row");
    let names: Vec<(String,)> = database
        .fetch_all("SELECT name FROM names", params![])
        .await
        .expect("rows");
    assert_eq!(names, [("ada".to_owned(),)]);
}
testkit::both_databases!(names);

#[tokio::test]
async fn two_test_databases_share_nothing_and_are_dropped() {
    let (one, other) = (testkit::database().await, testkit::database().await);
    for database in [&one, &other] {
        let database = Database::connect(database.url(), Options::default())
            .await
            .unwrap();
        database
            .execute("CREATE TABLE same_name (n BIGINT)", params![])
            .await
            .unwrap();
    }
    let gone = one.url().to_owned();
    drop(one);
    assert!(Database::connect(&gone, impatient()).await.is_err());
    assert!(
        Database::connect(other.url(), Options::default())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn committed_rows_survive_a_crash_of_postgres() {
    let mut postgres = Postgres::start().await.unwrap();
    let database = Database::connect(&postgres.url(), impatient())
        .await
        .unwrap();
    database
        .execute("CREATE TABLE kept (n BIGINT)", params![])
        .await
        .unwrap();
    database.close().await;
    postgres.crash().await.unwrap();
    assert!(
        Database::connect(&postgres.url(), impatient())
            .await
            .is_err()
    );
    postgres.restart().await.unwrap();
    let database = Database::connect(&postgres.url(), impatient())
        .await
        .unwrap();
    database
        .execute("INSERT INTO kept (n) VALUES (1)", params![])
        .await
        .unwrap();
}

/// Whether the store holds the stream.
fn has_stream(folder: &Path) -> bool {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name() == "kept" {
                return true;
            }
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    false
}

#[tokio::test]
async fn every_installed_nats_server_keeps_its_streams_until_its_disk_is_wiped() {
    let versions = Nats::versions();
    assert!(!versions.is_empty(), "no nats-server found");
    for version in versions {
        let mut nats = Nats::start_version(version).await.unwrap();
        let stream = r#"{"name":"kept","subjects":["kept.>"]}"#;
        let answer = nats
            .ask("$JS.API.STREAM.CREATE.kept", stream)
            .await
            .unwrap();
        assert_eq!(answer["config"]["name"], "kept", "{answer}");
        let url = nats.url();
        nats.stop().await.unwrap();
        assert!(TcpStream::connect(nats.address()).await.is_err());
        nats.restart().await.unwrap();
        assert!(has_stream(&nats.store()));
        nats.kill().await.unwrap();
        nats.restart_empty().await.unwrap();
        assert!(!has_stream(&nats.store()));
        assert_eq!(nats.url(), url);
    }
}

fn with_servers(script: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-servers"));
    command.args(["sh", "-c", script]);
    Process::spawn_command(command).expect("with-servers starts")
}

#[tokio::test]
async fn with_servers_gives_its_command_a_database_and_ends_with_its_code() {
    let mut run = with_servers(&format!("echo \"url=${POSTGRES_URL}\"; exit 5"));
    assert!(
        run.line("url=", SOON)
            .await
            .starts_with("url=postgres://postgres@127.0.0.1:")
    );
    assert_eq!(run.exit(SOON).await.code(), Some(5));
}

#[tokio::test]
async fn nothing_is_left_when_a_test_process_is_killed() {
    let script = format!("echo \"url=${POSTGRES_URL} pid=$$\"; exec sleep 1000");
    let mut run = with_servers(&script);
    let line = run.line("url=", SOON).await;
    let (url, pid) = line.trim_start_matches("url=").split_once(" pid=").unwrap();
    assert!(Database::connect(url, Options::default()).await.is_ok());
    let folders = || {
        let prefix = "banyan-postgres-";
        let temporary = std::fs::read_dir(std::env::temp_dir())
            .into_iter()
            .flatten()
            .flatten();
        let port = url
            .rsplit_once(':')
            .unwrap()
            .1
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        temporary
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .filter(|entry| {
                let file = entry.path().join("data/postmaster.pid");
                let text = std::fs::read_to_string(file).unwrap_or_default();
                text.lines().nth(3) == Some(port.as_str())
            })
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    let [folder] = folders().try_into().expect("one server has this port");
    run.kill().unwrap();
    eventually(SOON, || async { !folder.exists() }).await;
    assert!(Database::connect(url, impatient()).await.is_err());
    let command = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    eventually(SOON, || async {
        rustix::process::test_kill_process(command).is_err()
    })
    .await;
}
