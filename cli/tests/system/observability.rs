//! Metrics, alerts and dashboards: what a running system shows is what the documents, the rules and
//! the dashboards name, and nothing of it grows with what clients send.

mod discovery;
mod files;
mod running;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::io::AsyncWriteExt;

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder of the repository that end so, by their paths.
fn files_of(folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let mut paths: Vec<String> = names
        .map(|name| format!("{folder}/{}", name.to_str().expect("UTF-8")))
        .filter(|path| path.ends_with(ending))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder}");
    paths
}

/// What is in backquotes in the first cell of each row of the tables between two headings.
fn documented(from: &str, to: Option<&str>) -> BTreeSet<String> {
    let text = text("docs/signals.md");
    let (_, part) = text.split_once(from).expect("the heading is there");
    let part = to.map_or(part, |to| part.split(to).next().unwrap_or(part));
    part.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split('`').next())
        .map(ToOwned::to_owned)
        .collect()
}

/// Runs promtool in the repository.
async fn promtool(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = tokio::process::Command::new("promtool")
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus, is installed by the test command");
    let mut stdin = child.stdin.take().expect("piped");
    let written = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        written.expect("it reads its input");
        Ok(text)
    } else {
        Err(text)
    }
}

/// What the expressions select: names of metrics, each with the labels that it is selected by.
async fn selected(expressions: &[String]) -> Vec<Vec<(String, Vec<String>)>> {
    let program = testkit::python("python").expect("installed by the test command");
    let mut child = tokio::process::Command::new(program)
        .args(["-c", include_str!("observability/names.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = serde_json::to_vec(expressions).expect("JSON");
    stdin.write_all(&input).await.expect("it reads its input");
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    assert!(output.status.success(), "{expressions:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}
