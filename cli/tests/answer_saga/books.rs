//! Whether the three services tell the same story.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{QuizMode, audit::EffectState, http::AnswerStatus};
use uuid::Uuid;

use crate::world::Books;

/// What counts of one player's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    answered: i64,
    correct: i64,
    score: i64,
}

impl Books {
    /// Holds the services' sums and their answers against each other: what completed counts once
    /// everywhere, and what was compensated nowhere.
    pub(crate) fn agree(&self) {
        let by_status = |wanted| {
            let of = self
                .answers
                .iter()
                .filter(move |answer| answer.status == wanted);
            of.map(|answer| answer.answer_id).collect::<BTreeSet<_>>()
        };
        assert_eq!(
            by_status(AnswerStatus::Pending),
            BTreeSet::new(),
            "all are decided"
        );
        let completed = by_status(AnswerStatus::Completed);

        let mut sums: BTreeMap<(Uuid, QuizMode), Sum> = BTreeMap::new();
        let counted = self
            .answers
            .iter()
            .filter(|a| a.status == AnswerStatus::Completed);
        for answer in counted {
            let sum = sums.entry((answer.user_id, answer.quiz_mode)).or_default();
            sum.answered += 1;
            sum.correct += i64::from(answer.is_correct);
            sum.score += answer.points;
        }
        let stats: BTreeMap<_, _> = self
            .stats
            .iter()
            .map(|row| {
                let Sum {
                    answered,
                    correct,
                    score,
                } = Sum {
                    answered: row.answered,
                    correct: row.correct,
                    score: row.score,
                };
                (
                    (row.user_id, row.quiz_mode),
                    Sum {
                        answered,
                        correct,
                        score,
                    },
                )
            })
            .collect();
        assert_eq!(
            stats, sums,
            "the stats are the sums of the completed answers"
        );

        let scores: BTreeMap<_, _> = self
            .entries
            .iter()
            .map(|row| ((row.user_id, row.quiz_mode), row.score))
            .collect();
        let points: BTreeMap<_, _> = sums.iter().map(|(key, sum)| (*key, sum.score)).collect();
        assert_eq!(
            scores, points,
            "the boards are the sums of the completed answers"
        );

        let mut answered: BTreeMap<Uuid, i64> = BTreeMap::new();
        for ((user_id, _), sum) in &sums {
            *answered.entry(*user_id).or_default() += sum.answered;
        }
        let seen: BTreeMap<_, _> = self
            .players
            .iter()
            .map(|row| (row.user_id, row.answered))
            .collect();
        assert_eq!(
            seen, answered,
            "the badge rules know of the completed answers"
        );
        self.effects_agree(&completed);
    }

    fn effects_agree(&self, completed: &BTreeSet<Uuid>) {
        let finals = |effects: Vec<(Uuid, EffectState)>| {
            let provisional = effects
                .iter()
                .filter(|e| e.1 == EffectState::Provisional)
                .count();
            assert_eq!(
                provisional, 0,
                "nothing is provisional any more: {effects:?}"
            );
            let of = effects
                .into_iter()
                .filter(|effect| effect.1 == EffectState::Final);
            of.map(|(answer_id, _)| answer_id).collect::<BTreeSet<_>>()
        };
        let scored = finals(self.scored.iter().map(|a| (a.answer_id, a.state)).collect());
        assert_eq!(
            &scored, completed,
            "the boards scored the completed answers"
        );
        let checked = finals(
            self.checked
                .iter()
                .map(|a| (a.answer_id, a.state))
                .collect(),
        );
        assert_eq!(
            &checked, completed,
            "the badge rules saw the completed answers"
        );

        // Once decided, only the quiz service knows whose answer it was.
        let players: BTreeMap<Uuid, Uuid> = self
            .answers
            .iter()
            .map(|answer| (answer.answer_id, answer.user_id))
            .collect();
        let mut earned: BTreeMap<Uuid, BTreeSet<&str>> = BTreeMap::new();
        for answer in self
            .checked
            .iter()
            .filter(|a| a.state == EffectState::Final)
        {
            let badges = earned.entry(players[&answer.answer_id]).or_default();
            badges.extend(answer.badges.iter().map(String::as_str));
        }
        for player in &self.players {
            let held: BTreeSet<_> = player.badges.iter().map(String::as_str).collect();
            assert_eq!(
                Some(&held),
                earned.get(&player.user_id),
                "badges of {}",
                player.user_id
            );
        }
    }
}
