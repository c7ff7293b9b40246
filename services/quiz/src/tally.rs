//! What a player did on this side alone, and how it adds up with what was imported.
//!
//! Invariant: [`Tally::onto`] of a base gives the stats that folding the same answers, one by one,
//! onto that base would give. Counts add up; a streak does only as long as no answer here was
//! wrong, so the tally remembers how its run began.

use contracts::QuizMode;
use serde::{Deserialize, Serialize};

use crate::domain::{ByMode, Stats};

/// The fold of a player's answers on this side, those taken back left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tally {
    /// Answers given.
    pub answered: i64,
    /// Right ones among them.
    pub correct: i64,
    /// Points.
    pub score: i64,
    /// Right answers before the first wrong one: they extend the streak that was imported.
    pub opening_run: i64,
    /// Right answers in a row, up to now.
    pub run: i64,
    /// The longest row of right answers.
    pub best_run: i64,
    /// The same counts by quiz mode.
    pub by_mode: ByMode,
}

impl Tally {
    /// The tally with one answer more.
    #[must_use]
    pub fn with(&self, quiz_mode: QuizMode, is_correct: bool, points: i64) -> Self {
        let mut after = *self;
        let correct = i64::from(is_correct);
        if is_correct {
            after.run += 1;
            after.opening_run += i64::from(self.is_unbroken());
        } else {
            after.run = 0;
        }
        after.best_run = after.best_run.max(after.run);
        after.answered += 1;
        after.correct += correct;
        after.score += points;
        let mode = after.by_mode.of_mut(quiz_mode);
        mode.answered += 1;
        mode.correct += correct;
        mode.score += points;
        after
    }

    /// What the player is shown: the imported stats with this tally on top.
    #[must_use]
    pub fn onto(&self, base: &Stats) -> Stats {
        let mut by_mode = base.by_mode;
        for quiz_mode in QuizMode::ALL {
            let own = self.by_mode.of(*quiz_mode);
            let mode = by_mode.of_mut(*quiz_mode);
            mode.answered += own.answered;
            mode.correct += own.correct;
            mode.score += own.score;
        }
        let streak = if self.is_unbroken() {
            base.streak + self.run
        } else {
            self.run
        };
        Stats {
            answered: base.answered + self.answered,
            correct: base.correct + self.correct,
            streak,
            best_streak: base
                .best_streak
                .max(base.streak + self.opening_run)
                .max(self.best_run),
            score: base.score + self.score,
            by_mode,
        }
    }

    fn is_unbroken(&self) -> bool {
        self.correct == self.answered
    }
}

#[cfg(test)]
mod tests {
    use contracts::Difficulty;

    use super::*;
    use crate::domain::Scored;

    /// All histories of up to eight answers, each right or wrong.
    fn histories() -> impl Iterator<Item = Vec<bool>> {
        (0..=8_u32).flat_map(|length| {
            (0..1_u32 << length).map(move |bits| (0..length).map(|n| bits >> n & 1 == 1).collect())
        })
    }

    #[test]
    fn a_tally_on_a_base_is_the_fold_of_the_same_answers_onto_that_base() {
        let right = Scored {
            quiz_mode: QuizMode::Timed,
            difficulty: Difficulty::Medium,
            is_correct: true,
        };
        let fresh = Stats::default();
        let running = fresh.apply(&right).0.apply(&right).0;
        let broken = running
            .apply(&Scored {
                is_correct: false,
                ..right
            })
            .0;
        for base in [fresh, running, broken] {
            for history in histories() {
                let mut folded = base.clone();
                let mut tally = Tally::default();
                for is_correct in history {
                    let (after, points, _) = folded.apply(&Scored {
                        is_correct,
                        ..right
                    });
                    folded = after;
                    tally = tally.with(right.quiz_mode, is_correct, points);
                    assert_eq!(tally.onto(&base), folded);
                }
            }
        }
    }
}
