//! What the badge rules know about a player: counters, not history, so its size is bounded.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{Difficulty, QuizMode};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// The categories of the question bank. Others may exist; the category badges are about these.
pub const CATEGORIES: [&str; 5] = [
    "node",
    "rust",
    "databases",
    "networking",
    "distributed-systems",
];

/// How many categories are counted for one player. Administrators invent categories; beyond this
/// many the totals still count, only the new category does not get a row of its own.
pub const CATEGORIES_MAX: usize = 64;

/// How many missed questions a player can still make good. The oldest is forgotten first: the
/// state is read and written with each answer and has to stay small.
pub const MISSED_MAX: usize = 64;

/// One answer, as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The question that was answered.
    pub question_id: Uuid,
    /// Its category.
    pub category: String,
    /// Its difficulty.
    pub difficulty: Difficulty,
    /// The quiz mode that the player was in.
    pub quiz_mode: QuizMode,
    /// Whether the choice was the right one.
    pub is_correct: bool,
    /// When the answer was given. Days and hours are judged in UTC.
    pub at: OffsetDateTime,
}

/// The running state of one player: the fold of all answers so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Player {
    /// Answers given.
    pub answered: u64,
    /// Right ones among them.
    pub correct: u64,
    /// Right answers in a row, up to now.
    pub streak: u64,
    /// The longest such row ever.
    pub best_streak: u64,
    /// Wrong answers in a row, up to now.
    pub wrong_run: u64,
    /// The row of wrong answers that the current streak ended; 0 when there was none.
    pub slump: u64,
    /// Counts by category, for at most [`CATEGORIES_MAX`] of them.
    pub by_category: BTreeMap<String, Tally>,
    /// Counts by difficulty.
    pub by_difficulty: PerDifficulty,
    /// Counts by quiz mode.
    pub by_mode: PerMode,
    /// The last day on which the player answered.
    pub today: Option<Day>,
    /// Days in a row with an answer, up to that day.
    pub daily_streak: u64,
    /// Days with an answer.
    pub days_played: u64,
    /// Days without an answer directly before the current daily streak; 0 for the first one.
    pub days_away: u64,
    /// Questions answered wrong and not yet made good, oldest first, at most [`MISSED_MAX`].
    pub missed: Vec<Uuid>,
    /// How many missed questions were answered right later.
    pub redeemed: u64,
    /// Ids of the badges that were earned; those that this version does not know are kept.
    pub earned: BTreeSet<String>,
}

/// Answers given, and right ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Answers given.
    pub answered: u64,
    /// Right ones among them.
    pub correct: u64,
}

/// A tally for each difficulty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PerDifficulty {
    /// Easy questions.
    pub easy: Tally,
    /// Medium questions.
    pub medium: Tally,
    /// Hard questions.
    pub hard: Tally,
}

/// A tally for each quiz mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PerMode {
    /// Classic games.
    pub classic: Tally,
    /// Games against the clock.
    pub timed: Tally,
    /// Games that end at the first mistake.
    pub survival: Tally,
}

/// One UTC day of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Day {
    /// The day, as its Julian day number: consecutive days differ by one.
    pub number: i32,
    /// Answers given on it.
    pub answered: u64,
    /// Right ones among them.
    pub correct: u64,
}

impl Answered {
    /// When the answer was given, in UTC.
    #[must_use]
    pub fn utc(&self) -> OffsetDateTime {
        self.at.to_offset(UtcOffset::UTC)
    }
}

impl Player {
    /// The tally of one category; zero where nothing was answered.
    #[must_use]
    pub fn category(&self, category: &str) -> Tally {
        self.by_category.get(category).copied().unwrap_or_default()
    }

    /// The player after `answer`, without its badges.
    pub(super) fn after(&self, answer: &Answered) -> Self {
        let mut player = self.clone();
        player.count(answer);
        player.extend_runs(answer.is_correct);
        player.turn_calendar(answer);
        player.remember_misses(answer);
        player
    }

    fn count(&mut self, answer: &Answered) {
        self.answered += 1;
        self.correct += u64::from(answer.is_correct);
        self.by_difficulty
            .of_mut(answer.difficulty)
            .count(answer.is_correct);
        self.by_mode
            .of_mut(answer.quiz_mode)
            .count(answer.is_correct);
        let known = self.by_category.contains_key(&answer.category);
        if known || self.by_category.len() < CATEGORIES_MAX {
            self.by_category
                .entry(answer.category.clone())
                .or_default()
                .count(answer.is_correct);
        }
    }

    fn extend_runs(&mut self, is_correct: bool) {
        if is_correct {
            if self.streak == 0 {
                self.slump = self.wrong_run;
            }
            self.streak += 1;
            self.best_streak = self.best_streak.max(self.streak);
            self.wrong_run = 0;
        } else {
            self.streak = 0;
            self.slump = 0;
            self.wrong_run += 1;
        }
    }

