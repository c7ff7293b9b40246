//! A player's counts, with one answer more or less.

use std::collections::BTreeMap;

use contracts::{Difficulty, QuizMode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::points::points;

/// A player's stats: the fold of all answers that count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    /// Answers given.
    pub answered: i64,
    /// Right ones among them.
    pub correct: i64,
    /// Right answers in a row, up to now, over all modes.
    pub streak: i64,
    /// The longest such row ever.
    pub best_streak: i64,
    /// Points over all modes.
    pub score: i64,
    /// The same counts by quiz mode.
    pub by_mode: ByMode,
}

/// Counts for each quiz mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ByMode {
    /// Classic games.
    pub classic: ModeStats,
    /// Games against the clock.
    pub timed: ModeStats,
    /// Games that end at the first mistake.
    pub survival: ModeStats,
}

/// The counts of one quiz mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModeStats {
    /// Answers given.
    pub answered: i64,
    /// Right ones among them.
    pub correct: i64,
    /// Points.
    pub score: i64,
}

/// An answer as the stats count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scored {
    /// How it was played.
    pub quiz_mode: QuizMode,
    /// How hard the question is.
    pub difficulty: Difficulty,
    /// Whether the choice was the right one.
    pub is_correct: bool,
}

/// What taking one answer back needs to know. Small, and stored with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undo {
    /// How it was played.
    pub quiz_mode: QuizMode,
    /// Whether it was right.
    pub is_correct: bool,
    /// What it was worth.
    pub points: i64,
    /// Answers before it.
    pub answered_before: i64,
    /// The streak before it.
    pub streak_before: i64,
    /// The best streak before it.
    pub best_streak_before: i64,
}

/// Why an answer could not be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UndoError {
    /// The stats were reset since the answer was counted, or it never was.
    #[error("the stats hold fewer answers or points than there are to take back")]
    NotCounted,
}

impl Stats {
    /// The stats with one answer more, what that answer is worth, and how to take it back.
    #[must_use]
    pub fn apply(&self, answer: &Scored) -> (Self, i64, Undo) {
        let streak = if answer.is_correct {
            self.streak + 1
        } else {
            0
        };
        let points = points(
            answer.difficulty,
            answer.quiz_mode,
            answer.is_correct,
            streak,
        );
        let undo = Undo {
            quiz_mode: answer.quiz_mode,
            is_correct: answer.is_correct,
            points,
            answered_before: self.answered,
            streak_before: self.streak,
            best_streak_before: self.best_streak,
        };
        let correct = i64::from(answer.is_correct);
        let mut after = Self {
            answered: self.answered + 1,
            correct: self.correct + correct,
            streak,
            best_streak: self.best_streak.max(streak),
            score: self.score + points,
            by_mode: self.by_mode,
        };
        let mode = after.by_mode.of_mut(answer.quiz_mode);
        mode.answered += 1;
        mode.correct += correct;
        mode.score += points;
        (after, points, undo)
    }

    /// The stats with that answer taken back: exactly those before it, when it was the last one.
    ///
    /// A user has one undecided answer at a time, so it always is the last one that this service
    /// counted. Where something else was counted since (an import), the counts and points are
    /// taken back and the streaks stay as they are: they belong to the later answers.
    ///
    /// # Errors
    /// [`UndoError::NotCounted`] when the stats cannot contain that answer.
    pub fn undo(&self, undo: &Undo) -> Result<Self, UndoError> {
        let correct = i64::from(undo.is_correct);
        let less = |held: i64, taken: i64| {
            Some(held - taken)
                .filter(|rest| *rest >= 0)
                .ok_or(UndoError::NotCounted)
        };
        let mut before = self.clone();
        before.answered = less(self.answered, 1)?;
        before.correct = less(self.correct, correct)?;
        before.score = less(self.score, undo.points)?;
        let mode = before.by_mode.of_mut(undo.quiz_mode);
        mode.answered = less(mode.answered, 1)?;
        mode.correct = less(mode.correct, correct)?;
        mode.score = less(mode.score, undo.points)?;
        if before.answered == undo.answered_before {
            before.streak = undo.streak_before;
            before.best_streak = undo.best_streak_before;
        }
        Ok(before)
    }

    /// Right answers as a share of all: 0 to 1; 0 without answers. Exact below 2^53 answers.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        if self.answered == 0 {
            0.0
        } else {
            self.correct as f64 / self.answered as f64
        }
    }

    /// The stats as the API shows them: modes never played are absent.
    #[must_use]
    pub fn to_body(&self) -> contracts::http::Stats {
        let by_mode: BTreeMap<_, _> = QuizMode::ALL
            .iter()
            .map(|mode| (*mode, self.by_mode.of(*mode)))
            .filter(|(_, counts)| counts.answered > 0)
            .map(
                |(
                    mode,
                    ModeStats {
                        answered,
                        correct,
                        score,
                    },
                )| {
                    (
                        mode,
                        contracts::http::ModeStats {
                            answered,
                            correct,
                            score,
                        },
                    )
                },
            )
            .collect();
        contracts::http::Stats {
            answered: self.answered,
            correct: self.correct,
            accuracy: self.accuracy(),
            streak: self.streak,
            best_streak: self.best_streak,
            by_mode,
        }
    }
}

