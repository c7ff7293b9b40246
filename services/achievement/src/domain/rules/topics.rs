//! What the questions were about, and how hard they were.

use super::super::player::{Answered, CATEGORIES, Player};

/// Right answers in one category that make a specialist: most of what the bank has in it.
const SPECIALIST: u64 = 20;

pub(super) fn node(player: &Player, _: &Answered) -> bool {
    player.category("node").correct >= SPECIALIST
}

pub(super) fn rust(player: &Player, _: &Answered) -> bool {
    player.category("rust").correct >= SPECIALIST
}

pub(super) fn databases(player: &Player, _: &Answered) -> bool {
    player.category("databases").correct >= SPECIALIST
}

pub(super) fn networking(player: &Player, _: &Answered) -> bool {
    player.category("networking").correct >= SPECIALIST
}

pub(super) fn distributed_systems(player: &Player, _: &Answered) -> bool {
    player.category("distributed-systems").correct >= SPECIALIST
}

pub(super) fn all_categories(player: &Player, _: &Answered) -> bool {
    CATEGORIES
        .iter()
        .all(|category| player.category(category).correct >= 1)
}

pub(super) fn first_hard(player: &Player, _: &Answered) -> bool {
    player.by_difficulty.hard.correct >= 1
}

pub(super) fn hard_25(player: &Player, _: &Answered) -> bool {
    player.by_difficulty.hard.correct >= 25
}

pub(super) fn all_difficulties(player: &Player, _: &Answered) -> bool {
    let per = &player.by_difficulty;
    [per.easy, per.medium, per.hard]
        .iter()
        .all(|tally| tally.correct >= 1)
}

#[cfg(test)]
mod tests {
    use contracts::Difficulty;

    use super::super::super::scenario::{earned_at, right, times, wrong};
    use super::*;

    fn about(category: &str) -> Answered {
        Answered {
            category: category.to_owned(),
            ..right()
        }
    }

    fn graded(difficulty: Difficulty) -> Answered {
        Answered {
            difficulty,
            ..right()
        }
    }

    /// 19 right answers in the category, one wrong one and one about something else earn nothing;
    /// the 20th right one does, and a second round of 20 earns nothing more.
    fn assert_specialist(badge: &str, category: &str) {
        let mistake = Answered {
            is_correct: false,
            ..about(category)
        };
        let history = [
            times(19, &about(category)),
            vec![mistake, about("something-else")],
            times(21, &about(category)),
        ];
        assert_eq!(earned_at(badge, history.concat()), [22], "{badge}");
    }

    #[test]
    fn twenty_right_answers_make_a_node_specialist() {
        assert_specialist("node-specialist", "node");
    }

    #[test]
    fn twenty_right_answers_make_a_rust_specialist() {
        assert_specialist("rust-specialist", "rust");
    }

    #[test]
    fn twenty_right_answers_make_a_databases_specialist() {
        assert_specialist("databases-specialist", "databases");
    }

    #[test]
    fn twenty_right_answers_make_a_networking_specialist() {
        assert_specialist("networking-specialist", "networking");
    }

    #[test]
    fn twenty_right_answers_make_a_distributed_systems_specialist() {
        assert_specialist("distributed-systems-specialist", "distributed-systems");
    }

    #[test]
    fn all_categories_needs_a_right_answer_in_the_last_of_the_five_too() {
        let mut history: Vec<Answered> = CATEGORIES[..4].iter().map(|name| about(name)).collect();
        history.push(Answered {
            is_correct: false,
            ..about(CATEGORIES[4])
        });
        history.extend(times(2, &about(CATEGORIES[4])));
        assert_eq!(earned_at("all-categories", history), [6]);
    }

    #[test]
    fn the_first_hard_question_has_to_be_hard_and_right() {
        let missed = Answered {
            difficulty: Difficulty::Hard,
            ..wrong()
        };
        let hard = graded(Difficulty::Hard);
        let history = [
            right(),
            graded(Difficulty::Medium),
            missed,
            hard.clone(),
            hard,
        ];
        assert_eq!(earned_at("hard-first", history), [4]);
    }

    #[test]
    fn twenty_five_hard_questions_leave_the_others_out() {
        let hard = graded(Difficulty::Hard);
        let history = [times(24, &hard), times(5, &right()), times(30, &hard)].concat();
        assert_eq!(earned_at("hard-25", history), [30]);
    }

    #[test]
    fn all_difficulties_needs_each_of_the_three() {
        let history = [
            Difficulty::Hard,
            Difficulty::Easy,
            Difficulty::Easy,
            Difficulty::Medium,
        ];
        let history = history
            .map(graded)
            .into_iter()
            .chain([graded(Difficulty::Medium)]);
        assert_eq!(earned_at("all-difficulties", history), [4]);
    }
}
