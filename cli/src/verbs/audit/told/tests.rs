use contracts::{
    QuizMode,
    audit::{CheckedAnswer, CheckedPlayer, CountedStats, ScoredAnswer, ScoredEntry},
};

use super::*;
use crate::verbs::audit::view::{Account, Facts};

const OLD: Uuid = Uuid::from_u128(1);
const NEW: Uuid = Uuid::from_u128(2);
const BACK: Uuid = Uuid::from_u128(3);
const ANN: Uuid = Uuid::from_u128(101);

struct World {
    told: Vec<Told>,
    log: LogView,
    candidate: CandidateView,
    legacy: LegacyView,
}

fn told(id: Uuid, outcome: Outcome, side: Side) -> Told {
    Told {
        key: Uuid::from_u128(1000 + id.as_u128()),
        user_id: ANN,
        question_id: Uuid::nil(),
        choice_id: "a".into(),
        quiz_mode: QuizMode::Classic,
        outcome,
        side,
        answer_id: Some(id),
        is_correct: (outcome == Outcome::Accepted).then_some(true),
        points: (outcome == Outcome::Accepted).then_some(10),
        attempts: 1,
        detail: None,
    }
}

fn row(answer_id: Uuid, status: AnswerStatus) -> RecordedAnswer {
    RecordedAnswer {
        answer_id,
        user_id: ANN,
        quiz_mode: QuizMode::Classic,
        is_correct: true,
        points: 10,
        status,
    }
}

/// One answer accepted on each side, one taken back, and both sides say the same.
fn world() -> World {
    let quiz_mode = QuizMode::Classic;
    let mut candidate = CandidateView::default();
    candidate.quiz.answers = vec![
        row(NEW, AnswerStatus::Completed),
        row(BACK, AnswerStatus::Compensated),
    ];
    for (answer_id, state) in [(NEW, EffectState::Final), (BACK, EffectState::Revoked)] {
        let badges = Vec::new();
        let checked = CheckedAnswer {
            answer_id,
            user_id: ANN,
            state,
            badges,
        };
        candidate.achievement.answers.push(checked);
        let scored = ScoredAnswer {
            answer_id,
            user_id: ANN,
            quiz_mode,
            points: 10,
            state,
        };
        candidate.leaderboard.answers.push(scored);
    }
    let legacy = LegacyView {
        answers: vec![row(OLD, AnswerStatus::Completed)],
        stats: vec![CountedStats {
            user_id: ANN,
            quiz_mode,
            base_answered: 0,
            base_correct: 0,
            base_score: 0,
            answered: 1,
            correct: 1,
            score: 10,
        }],
        players: vec![CheckedPlayer {
            user_id: ANN,
            base_answered: 0,
            answered: 1,
            badges: Vec::new(),
        }],
        entries: vec![ScoredEntry {
            user_id: ANN,
            quiz_mode,
            base_score: 0,
            score: 10,
        }],
    };
    let told = vec![
        told(OLD, Outcome::Accepted, Side::Legacy),
        told(NEW, Outcome::Accepted, Side::Candidate),
        told(BACK, Outcome::Compensated, Side::Candidate),
    ];
    World {
        told,
        log: LogView::default(),
        candidate,
        legacy,
    }
}

fn found(plant: impl FnOnce(&mut World)) -> (ToldCounts, Vec<Disagreement>) {
    let mut world = world();
    plant(&mut world);
    compare(&world.told, &world.log, &world.candidate, &world.legacy)
}

#[track_caller]
fn planted(plant: impl FnOnce(&mut World)) -> (Place, Kind, Option<Uuid>) {
    let (_, found) = found(plant);
    assert_eq!(found.len(), 1, "{found:#?}");
    (
        found[0].place,
        found[0].kind,
        found[0].answer_id.or(found[0].user_id),
    )
}

#[test]
fn what_agrees_is_counted_by_side() {
    let (counts, found) = found(|_| {});
    assert_eq!(found, []);
    assert_eq!((counts.accepted_legacy, counts.accepted_candidate), (1, 1));
    assert_eq!((counts.compensated, counts.unknown), (1, 0));
}

#[test]
fn an_accepted_answer_that_was_lost_is_found_on_either_side() {
    let (_, lost) = found(|world| world.legacy.answers.clear());
    assert_eq!(
        lost[0].subject(),
        (Place::Legacy, Kind::Missing, Some(OLD), None, None)
    );
    let lost = planted(|world| {
        world.candidate.quiz.answers.remove(0);
    });
    assert_eq!(lost, (Place::Quiz, Kind::Missing, Some(NEW)));
    let lost = planted(|world| {
        world.candidate.leaderboard.answers.remove(0);
    });
    assert_eq!(lost, (Place::Leaderboard, Kind::Missing, Some(NEW)));
    let lost = planted(|world| {
        world.candidate.achievement.answers.remove(0);
    });
    assert_eq!(lost, (Place::Achievement, Kind::Missing, Some(NEW)));
}

