//! Runbooks are drills: the commands in their fenced blocks are what an operator types, so they run
//! here, in order, against a system that has players.

use std::path::Path;

use crate::{BANYAN, embedded::Up, player::Player};

/// The `sh` blocks of a runbook, in order.
fn blocks(runbook: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../runbooks")
        .join(runbook);
    let text = std::fs::read_to_string(&path).expect("the runbook is there");
    text.split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn every_command_of_cut_over_works_as_written() {
    let up = Up::start().await;
    let player = Player::register(&up.gateway(), "Ada").await;
    let question = &player.questions().await[0];
    player.answer(question, "before").await.expect("an answer");

    let bin = up.folder.path().join("bin");
    std::fs::create_dir(&bin).expect("a writable folder");
    std::os::unix::fs::symlink(BANYAN, bin.join("banyan")).expect("a link");
    let path = format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let blocks = blocks("cut-over.md");
    assert!(blocks.len() >= 5, "{blocks:?}");
    for block in blocks {
        let output = tokio::process::Command::new("sh")
            .args(["-ec", &block])
            .env("PATH", &path)
            .current_dir(up.folder.path())
            .output()
            .await
            .expect("sh starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{block}{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    }
    assert_eq!(player.get("/api/stats/me").await["answered"], 1);
}
