//! The question bank that a new installation starts with.
//!
//! The ids derive from the questions' texts, so that every installation, and every repetition of
//! the seeding, has the same ones; an edited text is a new question.

use admin::domain::{CHOICES, Draft, Fault, Question};
use contracts::Difficulty;
use contracts::events::Choice;
use serde::Deserialize;
use thiserror::Error;
use uuid::Uuid;

/// The namespace of the question bank's ids (UUIDv5). Changing it would orphan every answer.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x6f0c_9a52_58d1_4b7e_9f3a_2d84_c1e7_0b35);

/// The bank as JSON: `[{category, difficulty, tags, text, choices: [4 texts], correct: 0..=3}]`.
pub const BANK: &str = include_str!("../seed/questions.json");

/// The ids of a question's choices, in their order.
pub const CHOICE_IDS: [&str; CHOICES] = ["a", "b", "c", "d"];

/// Why a bank is no bank.
#[derive(Debug, Error)]
pub enum Error {
    /// It is not JSON of that shape.
    #[error("the question bank cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// A question breaks the rules that hold for all questions.
    #[error("question {text:?} is not valid: {}", list(faults))]
    Invalid {
        /// The question's text.
        text: String,
        /// What is wrong with it.
        faults: Vec<Fault>,
    },
}

/// The questions of the built-in bank, each with version 1, in the bank's order.
///
/// # Errors
/// None with the bank of this build, which the tests have read; see [`parse`].
pub fn seed() -> Result<Vec<Question>, Error> {
    parse(BANK)
}

/// The questions of a bank in the form of [`BANK`].
///
/// # Errors
/// The first fault found; nothing of a faulty bank is used.
pub fn parse(bank: &str) -> Result<Vec<Question>, Error> {
    let rows: Vec<Row> = serde_json::from_str(bank)?;
    rows.into_iter().map(Row::into_question).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    category: String,
    difficulty: Difficulty,
    tags: Vec<String>,
    text: String,
    choices: Vec<String>,
    correct: usize,
}

impl Row {
    fn into_question(self) -> Result<Question, Error> {
        let id = Uuid::new_v5(&NAMESPACE, self.text.as_bytes());
        // A fifth choice stays in, without an id, so that the check below sees it.
        let ids = CHOICE_IDS.into_iter().chain(std::iter::repeat(""));
        let draft = Draft {
            text: self.text,
            category: self.category,
            difficulty: self.difficulty,
            choices: self
                .choices
                .into_iter()
                .zip(ids)
                .map(|(text, id)| Choice {
                    id: id.to_owned(),
                    text,
                })
                .collect(),
            correct_choice_id: CHOICE_IDS
                .get(self.correct)
                .copied()
                .unwrap_or_default()
                .to_owned(),
            tags: self.tags,
            version: None,
        };
        Question::new(id, 1, &draft).map_err(|faults| Error::Invalid {
            text: draft.text,
            faults,
        })
    }
}

fn list(faults: &[Fault]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(choices: &str, correct: usize) -> String {
        format!(
            r#"[{{"category": "rust", "difficulty": "easy", "tags": [], "text": "Is this a question?",
                 "choices": {choices}, "correct": {correct}}}]"#
        )
    }

    #[test]
    fn a_row_becomes_a_question_with_lettered_choices() {
        let questions = parse(&bank(r#"["Yes", "No", "Perhaps", "Never"]"#, 2)).expect("valid");
        let ids: Vec<&str> = questions[0]
            .choices
            .iter()
            .map(|choice| choice.id.as_str())
            .collect();
        assert_eq!(ids, CHOICE_IDS);
        assert_eq!(questions[0].correct_choice_id, "c");
        assert_eq!(questions[0].version, 1);
    }

    #[test]
    fn a_faulty_row_is_named_with_what_is_wrong() {
        let five = parse(&bank(r#"["Yes", "No", "Perhaps", "Never", "Why?"]"#, 2));
        let text = five.expect_err("five choices").to_string();
        assert!(
            text.contains("Is this a question?") && text.contains("choices"),
            "{text}"
        );
        let beyond = parse(&bank(r#"["Yes", "No", "Perhaps", "Never"]"#, 4));
        let text = beyond.expect_err("no fifth choice").to_string();
        assert!(text.contains("correctChoiceId"), "{text}");
    }

    #[test]
    fn a_bank_of_another_shape_is_unreadable() {
        assert!(matches!(parse("{}"), Err(Error::Unreadable(_))));
    }
}
