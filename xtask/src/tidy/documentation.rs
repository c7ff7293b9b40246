//! Links lead somewhere, and every event type says what it means.

use std::collections::BTreeSet;

use super::{Finding, numbered};
use crate::workspace::File;

/// Where the event types are declared.
const EVENTS: &str = "crates/contracts/src/events";

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = links(files);
    let events = files.iter().filter(|file| file.path.starts_with(EVENTS));
    findings.extend(events.flat_map(undocumented_events));
    findings
}

/// Relative links of Markdown files whose target is not in the repository.
fn links(files: &[File]) -> Vec<Finding> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for file in files {
        let mut path = file.path.as_str();
        known.insert(path.to_owned());
        while let Some((folder, _)) = path.rsplit_once('/') {
            known.insert(folder.to_owned());
            path = folder;
        }
    }
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, text) in numbered(&file.text) {
            for target in targets(text) {
                let path = resolve(folder, target);
                if !path.is_empty() && !known.contains(&path) {
                    let text = format!("the link to {target} leads nowhere");
                    findings.push(Finding::error(&file.path, line, text));
                }
            }
        }
    }
    findings
}

/// The paths of `[text](path#fragment)` in one line; not those of the web.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ']).next()?.split('#').next()?;
        (!target.is_empty() && !target.contains(':')).then_some(target)
    })
}

/// `target` as seen from `folder`, relative to the root and without dots.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if target.starts_with('/') { "" } else { folder };
    for part in from.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Declarations `Name = "event.type"` without a doc comment before them.
fn undocumented_events(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut before = "";
    for (line, text) in numbered(&file.text) {
        if let Some(event_type) = declared(text)
            && !before.trim_start().starts_with("///")
        {
            let text = format!("{event_type} does not say what happened");
            findings.push(Finding::error(&file.path, line, text));
        }
        before = text;
    }
    findings
}

/// The event type in `    Name = "event.type" … {`.
fn declared(line: &str) -> Option<&str> {
    let (name, rest) = line.trim().split_once(" = \"")?;
    let (event_type, end) = rest.split_once('"')?;
    let is_declaration = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|character| character.is_alphanumeric())
        && event_type.contains('.')
        && end.ends_with('{');
    is_declaration.then_some(event_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::{file, texts};

    #[test]
    fn links_to_files_folders_and_the_web_are_followed_rightly() {
        let files = [
            file(
                "README.md",
                "[a](docs/a.md#part) [b](docs) [w](https://x.y/z) [h](#here)",
            ),
            file("docs/a.md", "[up](../README.md) and [gone](gone.md)"),
        ];
        assert_eq!(
            texts(&check(&files)),
            ["error: docs/a.md:1: the link to gone.md leads nowhere"]
        );
    }

    #[test]
    fn an_event_type_needs_a_sentence() {
        let path = "crates/contracts/src/events.rs";
        let text = "    /// Done.\n    Done = \"a.done\" {\n    }\n    Undone = \"a.undone\" {\n";
        assert_eq!(
            texts(&check(&[file(path, text)])),
            [format!(
                "error: {path}:4: a.undone does not say what happened"
            )]
        );
    }
}
