//! Every migration exists for both databases, under the same name.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::workspace::File;

const DIALECTS: [&str; 2] = ["postgres", "sqlite"];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sets: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for file in files {
        let Some(rest) = file.path.strip_prefix("migrations/") else {
            continue;
        };
        match rest.split('/').collect::<Vec<_>>()[..] {
            [set, dialect, name] if DIALECTS.contains(&dialect) && is_name(name) => {
                sets.entry(set)
                    .or_default()
                    .entry(dialect)
                    .or_default()
                    .insert(name);
            }
            [name] if name.ends_with(".md") => {}
            _ => findings.push(Finding::error(
                &file.path,
                0,
                "is not migrations/SET/{postgres,sqlite}/0001_name.sql",
            )),
        }
    }
    for (set, dialects) in &sets {
        let all: BTreeSet<&str> = dialects.values().flatten().copied().collect();
        for dialect in DIALECTS {
            let there = dialects.get(dialect);
            for name in all
                .iter()
                .filter(|name| !there.is_some_and(|t| t.contains(*name)))
            {
                let path = format!("migrations/{set}/{dialect}/{name}");
                findings.push(Finding::error(
                    &path,
                    0,
                    "is missing, the other database has it",
                ));
            }
        }
        for (index, name) in all.iter().enumerate() {
            if !name.starts_with(&format!("{:04}_", index + 1)) {
                let path = format!("migrations/{set}");
                let text = format!("{name} does not follow its predecessor's number");
                findings.push(Finding::error(&path, 0, text));
            }
        }
    }
    findings
}

/// `0001_words_of_what_it_does.sql`.
fn is_name(name: &str) -> bool {
    let Some((number, rest)) = name.split_once('_') else {
        return false;
    };
    let words = rest.strip_suffix(".sql").unwrap_or_default();
    number.len() == 4
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !words.is_empty()
        && words
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::{file, texts};

    fn findings(paths: &[&str]) -> Vec<String> {
        let files: Vec<File> = paths.iter().map(|path| file(path, "")).collect();
        texts(&check(&files))
    }

    #[test]
    fn the_same_names_for_both_databases_are_fine() {
        let paths = [
            "migrations/quiz/postgres/0001_answers.sql",
            "migrations/quiz/sqlite/0001_answers.sql",
            "migrations/README.md",
        ];
        assert_eq!(findings(&paths), Vec::<String>::new());
    }

    #[test]
    fn a_migration_for_one_database_only_is_found() {
        assert_eq!(
            findings(&["migrations/quiz/sqlite/0001_answers.sql"]),
            ["error: migrations/quiz/postgres/0001_answers.sql: \
                 is missing, the other database has it"]
        );
    }

    #[test]
    fn a_hole_in_the_numbers_is_found() {
        let paths = [
            "migrations/quiz/postgres/0002_answers.sql",
            "migrations/quiz/sqlite/0002_answers.sql",
        ];
        assert_eq!(findings(&paths).len(), 1);
    }

    #[test]
    fn a_file_that_sqlx_would_read_otherwise_is_found() {
        assert_eq!(
            findings(&["migrations/quiz/mysql/0001_answers.sql"]).len(),
            1
        );
        assert_eq!(findings(&["migrations/quiz/sqlite/1_answers.sql"]).len(), 1);
        assert_eq!(
            findings(&["migrations/quiz/sqlite/0001_answers.up.sql"]).len(),
            1
        );
    }
}
