//! The books of one leaderboard: scores, who stands where, and points taken back. Pure.
//!
//! A [`Board`] belongs to one quiz mode and period. Invariants: a score is never negative; the order
//! is total, so no two entries share a place; [`Entry::revert`] restores exactly what [`credit`]
//! found.

mod board;
mod key;
mod query;
mod watched;

use std::cmp::{Ordering, Reverse};

pub use board::Board;
pub use contracts::{Period, QuizMode};
pub use key::{AFTER_ALL, Key};
pub use query::{BoardQuery, Fault, Page, PageQuery};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;
pub use watched::{Shown, watched};

/// How many lines a board shows.
pub const TOP: usize = 6;

/// How many lines above one's own, and as many below, a player's neighbourhood shows.
pub const NEIGHBOURS: usize = 5;

/// Lines of a page when the caller does not say.
pub const PAGE_DEFAULT: u32 = 20;

/// Lines of a page at most.
pub const PAGE_MAX: u32 = 100;

/// The most that one answer can add. The quiz service gives 100 at most; more than this is no
/// score but a fault or a forged event.
pub const POINTS_MAX: i64 = 1_000;

/// A player's line on one board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The player.
    pub user_id: Uuid,
    /// Points.
    pub score: i64,
    /// When this score was reached: of two equal scores the earlier one stands above.
    #[serde(with = "time::serde::rfc3339")]
    pub reached_at: OffsetDateTime,
}

/// What taking one answer's points back needs to know. Small, and stored with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credit {
    /// What was added.
    pub points: i64,
    /// The entry before; none when the answer was the player's first on this board.
    pub before: Option<Entry>,
    /// The entry after.
    pub after: Entry,
}

/// Why points were not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Outside 0 to [`POINTS_MAX`].
    #[error("{0} points are not between 0 and {POINTS_MAX}")]
    ImpossiblePoints(i64),
    /// The sum has no number.
    #[error("the score cannot grow further")]
    ScoreOverflow,
}

/// Adds an answer's points; the first answer opens the player's entry, with 0 points too.
///
/// # Errors
/// [`Refusal`] when the points are impossible; nothing was changed then.
pub fn credit(
    before: Option<&Entry>,
    user_id: Uuid,
    points: i64,
    at: OffsetDateTime,
) -> Result<Credit, Refusal> {
    if !(0..=POINTS_MAX).contains(&points) {
        return Err(Refusal::ImpossiblePoints(points));
    }
    let after = match before {
        None => Entry {
            user_id,
            score: points,
            reached_at: at,
        },
        // A wrong answer must not cost the place among equals: the time stays with the score.
        Some(entry) if points == 0 => *entry,
        Some(entry) => Entry {
            user_id: entry.user_id,
            score: entry
                .score
                .checked_add(points)
                .ok_or(Refusal::ScoreOverflow)?,
            reached_at: at,
        },
    };
    Ok(Credit {
        points,
        before: before.copied(),
        after,
    })
}

/// The entry with a bonus on top: points that no answer earned. None when the sum has no number.
#[must_use]
pub fn reward(before: &Entry, bonus: i64, at: OffsetDateTime) -> Option<Entry> {
    Some(Entry {
        user_id: before.user_id,
        score: before.score.checked_add(bonus)?,
        reached_at: if bonus == 0 { before.reached_at } else { at },
    })
}

/// The entries in the board's order, best first, [`TOP`] at most.
#[must_use]
pub fn top(entries: &[Entry]) -> Vec<Entry> {
    let mut sorted = entries.to_vec();
    sorted.sort_by(Entry::rank);
    sorted.truncate(TOP);
    sorted
}

/// The player's place, from 1; none without an entry.
#[must_use]
pub fn position(entries: &[Entry], user_id: Uuid) -> Option<usize> {
    let own = entries.iter().find(|entry| entry.user_id == user_id)?;
    Some(
        1 + entries
            .iter()
            .filter(|entry| entry.rank(own) == Ordering::Less)
            .count(),
    )
}

impl Entry {
    /// The board's order: the higher score first, then who reached it earlier, then the smaller id.
    /// [`Entry::key`] sorts in the same order, and so does the store.
    #[must_use]
    pub fn rank(&self, other: &Self) -> Ordering {
        let key = |entry: &Self| (Reverse(entry.score), entry.reached_at, entry.user_id);
        key(self).cmp(&key(other))
    }

