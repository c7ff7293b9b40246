//! Each service explains itself in a README with the same rooms, and names every key of its
//! configuration.

use super::Finding;
use crate::workspace::File;

/// The headings that the README of a service has, in this order.
const ROOMS: [&str; 5] = [
    "## Data",
    "## Events",
    "## HTTP",
    "## Configuration",
    "## Runbooks",
];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let configurations = files.iter().filter_map(|file| {
        let service = file.path.strip_prefix("services/")?;
        Some((service.strip_suffix("/src/config.rs")?, file))
    });
    configurations
        .flat_map(|(service, config)| check_service(files, service, config))
        .collect()
}

fn check_service(files: &[File], service: &str, config: &File) -> Vec<Finding> {
    let path = format!("services/{service}/README.md");
    let Some(readme) = files.iter().find(|file| file.path == path) else {
        return vec![Finding::error(
            &path,
            0,
            "is missing: each service has one".to_owned(),
        )];
    };
    let mut findings = Vec::new();
    let mut rest = readme.text.as_str();
    for room in ROOMS {
        match rest.split_once(&format!("\n{room}\n")) {
            Some((_, behind)) => rest = behind,
            None => {
                let text = format!("has no {room:?} behind the rooms before it");
                findings.push(Finding::error(&path, 0, text));
            }
        }
    }
    // `rest` is what stands under the last heading.
    if !rest.contains("](../../runbooks/") {
        findings.push(Finding::error(&path, 0, "links to no runbook".to_owned()));
    }
    for key in keys(&config.text) {
        if !readme.text.contains(&format!("| `{key}` |")) {
            let text = format!("does not explain the setting `{key}` in a table");
            findings.push(Finding::error(&path, 0, text));
        }
    }
    findings
}

/// The public fields of `Config` that a file can set.
fn keys(config: &str) -> Vec<&str> {
    let mut lines = config
        .lines()
        .skip_while(|line| !line.starts_with("pub struct Config {"))
        .take_while(|line| *line != "}");
    let mut keys = Vec::new();
    let mut is_skipped = false;
    for line in &mut lines {
        let line = line.trim();
        if line == "#[serde(skip)]" {
            is_skipped = true;
        }
        let Some(field) = line
            .strip_prefix("pub ")
            .and_then(|rest| rest.split_once(':'))
        else {
            continue;
        };
        if !std::mem::take(&mut is_skipped) {
            keys.push(field.0);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::{file, texts};

    const CONFIG: &str = "pub struct Config {\n    /// Where.\n    pub listen: SocketAddr,\n    \
                          #[serde(skip)]\n    pub options: Options,\n}\n";

    #[test]
    fn a_readme_with_all_rooms_and_keys_is_fine() {
        let text = "# quiz\n\n## Data\n\n## Events\n\n## HTTP\n\n## Configuration\n\n| `listen` | x \
                    |\n\n## Runbooks\n\n[one](../../runbooks/one.md)\n";
        let files = [
            file("services/quiz/src/config.rs", CONFIG),
            file("services/quiz/README.md", text),
        ];
        assert_eq!(texts(&check(&files)), Vec::<String>::new());
    }

    #[test]
    fn a_missing_readme_a_missing_room_and_a_missing_key_are_found() {
        let config = file("services/quiz/src/config.rs", CONFIG);
        assert_eq!(check(std::slice::from_ref(&config)).len(), 1);
        let readme = file("services/quiz/README.md", "# quiz\n\n## Data\n\n## HTTP\n");
        let found = texts(&check(&[config, readme]));
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found[4].contains("`listen`"), "{found:?}");
    }
}
