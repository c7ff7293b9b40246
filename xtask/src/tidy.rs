//! The rules of this repository that no compiler or linter knows.
//!
//! A check is a pure function of the files (or of the dependency graph) to findings, so that each
//! is tested on a few lines of text.

mod dependencies;
mod documentation;
mod errors;
mod layout;
mod migrations;
mod readmes;
mod runbooks;
mod sizes;
mod wording;

use std::fmt;

use anyhow::bail;

use crate::{
    contracts,
    workspace::{File, Workspace},
};

/// A check over all files.
type Check = fn(&[File]) -> Vec<Finding>;

/// Something that a check has to say about a place.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    path: String,
    /// 0 where the finding is about the whole file.
    line: usize,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Warning,
    Error,
}

impl Finding {
    fn error(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }

    fn warning(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, line, text)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        match self.line {
            0 => write!(f, "{severity}: {}: {}", self.path, self.text),
            line => write!(f, "{severity}: {}:{line}: {}", self.path, self.text),
        }
    }
}

/// Runs all checks and prints what they find.
///
/// # Errors
/// When there is an error among the findings.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let findings = findings(workspace)?;
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    if errors > 0 {
        bail!("{errors} of {} findings are errors", findings.len());
    }
    Ok(())
}

fn findings(workspace: &Workspace) -> anyhow::Result<Vec<Finding>> {
    let files = workspace.files()?;
    let mut findings = dependencies::check(&dependencies::members(workspace)?);
    let checks: [Check; 8] = [
        layout::check,
        wording::check,
        sizes::check,
        migrations::check,
        documentation::check,
        readmes::check,
        errors::check,
        runbooks::check,
    ];
    for (path, what) in contracts::faults(&workspace.root)? {
        findings.push(Finding::error(&path, 0, what));
    }
    if contracts::is_history_cut(&workspace.root) {
        let text = "the clone is shallow: schemas are held against the history that is here";
        findings.push(Finding::warning("docs/events/schemas", 0, text));
    }
    findings.extend(checks.iter().flat_map(|check| check(&files)));
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(findings)
}

fn is_rust(file: &File) -> bool {
    file.path.ends_with(".rs")
}

/// Lines with their numbers, from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) fn texts(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_dependency_rules_hold_in_this_workspace() {
        let workspace = Workspace::find().unwrap();
        let findings = dependencies::check(&dependencies::members(&workspace).unwrap());
        assert_eq!(texts(&findings), Vec::<String>::new());
    }
}
