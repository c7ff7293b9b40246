mod departed;
mod planted;
mod retention;

use contracts::{
    Event, Payload, QuizMode, Recorded,
    audit::{
        CheckedAnswer, CheckedPlayer, CountedStats, RecordedAnswer, ScoredAnswer, ScoredEntry,
    },
    events::{
        AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmissionFailed, AnswerSubmitted,
        SagaIntervened, UserDeleted, UserStatsReset,
    },
};
use time::OffsetDateTime;

use super::*;

const COMPLETED: Uuid = Uuid::from_u128(1);
const WRONG: Uuid = Uuid::from_u128(2);
const COMPENSATED: Uuid = Uuid::from_u128(3);
const UNDECIDED: Uuid = Uuid::from_u128(4);
const STRANGER: Uuid = Uuid::from_u128(99);
const ANN: Uuid = Uuid::from_u128(101);
const BEA: Uuid = Uuid::from_u128(102);

fn recorded(position: i64, payload: &impl Payload) -> Recorded {
    fn event<P: Payload>(position: i64, payload: &P) -> Event {
        Event {
            id: Uuid::from_u128(u128::try_from(position).unwrap()),
            event_type: P::TYPE.to_owned(),
            stream: "answers".into(),
            aggregate_id: String::new(),
            version: position,
            schema_version: P::SCHEMA_VERSION,
            payload: serde_json::to_value(payload).unwrap(),
            timestamp: OffsetDateTime::UNIX_EPOCH,
            correlation_id: Uuid::nil(),
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: "quiz".into(),
            traceparent: None,
        }
    }
    Recorded {
        epoch: Uuid::nil(),
        position,
        recorded_at: None,
        event: event(position, payload),
    }
}

fn submitted(answer_id: Uuid, user_id: Uuid, points: i64) -> AnswerSubmitted {
    AnswerSubmitted {
        answer_id,
        user_id,
        display_name: "Somebody".into(),
        question_id: Uuid::nil(),
        choice_id: "a".into(),
        quiz_mode: QuizMode::Classic,
        category: "rust".into(),
        difficulty: contracts::Difficulty::Easy,
        is_correct: points > 0,
        points,
        streak: 1,
    }
}

fn abandoned(saga: Uuid) -> SagaIntervened {
    SagaIntervened {
        saga,
        verb: "abandon".into(),
        target: None,
        outcome: None,
        actor: "ann".into(),
        reason: "why".into(),
    }
}

/// Ann completed a right and a wrong answer and lost one to a roll-back; Bea's is undecided.
fn log() -> LogView {
    let mut log = LogView::default();
    let answers = [
        (COMPLETED, ANN, 10),
        (WRONG, ANN, 0),
        (COMPENSATED, ANN, 10),
        (UNDECIDED, BEA, 10),
    ];
    for (id, user, points) in answers {
        log.observe(&recorded(1, &submitted(id, user, points)))
            .unwrap();
    }
    for answer_id in [COMPLETED, WRONG] {
        let completed = AnswerSubmissionCompleted {
            answer_id,
            user_id: ANN,
        };
        log.observe(&recorded(2, &completed)).unwrap();
    }
    let (reason, quiz_mode) = (String::new(), QuizMode::Classic);
    let revoked = AnswerRevoked {
        answer_id: COMPENSATED,
        user_id: ANN,
        quiz_mode,
        reason: reason.clone(),
    };
    log.observe(&recorded(3, &revoked)).unwrap();
    let failed = AnswerSubmissionFailed {
        answer_id: COMPENSATED,
        user_id: ANN,
        reason,
    };
    log.observe(&recorded(4, &failed)).unwrap();
    log
}

/// The services, agreeing with [`log`].
fn services() -> CandidateView {
    use AnswerStatus::{Compensated, Completed, Pending};
    use EffectState::{Final, Provisional, Revoked};
    let mut view = CandidateView::default();
    let quiz_mode = QuizMode::Classic;
    let rows = [
        (COMPLETED, ANN, 10, Completed, Final),
        (WRONG, ANN, 0, Completed, Final),
        (COMPENSATED, ANN, 10, Compensated, Revoked),
        (UNDECIDED, BEA, 10, Pending, Provisional),
    ];
    for (answer_id, user_id, points, status, state) in rows {
        let is_correct = points > 0;
        view.quiz.answers.push(RecordedAnswer {
            answer_id,
            user_id,
            quiz_mode,
            is_correct,
            points,
            status,
        });
        let badges = if answer_id == COMPLETED {
            vec!["first".into()]
        } else {
            Vec::new()
        };
        view.achievement.answers.push(CheckedAnswer {
            answer_id,
            user_id,
            state,
            badges,
        });
        view.leaderboard.answers.push(ScoredAnswer {
            answer_id,
            user_id,
            quiz_mode,
            points,
            state,
        });
    }
    for (user_id, answered, badges) in [(ANN, 2, vec!["first".to_owned()]), (BEA, 1, Vec::new())] {
        view.quiz.stats.push(CountedStats {
            user_id,
            quiz_mode,
            base_answered: 7,
            base_correct: 7,
            base_score: 70,
            answered,
            correct: 1,
            score: 10,
        });
        view.achievement.players.push(CheckedPlayer {
            user_id,
            base_answered: 7,
            answered,
            badges,
        });
        view.leaderboard.entries.push(ScoredEntry {
            user_id,
            quiz_mode,
            base_score: 70,
            score: 10,
        });
    }
    view
}

