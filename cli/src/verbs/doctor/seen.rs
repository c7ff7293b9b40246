//! What the checks of one look have come to.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Runbook};
use crate::client::refusal;

/// Findings, and the parts that could not be looked at.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) found: Vec<Finding>,
    /// Parts that do not answer at all, which is among the findings.
    silent: BTreeSet<String>,
    /// A finding for each part that did not tell what it was asked.
    unseen: BTreeMap<String, Finding>,
}

impl Seen {
    /// What `part` answered; where that is an error, it was not seen.
    pub(super) fn answered<T>(&mut self, part: &str, answer: anyhow::Result<T>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                let finding = unseen(part, &error);
                self.unseen.entry(part.to_owned()).or_insert(finding);
                None
            }
        }
    }

    /// A process of `part` does not even tell whether it is ready.
    pub(super) fn is_silent(&mut self, part: &str, finding: Finding) {
        self.found.push(finding);
        self.silent.insert(part.to_owned());
    }

    /// Takes in what another check has seen.
    pub(super) fn and(&mut self, other: Self) {
        self.found.extend(other.found);
        self.silent.extend(other.silent);
        for (part, finding) in other.unseen {
            self.unseen.entry(part).or_insert(finding);
        }
    }

    /// All findings: of each part that was not seen one, unless it is silent and that is told.
    pub(super) fn findings(self) -> Vec<Finding> {
        let Self {
            mut found,
            silent,
            unseen,
        } = self;
        let unseen = unseen.into_iter();
        let untold = unseen.filter(|(part, _)| !silent.contains(part));
        found.extend(untold.map(|(_, finding)| finding));
        found
    }
}

fn unseen(part: &str, error: &anyhow::Error) -> Finding {
    let (act, runbook) = match refusal(error).map(|refused| refused.status) {
        Some(401 | 403) => (
            "does the operator's file have its token as it is now?",
            Runbook::BeforeTheFirst,
        ),
        _ => (
            "is it what listens there? its last log lines",
            Runbook::ServiceCrashed,
        ),
    };
    Finding {
        place: part.to_owned(),
        what: format!("could not be looked at: {error:#}"),
        act: act.to_owned(),
        runbook,
    }
}
