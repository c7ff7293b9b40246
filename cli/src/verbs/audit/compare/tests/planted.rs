//! One thing is planted in one service, and found.

use super::*;

#[test]
fn an_answer_that_quiz_lost_is_found() {
    let found = found(|_, services| {
        services.quiz.answers.remove(0);
    });
    assert_eq!(
        found[0].subject(),
        (Place::Quiz, Kind::Missing, Some(COMPLETED), None, None)
    );
    // Its stats still count it.
    assert_eq!(
        (found[1].kind, found[1].user_id, found.len()),
        (Kind::Sum, Some(ANN), 2)
    );
}

#[test]
fn an_answer_that_quiz_has_twice_is_found() {
    let found = found(|_, services| {
        let row = services.quiz.answers[0].clone();
        services.quiz.answers.push(row);
    });
    assert_eq!(
        found[0].subject(),
        (Place::Quiz, Kind::Duplicate, Some(COMPLETED), None, None)
    );
}

#[test]
fn a_wrong_status_is_found() {
    let found = found(|_, services| services.quiz.answers[2].status = AnswerStatus::Completed);
    assert_eq!(
        found[0].subject(),
        (Place::Quiz, Kind::State, Some(COMPENSATED), None, None)
    );
    assert_eq!(
        (&*found[0].expected, &*found[0].found),
        ("compensated", "completed")
    );
}

#[test]
fn other_facts_are_found() {
    let expected = (Place::Quiz, Kind::Facts, Some(WRONG));
    let plant = |_: &mut LogView, services: &mut CandidateView| {
        services.quiz.answers[1].is_correct = true;
        services.quiz.stats[0].correct = 2;
    };
    assert_eq!(planted(plant), expected);
}

#[test]
fn an_answer_that_the_log_does_not_know_is_found_everywhere() {
    let (status, state) = (AnswerStatus::Compensated, EffectState::Revoked);
    assert_eq!(
        planted(|_, services| {
            let row = services.quiz.answers[0].clone();
            services.quiz.answers.push(RecordedAnswer {
                answer_id: STRANGER,
                status,
                ..row
            });
        }),
        (Place::Quiz, Kind::WithoutEvent, Some(STRANGER))
    );
    assert_eq!(
        planted(|_, services| {
            let row = services.achievement.answers[1].clone();
            services.achievement.answers.push(CheckedAnswer {
                answer_id: STRANGER,
                state,
                ..row
            });
        }),
        (Place::Achievement, Kind::WithoutEvent, Some(STRANGER))
    );
    assert_eq!(
        planted(|_, services| {
            let row = services.leaderboard.answers[0].clone();
            services.leaderboard.answers.push(ScoredAnswer {
                answer_id: STRANGER,
                state,
                ..row
            });
        }),
        (Place::Leaderboard, Kind::WithoutEvent, Some(STRANGER))
    );
}

#[test]
fn a_completed_answer_that_a_participant_lost_is_found() {
    assert_eq!(
        planted(|_, services| {
            services.achievement.answers.remove(1);
            services.achievement.players[0].answered = 1;
        }),
        (Place::Achievement, Kind::Missing, Some(WRONG))
    );
    assert_eq!(
        planted(|_, services| {
            services.leaderboard.answers.remove(1);
        }),
        (Place::Leaderboard, Kind::Missing, Some(WRONG))
    );
}

#[test]
fn a_completed_answer_that_is_not_final_is_found() {
    assert_eq!(
        planted(|_, services| services.achievement.answers[0].state = EffectState::Provisional),
        (Place::Achievement, Kind::State, Some(COMPLETED))
    );
    assert_eq!(
        planted(|_, services| services.leaderboard.answers[0].state = EffectState::Provisional),
        (Place::Leaderboard, Kind::State, Some(COMPLETED))
    );
}

#[test]
fn an_answer_that_counts_twice_is_found() {
    assert_eq!(
        planted(|_, services| {
            let row = services.leaderboard.answers[1].clone();
            services.leaderboard.answers.push(row);
        }),
        (Place::Leaderboard, Kind::Duplicate, Some(WRONG))
    );
}

#[test]
fn a_compensated_answer_that_still_counts_is_found() {
    assert_eq!(
        planted(|_, services| {
            services.leaderboard.answers[2].state = EffectState::Final;
            services.leaderboard.entries[0].score = 20;
        }),
        (Place::Leaderboard, Kind::State, Some(COMPENSATED))
    );
}

#[test]
fn a_compensated_answer_that_a_participant_never_saw_agrees() {
    let found = found(|_, services| {
        services.leaderboard.answers.remove(2);
        services.achievement.answers.remove(2);
    });
    assert_eq!(found, []);
}

#[test]
fn other_points_on_the_board_are_found() {
    assert_eq!(
        planted(|_, services| {
            services.leaderboard.answers[0].points = 11;
            services.leaderboard.entries[0].score = 11;
        }),
        (Place::Leaderboard, Kind::Facts, Some(COMPLETED))
    );
}

#[test]
fn sums_that_are_not_those_of_the_answers_are_found() {
    let sum = |place| (place, Kind::Sum, Some(ANN));
    assert_eq!(
        planted(|_, view| view.quiz.stats[0].answered = 3),
        sum(Place::Quiz)
    );
    assert_eq!(
        planted(|_, view| view.quiz.stats[0].correct = 0),
        sum(Place::Quiz)
    );
    assert_eq!(
        planted(|_, view| view.quiz.stats[0].score = 0),
        sum(Place::Quiz)
    );
    assert_eq!(
        planted(|_, view| view.achievement.players[0].answered = 3),
        { sum(Place::Achievement) }
    );
    assert_eq!(
        planted(|_, view| view.leaderboard.entries[0].score = 20),
        sum(Place::Leaderboard)
    );
    let lost = |_: &mut LogView, view: &mut CandidateView| {
        view.leaderboard.entries.remove(0);
    };
    assert_eq!(planted(lost), sum(Place::Leaderboard));
}

#[test]
fn a_badge_that_is_not_held_or_was_given_twice_is_found() {
    let badge = |id| (Place::Achievement, Kind::Badge, Some(id));
    assert_eq!(
        planted(|_, view| view.achievement.players[0].badges.clear()),
        badge(COMPLETED)
    );
    let twice = |_: &mut LogView, view: &mut CandidateView| {
        view.achievement.answers[1].badges.push("first".into());
    };
    assert_eq!(planted(twice), badge(WRONG));
}