/// The one disagreement after something was planted.
#[track_caller]
fn planted(plant: impl FnOnce(&mut LogView, &mut CandidateView)) -> (Place, Kind, Option<Uuid>) {
    let found = found(plant);
    assert_eq!(found.len(), 1, "{found:#?}");
    (
        found[0].place,
        found[0].kind,
        found[0].answer_id.or(found[0].user_id),
    )
}

fn found(plant: impl FnOnce(&mut LogView, &mut CandidateView)) -> Vec<Disagreement> {
    let (mut log, mut services) = (log(), services());
    plant(&mut log, &mut services);
    compare(&log, &services).disagreements
}

#[test]
fn what_agrees_is_counted_and_the_undecided_stand_apart() {
    let result = compare(&log(), &services());
    assert_eq!(result.disagreements, []);
    assert_eq!(result.undecided, [UNDECIDED]);
    let counts = result.counts;
    assert_eq!(
        (counts.answers, counts.completed, counts.compensated),
        (4, 2, 1)
    );
}

#[test]
fn a_log_that_contradicts_itself_is_found() {
    let completed = AnswerSubmissionCompleted {
        answer_id: COMPENSATED,
        user_id: ANN,
    };
    assert_eq!(
        planted(|log, _| log.observe(&recorded(9, &completed)).unwrap()),
        (Place::Log, Kind::Contradiction, Some(COMPENSATED))
    );
    assert_eq!(
        planted(|log, _| log
            .observe(&recorded(9, &submitted(UNDECIDED, BEA, 10)))
            .unwrap()),
        (Place::Log, Kind::Contradiction, Some(UNDECIDED))
    );
}

#[test]
fn a_revocation_that_was_repeated_until_it_was_confirmed_agrees() {
    let revoked = AnswerRevoked {
        answer_id: COMPENSATED,
        user_id: ANN,
        quiz_mode: QuizMode::Classic,
        reason: String::new(),
    };
    assert_eq!(
        found(|log, _| log.observe(&recorded(9, &revoked)).unwrap()),
        []
    );
}

#[test]
fn an_abandoned_saga_stands_apart() {
    let (mut log, services) = (log(), services());
    log.observe(&recorded(9, &abandoned(UNDECIDED))).unwrap();
    let result = compare(&log, &services);
    assert_eq!(
        (result.disagreements, result.abandoned),
        (Vec::new(), vec![UNDECIDED])
    );
    assert!(result.undecided.is_empty());
}

#[test]
fn a_participant_that_still_takes_back_is_undecided() {
    let (mut log, mut services) = (LogView::default(), CandidateView::default());
    log.observe(&recorded(1, &submitted(COMPENSATED, ANN, 0)))
        .unwrap();
    let (reason, quiz_mode) = (String::new(), QuizMode::Classic);
    let revoked = AnswerRevoked {
        answer_id: COMPENSATED,
        user_id: ANN,
        quiz_mode,
        reason,
    };
    log.observe(&recorded(2, &revoked)).unwrap();
    let mut all = self::services();
    services.quiz.answers.push(all.quiz.answers.remove(2));
    services.leaderboard.answers.push(ScoredAnswer {
        points: 0,
        state: EffectState::Provisional,
        ..all.leaderboard.answers.remove(2)
    });
    services.quiz.answers[0].points = 0;
    services.quiz.answers[0].is_correct = false;
    let result = compare(&log, &services);
    assert_eq!(
        (result.disagreements, result.undecided),
        (Vec::new(), vec![COMPENSATED])
    );
}

#[test]
fn what_moved_on_after_the_position_is_left_out_with_its_players_sums() {
    let found = found(|log, services| {
        services.quiz.answers[3].status = AnswerStatus::Completed;
        services.leaderboard.entries[1].score = 0;
        let completed = AnswerSubmissionCompleted {
            answer_id: UNDECIDED,
            user_id: BEA,
        };
        log.observe_later(&recorded(10, &completed)).unwrap();
        let row = services.quiz.answers[0].clone();
        services.quiz.answers.push(RecordedAnswer {
            answer_id: STRANGER,
            ..row
        });
        log.observe_later(&recorded(11, &submitted(STRANGER, ANN, 10)))
            .unwrap();
    });
    assert_eq!(found, []);
}

#[test]
fn an_empty_system_agrees() {
    let result = compare(&LogView::default(), &CandidateView::default());
    assert_eq!(
        (result.disagreements, result.counts),
        (Vec::new(), Counts::default())
    );
}