    /// A clock that went back (another replica's, an import) counts towards the day that is open:
    /// days only move forward.
    fn turn_calendar(&mut self, answer: &Answered) {
        let number = answer.utc().to_julian_day();
        let mut day = match self.today {
            Some(day) if number <= day.number => day,
            previous => {
                let gap = previous.map_or(0, |day| (number - day.number - 1).unsigned_abs());
                if previous.is_none() || gap > 0 {
                    self.daily_streak = 0;
                    self.days_away = u64::from(gap);
                }
                self.daily_streak += 1;
                self.days_played += 1;
                Day {
                    number,
                    answered: 0,
                    correct: 0,
                }
            }
        };
        day.answered += 1;
        day.correct += u64::from(answer.is_correct);
        self.today = Some(day);
    }

    fn remember_misses(&mut self, answer: &Answered) {
        let known = self
            .missed
            .iter()
            .position(|missed| *missed == answer.question_id);
        match (answer.is_correct, known) {
            (true, Some(index)) => {
                self.missed.remove(index);
                self.redeemed += 1;
            }
            (false, None) => {
                if self.missed.len() >= MISSED_MAX {
                    self.missed.remove(0);
                }
                self.missed.push(answer.question_id);
            }
            (true, None) | (false, Some(_)) => {}
        }
    }
}

impl Tally {
    fn count(&mut self, is_correct: bool) {
        self.answered += 1;
        self.correct += u64::from(is_correct);
    }
}

impl PerDifficulty {
    /// Answers given in all difficulties.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.easy.answered + self.medium.answered + self.hard.answered
    }

    fn of_mut(&mut self, difficulty: Difficulty) -> &mut Tally {
        match difficulty {
            Difficulty::Easy => &mut self.easy,
            Difficulty::Medium => &mut self.medium,
            Difficulty::Hard => &mut self.hard,
        }
    }
}

impl PerMode {
    /// Answers given in all modes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.classic.answered + self.timed.answered + self.survival.answered
    }

    fn of_mut(&mut self, mode: QuizMode) -> &mut Tally {
        match mode {
            QuizMode::Classic => &mut self.classic,
            QuizMode::Timed => &mut self.timed,
            QuizMode::Survival => &mut self.survival,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::super::scenario::{play, right, wrong};
    use super::*;

    #[test]
    fn a_wrong_answer_ends_the_streak_and_the_best_one_stays() {
        let player = play([right(), right(), wrong(), right()]);
        assert_eq!(
            (player.streak, player.best_streak, player.wrong_run),
            (1, 2, 0)
        );
    }

    #[test]
    fn the_slump_is_the_row_of_wrong_answers_before_the_current_streak() {
        assert_eq!(play([wrong(), wrong(), right(), right()]).slump, 2);
        assert_eq!(play([wrong(), right(), wrong(), wrong(), wrong()]).slump, 0);
    }

    #[test]
    fn days_follow_each_other_across_midnight_and_a_gap_starts_again() {
        let on = |days: i64| Answered {
            at: right().at + Duration::days(days),
            ..right()
        };
        let player = play([on(0), on(1), on(2)]);
        assert_eq!(
            (player.daily_streak, player.days_played, player.days_away),
            (3, 3, 0)
        );
        let player = play([on(0), on(1), on(5)]);
        assert_eq!(
            (player.daily_streak, player.days_played, player.days_away),
            (1, 3, 3)
        );
    }

    #[test]
    fn a_clock_that_went_back_counts_towards_the_open_day() {
        let yesterday = Answered {
            at: right().at - Duration::days(1),
            ..right()
        };
        let player = play([right(), yesterday]);
        assert_eq!(player.days_played, 1);
        assert_eq!(player.today.map(|day| day.answered), Some(2));
    }

    #[test]
    fn the_day_is_the_utc_day_whatever_offset_the_time_carries() {
        let there = UtcOffset::from_hms(9, 0, 0).expect("an offset");
        let elsewhere = Answered {
            at: right().at.to_offset(there),
            ..right()
        };
        assert_eq!(play([right()]).today, play([elsewhere]).today);
    }

    #[test]
    fn missed_questions_are_bounded_and_the_oldest_is_forgotten() {
        let answers = (0..MISSED_MAX as u128 + 1).map(|number| Answered {
            question_id: Uuid::from_u128(number),
            ..wrong()
        });
        let player = play(answers);
        assert_eq!(player.missed.len(), MISSED_MAX);
        assert_eq!(player.missed[0], Uuid::from_u128(1));
    }

    #[test]
    fn a_flood_of_categories_is_counted_in_the_totals_only() {
        let answers = (0..CATEGORIES_MAX + 5).map(|number| Answered {
            category: format!("category {number}"),
            ..right()
        });
        let player = play(answers);
        assert_eq!(player.by_category.len(), CATEGORIES_MAX);
        assert_eq!(player.answered, CATEGORIES_MAX as u64 + 5);
    }

    #[test]
    fn a_player_stored_before_a_counter_existed_is_read_with_that_counter_at_zero() {
        let player: Player = serde_json::from_str(r#"{"answered": 3}"#).expect("an older player");
        assert_eq!(
            player,
            Player {
                answered: 3,
                ..Player::default()
            }
        );
    }
}
