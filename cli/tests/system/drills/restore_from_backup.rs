//! runbooks/restore-from-backup.md: the server's disk is lost, and somebody has put the last base
//! backup in its place and said nothing, with everything running.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Stdio};

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

/// What docs/backups.md gives `pg_basebackup`, but for the user.
fn options() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/backups.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let lines = text.lines().filter(|line| line.contains(" > banyan-"));
    let mut words = lines.filter_map(|line| line.split_once(" pg_basebackup -U postgres "));
    let (_, rest) = words.next().expect("the command");
    let (options, _) = rest.split_once(" > ").expect("a file");
    options.split(' ').map(ToOwned::to_owned).collect()
}

/// Copies the running server into a tar, as an operator's backup does.
async fn copy(programs: &Path, url: &str, to: &Path) {
    let tar = std::fs::File::create(to).expect("a writable folder");
    let copied = tokio::process::Command::new(programs.join("pg_basebackup"))
        .args(["--dbname", url, "--checkpoint=fast"])
        .args(options())
        .stdout(tar)
        .stderr(Stdio::piped())
        .spawn()
        .expect("pg_basebackup is installed with PostgreSQL")
        .wait_with_output()
        .await
        .expect("it ends");
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
    let backup = data.with_file_name("banyan.tar");
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
        server.crash().await.expect("it ran");
        std::fs::remove_dir_all(&data).expect("the server's disk is lost");
        std::fs::create_dir(&data).expect("a writable folder");
        let unpacked = std::process::Command::new("tar")
            .arg("-xpf")
            .args([&backup, Path::new("-C"), &data])
            .status();
        assert!(unpacked.expect("tar").success());
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&data, private).expect("our own folder");
        server.hand_over(&data).expect("its account owns it");
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
