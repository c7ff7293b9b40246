//! Words that must not be in the repository.

use super::{Finding, is_rust, numbered};
use crate::workspace::File;

/// Marks of unfinished work. Put together here, so that this file does not find itself.
const UNFINISHED: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimplem", "ented!("),
];
/// Folders of somebody's machine.
const MACHINE: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Use", "rs/"),
];
/// A test that is not run.
const IGNORED: &str = concat!("#[ign", "ore");
/// Waiting for time instead of for a sign.
const SLEEP: &str = concat!("sle", "ep(");

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let is_test = is_rust(file) && file.path.split('/').any(|part| part == "tests");
        let mut before = "";
        for (line, text) in numbered(&file.text) {
            let mut found = |text: String| findings.push(Finding::error(&file.path, line, text));
            for word in UNFINISHED.iter().filter(|word| has_word(text, word)) {
                found(format!("{word:?}: finish it, or make it an issue"));
            }
            for folder in MACHINE.iter().filter(|folder| starts_path(text, folder)) {
                found(format!("{folder:?} is a folder of one machine"));
            }
            if is_rust(file) && text.trim_start().starts_with(IGNORED) {
                found("a test that is ignored tests nothing".to_owned());
            }
            if is_test && has_word(text, SLEEP) && !before.trim_start().starts_with("//") {
                let rule = "wait for a sign or poll a condition with a bound";
                found(format!(
                    "{SLEEP:?} in a test: {rule}, or say above what it stands for"
                ));
            }
            before = text;
        }
    }
    findings
}

/// Whether `word` stands in the text by itself, not inside a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(is_part)
            && (word.ends_with('(') || !text[at + word.len()..].starts_with(is_part))
    })
}

/// Whether a path in the text begins with `folder`, rather than having it in its middle.
fn starts_path(text: &str, folder: &str) -> bool {
    let is_inside = |character: char| {
        character.is_alphanumeric() || matches!(character, '.' | '_' | '-' | '*' | '}' | '/' | '~')
    };
    text.match_indices(folder)
        .any(|(at, _)| !text[..at].chars().next_back().is_some_and(is_inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::file;

    fn count(path: &str, text: &str) -> usize {
        check(&[file(path, text)]).len()
    }

    #[test]
    fn unfinished_work_is_found_and_similar_words_are_not() {
        assert_eq!(count("a.md", &format!("a {}: later", UNFINISHED[0])), 1);
        assert_eq!(count("a.rs", &format!("    {})", UNFINISHED[2])), 1);
        assert_eq!(
            count("a.rs", &format!("MASTO{}N and todos", UNFINISHED[0])),
            0
        );
    }

    #[test]
    fn folders_of_a_machine_are_found_at_the_start_of_a_path_only() {
        assert_eq!(count("a.toml", &format!("file = \"{}x\"", MACHINE[0])), 1);
        assert_eq!(count("a.md", &format!("in {}me", MACHINE[2])), 1);
        assert_eq!(count("a.md", &format!("target{}x", MACHINE[0])), 0);
    }

    #[test]
    fn a_test_sleeps_only_with_a_reason() {
        let pause = format!("    tokio::time::{SLEEP}second).await;");
        assert_eq!(count("bus/tests/it.rs", &pause), 1);
        assert_eq!(count("bus/src/lib.rs", &pause), 0);
        assert_eq!(
            count("bus/tests/it.rs", &format!("    World::a{SLEEP})")),
            0
        );
        let explained = format!("    // A slow upstream.\n{pause}");
        assert_eq!(count("bus/tests/it.rs", &explained), 0);
    }

    #[test]
    fn an_ignored_test_is_found() {
        assert_eq!(count("bus/src/lib.rs", &format!("    {IGNORED}]")), 1);
    }
}
