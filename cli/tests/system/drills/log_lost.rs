//! runbooks/log-lost.md: the log's database is gone, the services' are not.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::{Postgres, eventually};

use super::Drill;
use crate::{
    PATIENCE,
    distributed::{SERVICES, Setup, System, Users},
};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A system on a PostgreSQL of its own, with the users, databases and rights of a deployment.
async fn with_users_of_their_own() -> System {
    let postgres = Postgres::start().await.expect("PostgreSQL starts");
    let passwords = SERVICES
        .iter()
        .chain(&["log", "gateway"])
        .map(|user| (format!("DB_PASSWORD_{}", user.to_uppercase()), "trusted"));
    let passwords: Vec<_> = passwords.collect();
    for script in ["init.sh", "event-log.sh"] {
        let output = std::process::Command::new(format!("{REPOSITORY}/deploy/postgres/{script}"))
            .envs(passwords.iter().cloned())
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", postgres.port().to_string())
            .env("POSTGRES_USER", "postgres")
            .output()
            .expect("the script runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {errors}");
    }
    let mut databases: BTreeMap<_, _> = SERVICES
        .iter()
        .map(|name| ((*name).to_owned(), postgres.made(name)))
        .collect();
    databases.insert("log".to_owned(), postgres.made("event_log"));
    System::start_as(Setup {
        databases,
        postgres: Some(postgres),
        users: Users::OwnOnes,
        ..Setup::default()
    })
    .await
}

/// Waits until NATS has all that the log has.
async fn all_is_with_nats(system: &System) {
    eventually(PATIENCE, || async {
        let metrics = reqwest::get(format!("{}/metrics", system.url("log"))).await;
        let text = metrics.map_err(anyhow::Error::new)?.text().await?;
        let lag = text
            .lines()
            .find_map(|line| line.strip_prefix("publisher_lag "));
        anyhow::ensure!(lag == Some("0"), "{lag:?}");
        anyhow::Ok(())
    })
    .await;
}

/// Archives the log now, instead of at its hour.
async fn archive(drill: &Drill) {
    let administrator = drill.system().await.administrator().await;
    let maintenance = drill.system().await.url("maintenance");
    let archived = reqwest::Client::new()
        .post(format!("{maintenance}/api/admin/maintenance/log-archive"))
        .bearer_auth(&administrator.session.access_token)
        .json(&json!({}))
        .send()
        .await
        .expect("maintenance answers");
    assert!(archived.status().is_success(), "{}", archived.status());
    let folder = drill.system().await.folder().join("archive");
    eventually(PATIENCE, || async {
        let epochs = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        epochs
            .map(|epoch| epoch.path().join("manifest.json"))
            .any(|manifest| manifest.is_file())
    })
    .await;
}

#[tokio::test]
async fn log_lost() {
    let mut drill = Drill::on("log-lost.md", with_users_of_their_own()).await;
    let folder = drill.system().await.folder().join("archive");
    drill.variable("ARCHIVE_DIR", &folder.display().to_string());
    let nats = drill.system().await.brokers[0].url();
    drill.variable("NATS", &nats);
    let port = {
        let system = drill.system().await;
        system.postgres.as_ref().expect("its own").port()
    };
    for (name, value) in [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port.to_string()),
        ("PGUSER", "postgres"),
        ("REPOSITORY", REPOSITORY),
    ] {
        drill.variable(name, value);
    }
    archive(&drill).await;
    // What comes after the archive is in the outboxes and in NATS alone; a flag's change in NATS.
    drill.plays().await;
    let most = [
        "flags",
        "set",
        "auth-cutover",
        "--percent",
        "99",
        "--reason",
        "after the archive",
    ];
    drill.system().await.verb(&most).await;
    drill.plays().await;
    let before = {
        let system = drill.system().await;
        all_is_with_nats(&system).await;
        system.verb(&["events", "stats"]).await
    };
    drill
        .sql("quiz", "DROP DATABASE event_log WITH (FORCE)")
        .await;
    drill.found("the log's database was dropped").await;
    drill.look().await;
    drill.is_there_still().await;
    drill.act().await;
    drill.verify().await;
    {
        let system = drill.system().await;
        let after = system.verb(&["events", "stats"]).await;
        let head = |stats: &Value| stats["head"].as_i64().expect("a head");
        assert!(head(&after) >= head(&before), "{before} {after}");
        assert_ne!(before["epoch"], after["epoch"]);
        let flags = system.verb(&["flags", "list"]).await;
        let flags = flags["items"].as_array().expect("items").clone();
        let auth = flags.iter().find(|flag| flag["id"] == "auth-cutover");
        assert_eq!(auth.expect("the flag")["percent"], 99.0, "nothing was lost");
    }
    let stats = drill.player().get("/api/stats/me").await;
    assert_eq!(stats["answered"], 3);
    drill.undo().await;
    drill.end().await;
}
