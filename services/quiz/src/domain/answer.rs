//! One choice of a player, judged.

use contracts::events::{QuestionCreated, QuestionUpdated};
use contracts::{Difficulty, QuizMode};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::stats::{Scored, Stats, Undo};

/// A question as judging it needs it: this service's own copy, fed by `question.*` events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The question.
    pub question_id: Uuid,
    /// Its category.
    pub category: String,
    /// Its difficulty.
    pub difficulty: Difficulty,
    /// The ids of its choices.
    pub choice_ids: Vec<String>,
    /// The right one among them.
    pub correct_choice_id: String,
}

/// The longest id of a choice that any question has.
pub const CHOICE_ID_MAX: usize = 40;

/// What a choice led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerOutcome {
    /// Whether the choice was the right one.
    pub is_correct: bool,
    /// What the answer is worth.
    pub points: i64,
    /// The player's stats with it.
    pub stats: Stats,
    /// How to take it back.
    pub undo: Undo,
}

/// Why a choice is no answer; the player's fault, nothing was counted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No question can have such a choice.
    #[error(
        "the id of a choice must be 1 to {CHOICE_ID_MAX} letters, digits, hyphens and underscores"
    )]
    UnusableChoice,
    /// The question has no such choice.
    #[error("question {question_id} has no choice {choice_id:?}")]
    UnknownChoice {
        /// What was asked.
        question_id: Uuid,
        /// What was chosen.
        choice_id: String,
    },
}

/// Whether any question can have a choice of this id.
///
/// # Errors
/// [`Refusal::UnusableChoice`]
pub fn usable_choice(choice_id: &str) -> Result<(), Refusal> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=CHOICE_ID_MAX).contains(&choice_id.len()) && choice_id.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(Refusal::UnusableChoice)
    }
}

/// Judges the choice and counts it.
///
/// # Errors
/// [`Refusal::UnknownChoice`] when the choice is none of the question's.
pub fn answer(
    before: &Stats,
    asked: &Asked,
    choice_id: &str,
    quiz_mode: QuizMode,
) -> Result<AnswerOutcome, Refusal> {
    let is_correct = asked.judge(choice_id)?;
    let scored = Scored {
        quiz_mode,
        difficulty: asked.difficulty,
        is_correct,
    };
    let (stats, points, undo) = before.apply(&scored);
    Ok(AnswerOutcome {
        is_correct,
        points,
        stats,
        undo,
    })
}

impl Asked {
    /// Whether the choice is the right one.
    ///
    /// # Errors
    /// [`Refusal::UnknownChoice`] when the choice is none of the question's.
    pub fn judge(&self, choice_id: &str) -> Result<bool, Refusal> {
        if self.choice_ids.iter().any(|id| id == choice_id) {
            Ok(choice_id == self.correct_choice_id)
        } else {
            let choice_id = choice_id.to_owned();
            Err(Refusal::UnknownChoice {
                question_id: self.question_id,
                choice_id,
            })
        }
    }
}

impl From<QuestionCreated> for Asked {
    fn from(event: QuestionCreated) -> Self {
        Self {
            question_id: event.question_id,
            category: event.category,
            difficulty: event.difficulty,
            choice_ids: event.choices.into_iter().map(|choice| choice.id).collect(),
            correct_choice_id: event.correct_choice_id,
        }
    }
}

impl From<QuestionUpdated> for Asked {
    fn from(event: QuestionUpdated) -> Self {
        Self {
            question_id: event.question_id,
            category: event.category,
            difficulty: event.difficulty,
            choice_ids: event.choices.into_iter().map(|choice| choice.id).collect(),
            correct_choice_id: event.correct_choice_id,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use contracts::events::Choice;
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn any_difficulty() -> impl Strategy<Value = Difficulty> {
        proptest::sample::select(Difficulty::ALL)
    }

    pub(in super::super) fn any_mode() -> impl Strategy<Value = QuizMode> {
        proptest::sample::select(QuizMode::ALL)
    }

    fn asked() -> Asked {
        let choices = ["a", "b", "c", "d"].map(|id| Choice {
            id: id.to_owned(),
            text: format!("choice {id}"),
        });
        Asked::from(QuestionCreated {
            question_id: Uuid::from_u128(1),
            text: "Which one?".to_owned(),
            category: "rust".to_owned(),
            difficulty: Difficulty::Hard,
            choices: choices.to_vec(),
            correct_choice_id: "c".to_owned(),
            tags: Vec::new(),
            version: 1,
        })
    }

    #[test]
    fn the_right_choice_earns_its_points_and_extends_the_streak() {
        let outcome = answer(&Stats::default(), &asked(), "c", QuizMode::Survival)
            .expect("it is one of the choices");
        assert!(outcome.is_correct);
        assert_eq!(outcome.points, 60);
        assert_eq!((outcome.stats.streak, outcome.stats.score), (1, 60));
        assert_eq!(outcome.stats.undo(&outcome.undo), Ok(Stats::default()));
    }

    #[test]
    fn a_wrong_choice_is_counted_and_earns_nothing() {
        let outcome = answer(&Stats::default(), &asked(), "a", QuizMode::Classic)
            .expect("it is one of the choices");
        assert!(!outcome.is_correct);
        assert_eq!(
            (outcome.points, outcome.stats.answered, outcome.stats.score),
            (0, 1, 0)
        );
    }

    #[test]
    fn a_choice_that_the_question_does_not_have_is_refused() {
        let refusal = answer(&Stats::default(), &asked(), "e", QuizMode::Classic);
        let expected = Refusal::UnknownChoice {
            question_id: Uuid::from_u128(1),
            choice_id: "e".to_owned(),
        };
        assert_eq!(refusal, Err(expected));
    }
}
