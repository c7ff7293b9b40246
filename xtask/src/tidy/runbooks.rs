//! Runbooks have the same rooms, are drilled, and are found: by the list of them, by the doctor for
//! each fault, and by the services' own pages.

use std::collections::BTreeSet;

use super::{Finding, numbered};
use crate::workspace::File;

/// The rooms of a runbook, in this order; the drills read them, too.
const ROOMS: [&str; 7] = [
    "Signal",
    "What it means",
    "Look",
    "Act",
    "Verify",
    "Undo",
    "Escalate",
];
/// Plans: nobody is woken for them, so the doctor finds none.
const PLANS: [&str; 4] = [
    "cut-over.md",
    "key-compromised.md",
    "restore-from-backup.md",
    "retire-legacy-routes.md",
];
const LIST: &str = "runbooks/README.md";
const DOCTOR: &str = "cli/src/verbs/doctor/runbook.rs";
const DRILLS: &str = "cli/tests/system/drills/";

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let text_of = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.map_or("", |file| file.text.as_str())
    };
    let (list, doctor) = (text_of(LIST), text_of(DOCTOR));
    let drills: Vec<&File> = files
        .iter()
        .filter(|file| file.path.starts_with(DRILLS))
        .collect();
    let mut findings = Vec::new();
    let mut names = BTreeSet::new();
    for file in files {
        let Some(name) = file.path.strip_prefix("runbooks/") else {
            continue;
        };
        if !name.ends_with(".md") || name == "README.md" {
            continue;
        }
        names.insert(name);
        findings.extend(rooms(file));
        let mut fault = |text: &str| findings.push(Finding::error(&file.path, 0, text));
        let quoted = format!("{name:?}");
        if !drills.iter().any(|drill| drill.text.contains(&quoted)) {
            fault("has no drill");
        }
        if !list.contains(&format!("]({name})")) {
            fault("is not in the list of runbooks/README.md");
        }
        if !PLANS.contains(&name) && !doctor.contains(&format!("\"runbooks/{name}\"")) {
            fault("is about a fault that `banyan doctor` does not name");
        }
    }
    for (line, text) in numbered(doctor) {
        let named = text.split("\"runbooks/").nth(1);
        let Some(name) = named.and_then(|rest| rest.split('"').next()) else {
            continue;
        };
        // What comes before the first command stands in the list.
        if !names.contains(name) && name != "README.md" {
            let text = format!("there is no runbooks/{name}");
            findings.push(Finding::error(DOCTOR, line, text));
        }
    }
    findings
}

/// The headings, in order, and the kinds of blocks.
fn rooms(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut expected = ROOMS.iter();
    let mut is_inside = false;
    let mut has_command = false;
    for (line, text) in numbered(&file.text) {
        let mut fault = |text: String| findings.push(Finding::error(&file.path, line, text));
        if let Some(kind) = text.strip_prefix("```") {
            is_inside = !is_inside;
            if !is_inside {
                continue;
            }
            let exit = kind.strip_prefix("sh exit=");
            match kind {
                "sh" => has_command = true,
                _ if exit.is_some_and(|code| code.parse::<u8>().is_ok()) => has_command = true,
                "text" | "text bad" | "text good" if has_command => {}
                "text" | "text bad" | "text good" => {
                    fault(format!("`{kind}` without a command above it"));
                }
                _ => fault(format!(
                    "a block is `sh`, `sh exit=N` or `text`, not {kind:?}"
                )),
            }
        } else if !is_inside && let Some(heading) = text.strip_prefix("## ") {
            match expected.next() {
                Some(room) if *room == heading => has_command = false,
                Some(room) => fault(format!("the next room is {room:?}, not {heading:?}")),
                None => fault(format!("{heading:?} is no room of a runbook")),
            }
        }
    }
    if let Some(room) = expected.next() {
        let text = format!("has no {room:?}");
        findings.push(Finding::error(&file.path, 0, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::{file, texts};

    fn runbook() -> String {
        let rooms = ROOMS.map(|room| format!("\n## {room}\n"));
        format!(
            "# A fault\n{}\n```sh exit=1\nls\n```\n```text\n…\n```\n",
            rooms.concat()
        )
    }

    fn around(runbook: &str) -> Vec<File> {
        vec![
            file("runbooks/fault.md", runbook),
            file(LIST, "[a fault](fault.md)"),
            file(DOCTOR, "Self::Fault => \"runbooks/fault.md\","),
            file(&format!("{DRILLS}fault.rs"), "Drill::on(\"fault.md\")"),
        ]
    }

    #[test]
    fn a_runbook_with_all_rooms_that_is_listed_found_and_drilled_is_fine() {
        assert_eq!(texts(&check(&around(&runbook()))), Vec::<String>::new());
    }

    #[test]
    fn rooms_in_another_order_and_unknown_blocks_are_found() {
        let text = runbook().replace("## Act", "## Action");
        assert_eq!(check(&around(&text)).len(), 1);
        let text = runbook().replace("```sh exit=1", "```bash");
        assert_eq!(check(&around(&text)).len(), 2, "and the text is above none");
        let text = runbook().replace("## Escalate", "");
        assert_eq!(check(&around(&text)).len(), 1);
    }

    #[test]
    fn a_runbook_that_nobody_lists_finds_or_drills_is_found_three_times() {
        assert_eq!(check(&around(&runbook())[..1]).len(), 3);
        let plan = file("runbooks/cut-over.md", &runbook());
        assert_eq!(check(&[plan]).len(), 2, "the doctor finds no plans");
    }

    #[test]
    fn the_doctor_names_no_runbook_that_is_not_there() {
        assert_eq!(check(&around(&runbook())[2..]).len(), 1);
    }
}
