//! `--migrate-only`: what a migration Job runs before a release.

use database::{Database, Options};
use futures::future::join_all;
use testkit::Backend;

use crate::{PARTS, banyan, repository, said};

/// Jobs that start at the same moment, as when one is retried while its first pod still runs.
const AT_ONCE: usize = 3;

fn settings(part: &str, url: &str) -> Vec<(String, String)> {
    let key = if part == "log" { "LOG" } else { "DATABASE" };
    let name = format!("BANYAN_{}__{key}", part.to_uppercase());
    vec![(name, url.to_owned())]
}

/// How many scripts the database's book of `set` holds as done.
async fn applied(database: &Database, set: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM migrations_{set} WHERE success");
    // Statements are `'static`; a test may leak a few.
    let row: (i64,) = database
        .fetch_one(&*sql.leak(), Vec::new())
        .await
        .unwrap_or_else(|error| panic!("{set}: {error}"));
    row.0
}

async fn every_part_migrates(open: impl AsyncFn() -> Backend) {
    for (part, sets) in PARTS {
        let backend = open().await;
        let run = || {
            let mut command = banyan(part, &settings(part, &backend.url));
            command.arg("--migrate-only").output()
        };
        let mut outputs = join_all((0..AT_ONCE).map(|_| run())).await;
        // A repeat, when there is nothing to do any more.
        outputs.push(run().await);
        for output in outputs {
            let output = output.expect("banyan starts");
            assert!(output.status.success(), "{part}: {}", said(&output));
        }
        let database = backend.open(Options::default()).await;
        for set in sets {
            let scripts = repository("migrations").join(set).join(backend.name);
            let scripts = std::fs::read_dir(scripts).expect("a folder of scripts");
            let expected = i64::try_from(scripts.count()).expect("a few");
            assert_eq!(applied(&database, set).await, expected, "{part}: {set}");
        }
        database.close().await;
    }
}

#[tokio::test]
async fn every_part_migrates_its_sqlite_file_and_exits_also_several_at_once() {
    every_part_migrates(async || Backend::sqlite()).await;
}

#[tokio::test]
async fn every_part_migrates_its_postgresql_database_and_exits_also_several_at_once() {
    every_part_migrates(Backend::postgres).await;
}

#[tokio::test]
async fn a_migration_says_1_without_a_database_and_64_for_a_wrong_setting() {
    // A port that was free a moment ago: nobody listens there.
    let nowhere = format!("postgres://banyan@127.0.0.1:{}/quiz", testkit::free_port());
    let run = |part, settings: Vec<(String, String)>| {
        let mut command = banyan(part, &settings);
        command.arg("--migrate-only").output()
    };
    // The log, legacy and any one of the services, which share their way in.
    let parts = ["log", "legacy", "quiz"];
    let outputs = join_all(parts.map(|part| run(part, settings(part, &nowhere)))).await;
    for output in outputs {
        let output = output.expect("banyan starts");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("setting `"), "{}", said(&output));
    }
    for part in parts {
        let unknown = format!("BANYAN_{}__DATABSE", part.to_uppercase());
        let output = run(part, vec![(unknown, nowhere.clone())]).await;
        let output = output.expect("banyan starts");
        assert_eq!(output.status.code(), Some(64), "{part}: {}", said(&output));
    }
}

#[tokio::test]
async fn a_part_checks_its_configuration_without_running() {
    for (part, _) in PARTS {
        let name = |key: &str| format!("BANYAN_{}__{key}", part.to_uppercase());
        let listen = (name("LISTEN"), "0.0.0.0:9999".to_owned());
        let check = |settings: Vec<(String, String)>| async move {
            let output = banyan(part, &settings).arg("--check").output().await;
            output.expect("banyan starts")
        };
        // Reachable from other machines without a token for the operators' verbs.
        let output = check(vec![listen.clone()]).await;
        assert_eq!(output.status.code(), Some(64), "{part}: {}", said(&output));
        assert!(said(&output).contains("ops_token"), "{}", said(&output));
        let token = (name("OPS_TOKEN"), "0123456789abcdef".to_owned());
        let output = check(vec![listen, token]).await;
        assert_eq!(output.status.code(), Some(0), "{part}: {}", said(&output));
    }
}
