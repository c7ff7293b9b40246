//! What earns a badge: a pure fold of a player's answers.
//!
//! [`apply`] takes the player before an answer and gives the player after it, with the badges that
//! this answer earned. Nothing here reads a clock, a database or a random number, so live handling,
//! replay and legacy agree on every badge. Invariant: a badge is earned at most once, because what
//! was earned is part of the [`Player`].
//!
//! An answer is taken back by storing the player as it was before ([`apply`] leaves its input
//! alone): a user has one undecided answer at a time, so nothing is ever built on top of it.

mod badge;
mod player;
mod rules;
#[cfg(test)]
mod scenario;

pub use badge::{Badge, BadgeId, Rule};
pub use contracts::{Difficulty, QuizMode};
pub use player::{
    Answered, CATEGORIES, CATEGORIES_MAX, Day, MISSED_MAX, PerDifficulty, PerMode, Player, Tally,
};
pub use rules::BADGES;

/// The badge with this id, if this version knows it.
#[must_use]
pub fn badge(id: &str) -> Option<&'static Badge> {
    BADGES
        .iter()
        .map(|rule| &rule.badge)
        .find(|badge| badge.id.as_str() == id)
}

/// The player after `answer`, and the badges that it earned, in the order of [`BADGES`].
#[must_use]
pub fn apply(player: &Player, answer: &Answered) -> (Player, Vec<BadgeId>) {
    let mut after = player.after(answer);
    let fresh: Vec<BadgeId> = BADGES
        .iter()
        .filter(|rule| !player.earned.contains(rule.badge.id.as_str()))
        .filter(|rule| (rule.holds)(&after, answer))
        .map(|rule| rule.badge.id)
        .collect();
    after
        .earned
        .extend(fresh.iter().map(|id| id.as_str().to_owned()));
    (after, fresh)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use time::Duration;
    use uuid::Uuid;

    use super::scenario::{MONDAY_10_AM, right, wrong};
    use super::*;

    #[test]
    fn badge_ids_are_unique_kebab_case_and_each_badge_says_what_it_is_for() {
        let ids: BTreeSet<&str> = BADGES.iter().map(|rule| rule.badge.id.as_str()).collect();
        let names: BTreeSet<&str> = BADGES.iter().map(|rule| rule.badge.name).collect();
        assert_eq!(ids.len(), BADGES.len());
        assert_eq!(names.len(), BADGES.len());
        assert!(BADGES.len() >= 24);
        for Rule { badge, .. } in BADGES {
            assert!(badge.id.as_str().bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
            }));
            assert!(badge.description.ends_with('.'), "{}", badge.id);
        }
    }

    #[test]
    fn a_badge_is_found_by_its_id_and_an_unknown_id_is_none() {
        assert_eq!(
            badge("first-answer").map(|found| found.id),
            Some(BadgeId::new("first-answer"))
        );
        assert_eq!(badge("no-such-badge"), None);
    }

    #[test]
    fn applying_an_answer_leaves_the_player_before_it_untouched() {
        let before = Player::default();
        let (after, fresh) = apply(&before, &right());
        assert_eq!(before, Player::default());
        assert_eq!(after.answered, 1);
        assert_eq!(
            fresh[..2],
            [BadgeId::new("first-answer"), BadgeId::new("first-correct")]
        );
    }

    #[test]
    fn a_badge_that_this_version_does_not_know_stays_with_its_player() {
        let mut player = Player::default();
        player.earned.insert("retired-badge".to_owned());
        let (after, _) = apply(&player, &wrong());
        assert!(after.earned.contains("retired-badge"));
    }

    fn any_answer() -> impl Strategy<Value = Answered> {
        (
            0..7_usize,
            0..3_u8,
            0..3_u8,
            any::<bool>(),
            0..40_i64,
            0..200_u128,
        )
            .prop_map(
                |(category, difficulty, mode, is_correct, hours, question)| Answered {
                    question_id: Uuid::from_u128(question),
                    category: CATEGORIES
                        .get(category)
                        .copied()
                        .unwrap_or("history")
                        .to_owned(),
                    difficulty: [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard]
                        [usize::from(difficulty)],
                    quiz_mode: [QuizMode::Classic, QuizMode::Timed, QuizMode::Survival]
                        [usize::from(mode)],
                    is_correct,
                    at: MONDAY_10_AM + Duration::hours(hours * 7),
                },
            )
    }

    proptest! {
        #[test]
        fn any_history_keeps_the_sums_right_and_earns_no_badge_twice(
            history in proptest::collection::vec(any_answer(), 0..120)
        ) {
            let mut player = Player::default();
            let mut earned = Vec::new();
            for answer in &history {
                let (after, fresh) = apply(&player, answer);
                earned.extend(fresh);
                player = after;
            }
            prop_assert_eq!(player.answered, history.len() as u64);
            prop_assert_eq!(player.by_mode.total(), player.answered);
            prop_assert_eq!(player.by_difficulty.total(), player.answered);
            prop_assert!(player.best_streak >= player.streak);
            prop_assert!(player.correct <= player.answered);
            let unique: BTreeSet<&str> = earned.iter().map(|id| id.as_str()).collect();
            prop_assert_eq!(unique.len(), earned.len());
            prop_assert_eq!(unique.len(), player.earned.len());
        }

        #[test]
        fn a_player_survives_being_stored_as_json(
            history in proptest::collection::vec(any_answer(), 0..60)
        ) {
            let player = history.iter().fold(Player::default(), |player, answer| {
                apply(&player, answer).0
            });
            let stored = serde_json::to_string(&player).expect("a player is JSON");
            let loaded: Player = serde_json::from_str(&stored).expect("its JSON is a player");
            prop_assert_eq!(loaded, player);
        }
    }
}