#[test]
fn an_accepted_answer_that_is_not_final_is_found() {
    let state = EffectState::Revoked;
    let one = planted(|world| world.candidate.leaderboard.answers[0].state = state);
    assert_eq!(one, (Place::Leaderboard, Kind::Told, Some(NEW)));
    let (_, found) = found(|world| world.candidate.quiz.answers[0].status = AnswerStatus::Pending);
    assert_eq!(
        found[0].subject(),
        (Place::Quiz, Kind::Told, Some(NEW), None, None)
    );
}

#[test]
fn an_answer_that_was_recorded_twice_is_found() {
    let (_, found) = found(|world| {
        let row = world.legacy.answers[0].clone();
        world.legacy.answers.push(row);
    });
    assert_eq!(
        found[0].subject(),
        (Place::Legacy, Kind::Duplicate, Some(OLD), None, None)
    );
}

#[test]
fn an_answer_that_is_on_both_sides_is_found() {
    let one = planted(|world| {
        world
            .candidate
            .quiz
            .answers
            .push(row(OLD, AnswerStatus::Completed));
    });
    assert_eq!(one, (Place::Quiz, Kind::Told, Some(OLD)));
}

#[test]
fn a_client_that_was_told_other_points_is_found() {
    let one = planted(|world| world.told[1].points = Some(20));
    assert_eq!(one, (Place::Quiz, Kind::Told, Some(NEW)));
}

#[test]
fn a_compensated_answer_that_counts_anywhere_is_found() {
    let state = EffectState::Provisional;
    let one = planted(|world| world.candidate.achievement.answers[1].state = state);
    assert_eq!(one, (Place::Achievement, Kind::Told, Some(BACK)));
    let (_, found) =
        found(|world| world.candidate.quiz.answers[1].status = AnswerStatus::Completed);
    assert_eq!(
        found[0].subject(),
        (Place::Quiz, Kind::Told, Some(BACK), None, None)
    );
}

#[test]
fn a_participant_that_still_takes_back_is_undecided() {
    let (_, found) = found(|world| {
        world.candidate.leaderboard.answers[1].state = EffectState::Provisional;
        let facts = Facts {
            user_id: ANN,
            quiz_mode: QuizMode::Classic,
            is_correct: true,
            points: 10,
        };
        let account = Account {
            facts: Some(facts),
            submitted: 1,
            revoked: 1,
            ..Account::default()
        };
        world.log.answers.insert(BACK, account);
    });
    assert_eq!(found, []);
}

#[test]
fn an_answer_that_nobody_was_told_of_is_found() {
    let id = Uuid::from_u128(9);
    let one = planted(|world| {
        world
            .candidate
            .quiz
            .answers
            .push(row(id, AnswerStatus::Completed));
    });
    assert_eq!(one, (Place::Quiz, Kind::Untold, Some(id)));
}

#[test]
fn an_unknown_outcome_explains_one_recorded_answer_and_no_more() {
    let unknown = Told {
        answer_id: None,
        ..told(OLD, Outcome::Unknown, Side::Candidate)
    };
    let (counts, found) = found(|world| {
        world.told.push(unknown);
        for id in [8, 9] {
            let row = row(Uuid::from_u128(id), AnswerStatus::Completed);
            world.candidate.quiz.answers.push(row);
        }
    });
    assert_eq!((counts.unknown, counts.unknown_recorded), (1, 1));
    assert_eq!((found.len(), found[0].kind), (1, Kind::Untold));
}

#[test]
fn two_keys_that_got_the_same_answer_are_found() {
    let (_, found) = found(|world| {
        let again = Told {
            key: Uuid::nil(),
            ..world.told[0].clone()
        };
        world.told.push(again);
    });
    assert_eq!(
        found[0].subject(),
        (Place::Clients, Kind::Duplicate, Some(OLD), None, None)
    );
}

#[test]
fn nothing_is_expected_of_a_client_whose_account_was_deleted() {
    let (_, found) = found(|world| {
        world.log.deleted_players.insert(ANN);
        world.candidate = CandidateView::default();
        world.legacy = LegacyView::default();
    });
    assert_eq!(found, []);
}

#[test]
fn the_monoliths_sums_of_a_player_whose_counts_were_set_back_are_not_judged() {
    let (_, found) = found(|world| {
        world.log.resets.insert(ANN, 9);
        world.legacy.stats.clear();
        world.legacy.entries.clear();
        world.legacy.players.clear();
    });
    assert_eq!(found, []);
}

#[test]
fn sums_of_the_monolith_that_are_not_those_of_its_answers_are_found() {
    let sum = (Place::Legacy, Kind::Sum, Some(ANN));
    assert_eq!(planted(|world| world.legacy.stats[0].answered = 2), sum);
    assert_eq!(planted(|world| world.legacy.entries[0].score = 0), sum);
    assert_eq!(planted(|world| world.legacy.players[0].answered = 0), sum);
}
