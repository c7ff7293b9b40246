//! Every version of an event schema that was ever committed.
//!
//! A shape is held against all of them, not against the last alone: a breaking change cannot come
//! in by two steps, nor by editing the file by hand, for as long as the history is there.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, bail};
use serde_json::Value;

use super::SCHEMAS;

/// A committed version of a schema file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Version {
    /// The file, relative to the root.
    pub(crate) path: String,
    pub(crate) schema: Value,
}

/// All committed versions, each content once.
pub(crate) fn versions(root: &Path) -> anyhow::Result<Vec<Version>> {
    if git(root, &["rev-parse", "--verify", "--quiet", "HEAD"]).is_err() {
        // A folder without history, such as an unpacked archive.
        return Ok(Vec::new());
    }
    let log = git(
        root,
        &[
            "log",
            "--full-history",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "--format=",
            "--",
            SCHEMAS,
        ],
    )?;
    let contents: BTreeSet<(&str, &str)> = log.lines().filter_map(content).collect();
    let mut versions = Vec::new();
    for (path, blob) in contents {
        let text = git(root, &["cat-file", "blob", blob])?;
        let schema = serde_json::from_str(&text).with_context(|| format!("{path} at {blob}"))?;
        versions.push(Version {
            path: path.to_owned(),
            schema,
        });
    }
    Ok(versions)
}

/// Whether a part of the history is missing here.
pub(crate) fn is_shallow(root: &Path) -> bool {
    git(root, &["rev-parse", "--is-shallow-repository"]).is_ok_and(|told| told.trim() == "true")
}

/// The path and the new content of `:100644 100644 {old} {new} M\t{path}`; none where it went.
fn content(line: &str) -> Option<(&str, &str)> {
    let (fields, path) = line.strip_prefix(':')?.split_once('\t')?;
    let blob = fields.split(' ').nth(3)?;
    let is_there = blob.bytes().any(|byte| byte != b'0');
    (is_there && path.ends_with(".json")).then_some((path, blob))
}

fn git(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!(
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::contracts::faults;

    fn commit(root: &Path, schema: Option<&Value>) {
        let path = root.join(SCHEMAS).join("a.done.v1.json");
        match schema {
            Some(schema) => fs::write(path, schema.to_string()).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        git(root, &["add", "--all"]).unwrap();
        let author = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let commit = ["commit", "--quiet", "--message", "x"];
        git(
            root,
            &[author, [commit[0], commit[1], commit[2], commit[3]]].concat(),
        )
        .unwrap();
    }

    #[test]
    fn a_breaking_change_shows_whether_it_is_committed_or_not_and_in_however_many_steps() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        git(root, &["init", "--quiet"]).unwrap();
        assert_eq!(versions(root).unwrap(), []);
        fs::create_dir_all(root.join(SCHEMAS)).unwrap();
        let first = json!({ "type": "object", "properties": { "a": { "type": "integer" } } });
        commit(root, Some(&first));
        let mut wider = first;
        wider["properties"]["b"] = json!({ "type": "string" });
        commit(root, Some(&wider));
        assert_eq!(versions(root).unwrap().len(), 2);
        assert_eq!(faults(root).unwrap(), []);

        // By hand, and not committed yet.
        let path = root.join(SCHEMAS).join("a.done.v1.json");
        fs::write(&path, json!({ "type": "object" }).to_string()).unwrap();
        let told: Vec<_> = faults(root)
            .unwrap()
            .iter()
            .map(|fault| fault.1.clone())
            .collect();
        assert_eq!(
            told,
            ["/a was removed or renamed", "/b was removed or renamed"]
        );
        // Committed, and another commit on top: the first version still counts.
        commit(root, Some(&json!({ "type": "object" })));
        commit(root, Some(&json!({ "type": "object", "title": "later" })));
        assert_eq!(faults(root).unwrap().len(), 2);
        commit(root, None);
        assert_eq!(faults(root).unwrap().len(), 1);
    }
}
