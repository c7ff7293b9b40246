//! runbooks/restore-from-backup.md: the server's disk is lost, and somebody has put the last base
//! backup in its place and said nothing, with everything running.

use std::path::Path;

use serde_json::Value;
use testkit::Postgres;

use super::Drill;
use crate::distributed::{Setup, System};

/// A system on a PostgreSQL of its own.
pub(super) async fn on_its_own_server() -> System {
    let postgres = Postgres::start().await.expect("PostgreSQL starts");
    System::start_as(Setup {
        postgres: Some(postgres),
        ..Setup::default()
    })
    .await
}

/// Copies the running server, as an operator's backup does.
async fn copy(programs: &Path, url: &str, to: &Path) {
    let copied = tokio::process::Command::new(programs.join("pg_basebackup"))
        .args([
            "--dbname",
            url,
            "--checkpoint=fast",
            "--no-sync",
            "--pgdata",
        ])
        .arg(to)
        .output()
        .await
        .expect("pg_basebackup is installed with PostgreSQL");
    let text = String::from_utf8_lossy(&copied.stderr);
    assert!(copied.status.success(), "{text}");
}

async fn answered(drill: &Drill) -> i64 {
    let stats = drill.player().get("/api/stats/me").await;
    stats["answered"].as_i64().expect("a number")
}

#[tokio::test]
async fn restore_from_backup() {
    let mut drill = Drill::on("restore-from-backup.md", on_its_own_server()).await;
    let (programs, url, data) = {
        let system = drill.system().await;
        let server = system.postgres.as_ref().expect("a server of its own");
        (server.programs().to_owned(), server.url(), server.data())
    };
    let backup = data.with_file_name("backup");
    drill.variable("PGDATA", &data.display().to_string());
    drill.variable("BACKUP", &backup.display().to_string());
    tokio::join!(copy(&programs, &url, &backup), drill.plays());
    let before = answered(&drill).await;
    // Told to a player and to an operator after the backup: gone with the server.
    drill.plays().await;
    drill.plays().await;
    let half = [
        "flags",
        "set",
        "auth-cutover",
        "--percent",
        "50",
        "--reason",
        "after the backup",
    ];
    drill.system().await.verb(&half).await;
    {
        let mut system = drill.system().await;
        let server = system.postgres.as_mut().expect("a server of its own");
        server.hand_over(&backup).expect("its account owns it");
        server.crash().await.expect("it ran");
        std::fs::remove_dir_all(&data).expect("the server's disk is lost");
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([&backup, &data])
            .status();
        assert!(copied.expect("cp").success());
        server.restart().await.expect("it starts on the backup");
    }
    drill
        .found("the server's disk was lost, and the base backup put in its place with everything running")
        .await;
    drill.look().await;
    drill.is_there_still().await;
    drill.act().await;
    drill.verify().await;

    // One answer was given while the copy was taken; it may be on either side of its end.
    let after = answered(&drill).await;
    assert!((before - 1..=before).contains(&after), "{before}, {after}");
    {
        let system = drill.system().await;
        let flags = system.verb(&["flags", "list"]).await;
        let items = flags["items"].as_array().expect("items");
        assert!(
            items.iter().all(|flag| flag["percent"] == 100.0),
            "the flags are those of the backup: {flags}"
        );
        let epochs: Value = system.verb(&["log", "epochs"]).await;
        assert_eq!(
            epochs["items"].as_array().map(Vec::len),
            Some(1),
            "{epochs}"
        );
    }
    drill.undo().await;
    drill.end().await;
}
