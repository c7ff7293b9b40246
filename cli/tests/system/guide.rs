//! `docs/developing-a-service.md` is followed as a new user would: in a copy of this repository its
//! files are written as they stand there, and its commands run in their order beside a `banyan up`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use testkit::Process;

use crate::{BANYAN, embedded::Up};

/// What a fenced block of the guide says.
enum Block {
    /// Write this file.
    File(PathBuf, String),
    /// Run this in the shell.
    Commands(String),
    /// Run this program beside the rest.
    Program(String),
}

/// The blocks of the guide, in order. A fence that names a path after its language is a file.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        if ticks < 3 {
            continue;
        }
        let (fence, info) = line.split_at(ticks);
        let body: String = lines
            .by_ref()
            .take_while(|line| *line != fence)
            .flat_map(|line| [line, "\n"])
            .collect();
        match info.split_once(' ') {
            Some(("sh", _)) => blocks.push(Block::Program(body)),
            Some((_, path)) => blocks.push(Block::File(path.into(), body)),
            None if info == "sh" => blocks.push(Block::Commands(body)),
            None => {}
        }
    }
    blocks
}

/// A copy of the repository as it lies here, at a place that is the same each time, so that its
/// build is kept. It shares this build's folder: what both build alike is built once. Its packages have
/// a version of their own, so that none of them is taken for one of ours.
fn copy_of_the_repository(root: &Path) -> PathBuf {
    let target = Path::new(BANYAN)
        .ancestors()
        .nth(2)
        .expect("a target folder");
    let copy = target.join("guide");
    if copy.exists() {
        std::fs::remove_dir_all(&copy).expect("the last copy can be removed");
    }
    std::fs::create_dir(&copy).expect("a writable folder");
    let script = format!(
        "git -c safe.directory='*' ls-files --cached --others --exclude-standard -z \
         | xargs -0 cp -a --parents --target-directory={copy:?}"
    );
    let status = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(root)
        .status();
    assert!(status.expect("sh starts").success());
    std::os::unix::fs::symlink(target, copy.join("target")).expect("a link");
    let manifest = copy.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("the workspace's manifest");
    let (before, rest) = text.split_once("\nversion = \"").expect("a version");
    let (version, rest) = rest.split_once('"').expect("its end");
    let own = format!("{before}\nversion = \"{version}-guide\"{rest}");
    std::fs::write(manifest, own).expect("writable");
    copy
}

/// A shell in the copy, as a user would have it: without what this test run itself set.
fn shell(script: &str, copy: &Path) -> Command {
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars() {
        let is_kept = ["CARGO_HOME", "CARGO_INCREMENTAL"].contains(&name.as_str());
        if (name.starts_with("CARGO") || name.starts_with("NEXTEST")) && !is_kept {
            command.env_remove(name);
        }
    }
    let programs = Path::new(BANYAN).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .args(["-euo", "pipefail", "-c", script])
        .env("PATH", format!("{}:{path}", programs.display()))
        .current_dir(copy);
    command
}

/// Runs a block to its end.
async fn run(script: &str, copy: &Path) {
    let output = tokio::process::Command::from(shell(script, copy))
        .output()
        .await;
    let output = output.expect("bash starts");
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The text with every port of ours on loopback raised by `offset`.
fn raised(text: &str, offset: u16) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut parts = text.split(HOST);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (port, rest) = part.split_at(digits);
        let port: u16 = port.parse().expect("a port");
        out.push_str(&format!("{HOST}{}{rest}", port + offset));
    }
    out
}

#[tokio::test]
async fn a_service_made_by_the_guide_is_built_tested_routed_and_rolled_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("docs/developing-a-service.md"))
        .expect("the guide is there");
    let up = Up::start().await;
    let copy = copy_of_the_repository(&root);
    // The system of the guide's reader is in the folder of the commands.
    let data = up.folder.path().join(".banyan");
    std::os::unix::fs::symlink(&data, copy.join(".banyan")).expect("a link");

    let mut programs = Vec::new();
    // This system's ports are not the defaults.
    for block in blocks(&raised(&text, up.offset)) {
        match block {
            Block::File(path, text) => {
                let file = copy.join(path);
                std::fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
                std::fs::write(file, text).expect("writable");
            }
            Block::Commands(script) => run(&script, &copy).await,
            Block::Program(line) => {
                let program = shell(&format!("exec {line}"), &copy);
                programs.push(Process::spawn_command(program).expect("it starts"));
            }
        }
    }
}