impl ByMode {
    /// The counts of one mode.
    #[must_use]
    pub fn of(&self, mode: QuizMode) -> ModeStats {
        match mode {
            QuizMode::Classic => self.classic,
            QuizMode::Timed => self.timed,
            QuizMode::Survival => self.survival,
        }
    }

    /// The counts of one mode, to be changed.
    pub fn of_mut(&mut self, mode: QuizMode) -> &mut ModeStats {
        match mode {
            QuizMode::Classic => &mut self.classic,
            QuizMode::Timed => &mut self.timed,
            QuizMode::Survival => &mut self.survival,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::answer::tests::{any_difficulty, any_mode};
    use super::*;

    const RIGHT: Scored = Scored {
        quiz_mode: QuizMode::Timed,
        difficulty: Difficulty::Easy,
        is_correct: true,
    };

    fn after(history: &[Scored]) -> Stats {
        history
            .iter()
            .fold(Stats::default(), |stats, answer| stats.apply(answer).0)
    }

    #[test]
    fn a_wrong_answer_ends_the_streak_and_keeps_the_best_one_and_the_score() {
        let wrong = Scored {
            is_correct: false,
            ..RIGHT
        };
        let stats = after(&[RIGHT, RIGHT, wrong]);
        assert_eq!((stats.answered, stats.correct), (3, 2));
        assert_eq!((stats.streak, stats.best_streak), (0, 2));
        assert_eq!(stats.score, 15 + 18);
    }

    #[test]
    fn accuracy_is_zero_without_answers_and_a_share_with_them() {
        assert!(Stats::default().accuracy().abs() < f64::EPSILON);
        let wrong = Scored {
            is_correct: false,
            ..RIGHT
        };
        assert!((after(&[RIGHT, wrong, wrong, wrong]).accuracy() - 0.25).abs() < f64::EPSILON);
    }

    #[test]
    fn the_body_leaves_out_modes_that_were_never_played() {
        let body = after(&[RIGHT]).to_body();
        assert_eq!(
            body.by_mode.keys().copied().collect::<Vec<_>>(),
            [QuizMode::Timed]
        );
        assert_eq!(body.by_mode[&QuizMode::Timed].score, 15);
    }

    #[test]
    fn taking_back_an_answer_after_a_reset_is_an_error_and_not_a_negative_score() {
        let (_, _, undo) = after(&[RIGHT]).apply(&RIGHT);
        assert_eq!(Stats::default().undo(&undo), Err(UndoError::NotCounted));
    }

    #[test]
    fn an_answer_below_a_later_one_is_taken_off_the_counts_and_leaves_the_later_streak() {
        let (stats, _, undo) = after(&[RIGHT]).apply(&RIGHT);
        let (stats, later, _) = stats.apply(&RIGHT);
        let back = stats.undo(&undo).expect("it was counted");
        assert_eq!((back.answered, back.streak, back.score), (2, 3, 15 + later));
    }

    #[test]
    fn stats_stored_before_a_count_existed_are_read_with_it_at_zero() {
        let stats: Stats = serde_json::from_str(r#"{"answered": 2}"#).expect("older stats");
        assert_eq!(
            stats,
            Stats {
                answered: 2,
                ..Stats::default()
            }
        );
    }

    fn any_answer() -> impl Strategy<Value = Scored> {
        (any_mode(), any_difficulty(), any::<bool>()).prop_map(
            |(quiz_mode, difficulty, is_correct)| Scored {
                quiz_mode,
                difficulty,
                is_correct,
            },
        )
    }

    proptest! {
        #[test]
        fn every_history_keeps_the_invariants(
            history in proptest::collection::vec(any_answer(), 0..80)
        ) {
            let stats = after(&history);
            prop_assert!(stats.score >= 0);
            prop_assert!(stats.best_streak >= stats.streak);
            prop_assert!(stats.correct <= stats.answered);
            let modes = QuizMode::ALL.iter().map(|mode| stats.by_mode.of(*mode));
            let sums = modes.fold((0, 0, 0), |(answered, correct, score), mode| {
                (answered + mode.answered, correct + mode.correct, score + mode.score)
            });
            prop_assert_eq!(sums, (stats.answered, stats.correct, stats.score));
        }

        #[test]
        fn taking_back_the_answers_newest_first_restores_every_state_exactly(
            history in proptest::collection::vec(any_answer(), 0..80)
        ) {
            let mut states = vec![Stats::default()];
            let mut undos = Vec::new();
            for answer in &history {
                let (next, _, undo) = states[states.len() - 1].apply(answer);
                states.push(next);
                undos.push(undo);
            }
            let mut stats = states.pop().expect("at least the first state");
            while let (Some(undo), Some(expected)) = (undos.pop(), states.pop()) {
                stats = stats.undo(&undo).expect("it was counted");
                prop_assert_eq!(&stats, &expected);
            }
            prop_assert_eq!(stats, Stats::default());
        }
    }
}
