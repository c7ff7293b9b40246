//! runbooks/disk-full.md: the volume with PostgreSQL's tables is really full; its WAL lies on another.
//!
//! It mounts a small tmpfs, which root may, or who may become root without a password.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use reqwest::StatusCode;
use serde_json::Value;
use testkit::Postgres;

use super::super::Drill;
use crate::{
    distributed::{Setup, System},
    player::expect,
};

/// Room for every table of the system, and a little more.
const SIZE: &str = "size=96m";
/// The file that stands there to be deleted: less than on a volume of a usual size.
const SPARE_BYTES: usize = 8 * 1024 * 1024;
/// Answers until a table needs its next page: some dozens.
const ANSWERS: u64 = 500;

/// A volume of its own; unmounted when dropped.
struct Volume(PathBuf);

impl Volume {
    fn mount(at: PathBuf) -> Self {
        std::fs::create_dir(&at).expect("a writable folder");
        as_root(&["mount", "-t", "tmpfs", "-o", SIZE, "tmpfs"], &at);
        Self(at)
    }

    /// Writes zeros until there is no room, or `bytes` are written.
    fn fill(&self, name: &str, bytes: usize) {
        let mut file = std::fs::File::create(self.0.join(name)).expect("a file");
        let block = [0_u8; 4096];
        let mut left = bytes;
        while left > 0 {
            match file.write(&block[..left.min(block.len())]) {
                Ok(written) => left -= written,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                    return;
                }
            }
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: the server may still have its files open.
        as_root(&["umount", "-l"], &self.0);
        // A server that ended before could not remove its folder with a volume in it.
        let folder = self.0.parent().expect("it lies in the server's folder");
        if !folder.join("data").exists() {
            // What is left is empty, and nobody needs it.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn as_root(words: &[&str], path: &Path) {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new(words[0])
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("-n").arg(words[0]);
        sudo
    };
    let done = command.args(&words[1..]).arg(path).status();
    let is_done = done.is_ok_and(|status| status.success());
    assert!(is_done, "{words:?}: a volume of its own needs root");
}

/// PostgreSQL whose tables lie on a volume of their own.
async fn on(volume: &mut Option<Volume>) -> System {
    let postgres = Postgres::start().await.expect("PostgreSQL starts");
    let folder = postgres.data().with_file_name("volume");
    *volume = Some(Volume::mount(folder.clone()));
    let space = folder.join("tables");
    std::fs::create_dir(&space).expect("room");
    postgres.hand_over(&space).expect("its account owns it");
    postgres
        .tables_go_to(&space)
        .await
        .expect("a tablespace on the volume");
    System::start_as(Setup {
        postgres: Some(postgres),
        ..Setup::default()
    })
    .await
}

/// Answers until one finds no room; how many were accepted, and how many have no outcome yet.
async fn answer_until_full(drill: &Drill) -> (u64, u64) {
    let question = drill.player().questions().await.swap_remove(0);
    // The drill has begun with one.
    for accepted in 1..=ANSWERS {
        let key = format!("until it is full {accepted}");
        let answer = drill.player().answer(&question, &key).await;
        let answer = answer.expect("an answer of the gateway");
        match answer.status() {
            StatusCode::OK => {}
            // Its saga goes on when there is room.
            StatusCode::ACCEPTED => return (accepted, 1),
            // Refused at once, or taken back since a participant had no room.
            _ => {
                let problem: Value = expect(answer, StatusCode::SERVICE_UNAVAILABLE).await;
                assert!(problem["code"].is_string(), "{problem}");
                return (accepted, 0);
            }
        }
    }
    panic!("the disk is not full");
}

#[tokio::test]
async fn disk_full() {
    let mut mounted = None;
    let mut drill = Drill::on("disk-full.md", on(&mut mounted)).await;
    let volume = mounted.expect("it was mounted");
    volume.fill("spare", SPARE_BYTES);
    volume.fill("filler", usize::MAX);
    drill.variable("VOLUME", &volume.0.display().to_string());
    drill.variable("SPARE", &SPARE_BYTES.to_string());
    let (accepted, undecided) = answer_until_full(&drill).await;
    drill
        .found("the volume with PostgreSQL's tables is full")
        .await;
    // Reading goes on.
    drill
        .player()
        .get("/api/leaderboard?quizMode=classic")
        .await;
    drill.look().await;
    drill.is_there_still().await;
    drill.act().await;
    // The volume grows, as the runbook says next.
    std::fs::remove_file(volume.0.join("filler")).expect("it was there");
    drill.verify().await;
    let stats = drill.player().get("/api/stats/me").await;
    let answered = stats["answered"].as_u64().expect("a number");
    assert!(
        (accepted..=accepted + undecided).contains(&answered),
        "what was accepted counts, once: {answered} of {accepted}, and {undecided} without an outcome"
    );
    drill.undo().await;
    drill.end().await;
}
