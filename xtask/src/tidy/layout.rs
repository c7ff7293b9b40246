//! Where code lies and how its files are named.

use super::{Finding, is_rust, numbered};
use crate::workspace::File;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_rust(file)) {
        let path = file.path.as_str();
        if path.ends_with("/mod.rs") {
            findings.push(Finding::error(
                path,
                0,
                "is named after its folder instead: `foo.rs`",
            ));
        }
        let parts = path.trim_end_matches(".rs").split('/');
        for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
            findings.push(Finding::error(
                path,
                0,
                format!("{part:?} is no noun of the domain"),
            ));
        }
        for (line, text) in numbered(&file.text) {
            let declared = text.trim_start().trim_start_matches("pub ");
            let name = declared
                .strip_prefix("mod ")
                .and_then(|rest| rest.strip_suffix(" {"));
            if let Some(name) = name.filter(|name| EMPTY_NAMES.contains(name)) {
                let text = format!("{name:?} is no noun of the domain");
                findings.push(Finding::error(path, line, text));
            }
        }
    }
    for file in files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
    {
        if !file.text.contains("[lints]\nworkspace = true") {
            let text = "does not take the workspace's lints";
            findings.push(Finding::error(&file.path, 0, text));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::{file, texts};

    #[test]
    fn folders_modules_are_files_beside_the_folder() {
        let files = [file("bus/src/nats/mod.rs", ""), file("bus/src/nats.rs", "")];
        assert_eq!(
            texts(&check(&files)),
            ["error: bus/src/nats/mod.rs: is named after its folder instead: `foo.rs`"]
        );
    }

    #[test]
    fn empty_names_are_found_as_file_folder_and_module() {
        let files = [
            file("bus/src/utils.rs", ""),
            file("bus/tests/common/start.rs", ""),
            file("bus/src/lib.rs", "pub mod helpers {\n}\nmod tests {\n}\n"),
        ];
        assert_eq!(check(&files).len(), 3);
    }

    #[test]
    fn every_package_takes_the_shared_lints() {
        let with = file("bus/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n");
        let without = file("sagas/Cargo.toml", "[package]\n");
        assert_eq!(
            texts(&check(&[with, without])),
            ["error: sagas/Cargo.toml: does not take the workspace's lints"]
        );
    }
}
