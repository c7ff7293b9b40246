//! `cargo xtask contracts`: renews what is committed about events, and refuses what would break
//! somebody who reads them.
//!
//! Invariant: a schema version, once committed, changes compatibly or not at all.

mod compatibility;
mod history;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context, bail};
use serde_json::Value;

use self::compatibility::{Change, Weight, changes};
use crate::{step::succeed, workspace::Workspace};

/// The committed documents, and the schemas among them.
const DOCS: &str = "docs/events";
const SCHEMAS: &str = "docs/events/schemas";

/// The test that compares the documents with the types, and writes them where it is told to.
const TEST: &str = "contracts::the_committed_contracts_are_what_the_types_and_the_services_say";
/// Tells it where.
const INTO: &str = "BANYAN_EVENT_CONTRACTS";

/// Renews the documents from the types.
///
/// # Errors
/// When a shape has changed incompatibly; nothing is written then.
pub(crate) fn renew(workspace: &Workspace) -> anyhow::Result<()> {
    let fresh = workspace.root.join("target/event-contracts");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("cannot empty target/event-contracts")?;
    }
    let mut command = Command::new("cargo");
    command
        .args([
            "test", "--quiet", "--locked", "-p", "cli", "--test", "system", "--",
        ])
        .args(["--exact", TEST])
        .env(INTO, &fresh)
        .current_dir(&workspace.root);
    succeed(&mut command)?;
    let mut breaking = 0;
    for (path, change) in found(&workspace.root, &fresh)? {
        let (word, counts) = match change.weight {
            Weight::Breaking => ("breaks", 1),
            Weight::ConsumersFirst => ("consumers first", 0),
        };
        println!("    {word}: {path}: {change}");
        breaking += counts;
    }
    if breaking > 0 {
        bail!(
            "{breaking} changes would break whoever reads these events, so nothing was written: \
             raise the type's schema version, or take the change back (docs/event-contracts.md)"
        );
    }
    copy(&fresh, &workspace.root.join(DOCS))
}

/// What the fresh schemas change, against every committed version and against the files.
fn found(root: &Path, fresh: &Path) -> anyhow::Result<Vec<(String, Change)>> {
    let mut known = history::versions(root)?;
    let folder = root.join(SCHEMAS);
    if folder.is_dir() {
        for (path, schema) in schemas(&folder)? {
            known.push(history::Version { path, schema });
        }
    }
    let fresh: Vec<_> = schemas(&fresh.join("schemas"))?;
    let mut found: Vec<(String, Change)> = Vec::new();
    for (path, schema) in &fresh {
        for version in known.iter().filter(|version| version.path == *path) {
            for change in changes(&version.schema, schema) {
                let change = (path.clone(), change);
                if !found.contains(&change) {
                    found.push(change);
                }
            }
        }
    }
    Ok(found)
}

/// What the files here break of what was ever committed: the file and what it does.
pub(crate) fn faults(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut faults = BTreeSet::new();
    for version in history::versions(root)? {
        let Ok(text) = fs::read_to_string(root.join(&version.path)) else {
            let what = "was removed, and events of this shape are in the log".to_owned();
            faults.insert((version.path, what));
            continue;
        };
        let now: Value = serde_json::from_str(&text).with_context(|| version.path.clone())?;
        let breaking = changes(&version.schema, &now).into_iter();
        let breaking = breaking.filter(|change| change.weight == Weight::Breaking);
        faults.extend(breaking.map(|change| (version.path.clone(), change.to_string())));
    }
    Ok(faults.into_iter().collect())
}

/// Whether a part of the history is missing here, so that [`faults`] cannot know it.
pub(crate) fn is_history_cut(root: &Path) -> bool {
    history::is_shallow(root)
}

/// The schemas of a folder, named as if they were committed.
fn schemas(folder: &Path) -> anyhow::Result<Vec<(String, Value)>> {
    let mut schemas = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&path)?;
        let schema = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        schemas.push((format!("{SCHEMAS}/{name}"), schema));
    }
    schemas.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(schemas)
}

/// Copies what differs and says so.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for folder in ["", "asyncapi", "schemas"] {
        let (from, to) = (from.join(folder), to.join(folder));
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from)? {
            let path = entry?.path();
            if !path.is_file() {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let target = to.join(path.file_name().unwrap_or_default());
            if fs::read_to_string(&target).ok().as_ref() != Some(&text) {
                fs::write(&target, text)?;
                println!("    renewed {}", target.display());
            }
        }
    }
    Ok(())
}