    /// The entry without that answer's points; none when that answer had opened it.
    ///
    /// A user has one undecided answer at a time, so this is the entry before it. Where other
    /// points came since (an import, a bonus), only this answer's are taken off, and never below 0.
    #[must_use]
    pub fn revert(&self, credit: &Credit) -> Option<Self> {
        if *self == credit.after {
            return credit.before;
        }
        Some(Self {
            score: self.score.saturating_sub(credit.points).max(0),
            ..*self
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;

    fn second(second: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(second)
    }

    fn entry(user: u128, score: i64, reached: i64) -> Entry {
        Entry {
            user_id: Uuid::from_u128(user),
            score,
            reached_at: second(reached),
        }
    }

    fn users(entries: &[Entry]) -> Vec<u128> {
        entries
            .iter()
            .map(|entry| entry.user_id.as_u128())
            .collect()
    }

    #[test]
    fn the_higher_score_stands_above_then_the_earlier_one_then_the_smaller_id() {
        let board = [
            entry(4, 10, 5),
            entry(3, 10, 5),
            entry(2, 10, 1),
            entry(1, 30, 9),
        ];
        assert_eq!(users(&top(&board)), [1, 2, 3, 4]);
    }

    #[test]
    fn the_board_shows_six() {
        let board: Vec<Entry> = (0..9)
            .map(|user| entry(user, 10 * user as i64, 0))
            .collect();
        assert_eq!(users(&top(&board)), [8, 7, 6, 5, 4, 3]);
    }

    #[test]
    fn a_player_without_an_entry_has_no_position() {
        assert_eq!(position(&[entry(1, 10, 0)], Uuid::from_u128(2)), None);
    }

    #[test]
    fn the_first_answer_opens_an_entry_even_without_points() {
        let credit = credit(None, Uuid::from_u128(1), 0, second(3)).expect("0 points are possible");
        assert_eq!(credit.after, entry(1, 0, 3));
        assert_eq!(credit.after.revert(&credit), None);
    }

    #[test]
    fn an_answer_without_points_keeps_the_time_at_which_the_score_was_reached() {
        let before = entry(1, 40, 3);
        let wrong = credit(Some(&before), before.user_id, 0, second(9)).expect("possible");
        assert_eq!(wrong.after, before);
        let right = credit(Some(&before), before.user_id, 10, second(9)).expect("possible");
        assert_eq!(right.after, entry(1, 50, 9));
    }

    #[test]
    fn impossible_points_are_refused() {
        let refused = |points| credit(None, Uuid::nil(), points, second(0)).err();
        assert_eq!(refused(-1), Some(Refusal::ImpossiblePoints(-1)));
        assert_eq!(
            refused(POINTS_MAX + 1),
            Some(Refusal::ImpossiblePoints(POINTS_MAX + 1))
        );
        assert_eq!(refused(POINTS_MAX), None);
    }

    #[test]
    fn a_score_that_cannot_grow_is_refused_and_does_not_wrap() {
        let full = entry(1, i64::MAX, 0);
        let refused = credit(Some(&full), full.user_id, 1, second(1));
        assert_eq!(refused, Err(Refusal::ScoreOverflow));
    }

    #[test]
    fn points_that_came_since_stay_when_an_older_answer_is_taken_back() {
        let first = credit(None, Uuid::from_u128(1), 30, second(1)).expect("possible");
        let second = credit(Some(&first.after), first.after.user_id, 12, second(2));
        let now = second.expect("possible").after;
        assert_eq!(now.revert(&first), Some(entry(1, 12, 2)));
    }

    proptest! {
        #[test]
        fn taking_back_the_answers_newest_first_restores_every_entry_exactly(
            answers in proptest::collection::vec((0..=POINTS_MAX, 0..1000_i64), 0..40)
        ) {
            let user = Uuid::from_u128(1);
            let mut now: Option<Entry> = None;
            let mut credits = Vec::new();
            for (points, at) in answers {
                let credit = credit(now.as_ref(), user, points, second(at)).expect("possible");
                now = Some(credit.after);
                credits.push(credit);
            }
            while let Some(credit) = credits.pop() {
                now = now.and_then(|entry| entry.revert(&credit));
                prop_assert_eq!(now, credit.before);
                prop_assert!(now.is_none_or(|entry| entry.score >= 0));
            }
        }

        #[test]
        fn positions_are_the_places_in_the_sorted_board(
            rows in proptest::collection::vec((0..5_i64, 0..5_i64), 1..30)
        ) {
            let board: Vec<Entry> = rows
                .iter()
                .zip(1_u128..)
                .map(|((score, at), user)| entry(user, *score, *at))
                .collect();
            let mut sorted = board.clone();
            sorted.sort_by(Entry::rank);
            for (index, entry) in sorted.iter().enumerate() {
                prop_assert_eq!(position(&board, entry.user_id), Some(index + 1));
            }
            prop_assert_eq!(&sorted[..sorted.len().min(TOP)], &top(&board)[..]);
        }
    }
}
