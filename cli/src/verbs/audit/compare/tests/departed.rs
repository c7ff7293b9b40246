//! Players who were deleted, and players whose counts were set back.

use super::*;

fn deleted(log: &mut LogView, position: i64, user_id: Uuid) {
    log.observe(&recorded(position, &UserDeleted { user_id }))
        .unwrap();
}

fn reset(log: &mut LogView, position: i64, user_id: Uuid) {
    let reason = "asked for".into();
    let reset = UserStatsReset { user_id, reason };
    log.observe(&recorded(position, &reset)).unwrap();
}

/// As the services forget a player: the ledgers keep that an answer was there, and nobody's name.
fn forget(services: &mut CandidateView, user_id: Uuid) {
    services.quiz.answers.retain(|row| row.user_id != user_id);
    services.quiz.stats.retain(|row| row.user_id != user_id);
    let players = &mut services.achievement.players;
    players.retain(|row| row.user_id != user_id);
    let entries = &mut services.leaderboard.entries;
    entries.retain(|row| row.user_id != user_id);
    for row in &mut services.achievement.answers {
        if row.user_id == user_id {
            (row.user_id, row.badges) = (Uuid::nil(), Vec::new());
        }
    }
    for row in &mut services.leaderboard.answers {
        if row.user_id == user_id {
            row.user_id = Uuid::nil();
        }
    }
}

#[test]
fn a_deleted_player_of_whom_nothing_is_left_agrees() {
    let (mut log, mut services) = (log(), services());
    deleted(&mut log, 9, ANN);
    forget(&mut services, ANN);
    let result = compare(&log, &services);
    assert_eq!(result.disagreements, []);
    assert_eq!((result.counts.left_out, result.counts.undecided), (3, 1));
}

#[test]
fn a_saga_that_is_open_is_told_also_when_its_player_is_gone() {
    let (mut log, mut services) = (log(), services());
    deleted(&mut log, 9, BEA);
    forget(&mut services, BEA);
    let result = compare(&log, &services);
    assert_eq!(
        (result.disagreements, result.undecided),
        (Vec::new(), vec![UNDECIDED])
    );
}

#[test]
fn whatever_is_left_of_a_deleted_player_is_found_wherever_it_is() {
    let kept = |place, id| (place, Kind::Kept, Some(id));
    let forgotten = |plant: fn(&mut CandidateView, &CandidateView)| {
        planted(|log, services| {
            let before = services.clone();
            deleted(log, 9, ANN);
            forget(services, ANN);
            plant(services, &before);
        })
    };
    assert_eq!(
        forgotten(|now, before| now.quiz.answers.push(before.quiz.answers[0].clone())),
        kept(Place::Quiz, COMPLETED)
    );
    assert_eq!(
        forgotten(|now, before| now.quiz.stats.push(before.quiz.stats[0].clone())),
        kept(Place::Quiz, ANN)
    );
    assert_eq!(
        forgotten(|now, _| now.achievement.answers[0].user_id = ANN),
        kept(Place::Achievement, COMPLETED)
    );
    assert_eq!(
        forgotten(|now, before| {
            let player = before.achievement.players[0].clone();
            now.achievement.players.push(player);
        }),
        kept(Place::Achievement, ANN)
    );
    assert_eq!(
        forgotten(|now, _| now.leaderboard.answers[2].user_id = ANN),
        kept(Place::Leaderboard, COMPENSATED)
    );
    assert_eq!(
        forgotten(|now, before| {
            let line = before.leaderboard.entries[0].clone();
            now.leaderboard.entries.push(line);
        }),
        kept(Place::Leaderboard, ANN)
    );
}

#[test]
fn of_a_player_who_was_deleted_after_the_position_both_is_right() {
    let later = recorded(9, &UserDeleted { user_id: ANN });
    assert_eq!(found(|log, _| log.observe_later(&later).unwrap()), []);
    let gone = found(|log, services| {
        log.observe_later(&later).unwrap();
        forget(services, ANN);
    });
    assert_eq!(gone, []);
}

#[test]
fn a_service_that_no_longer_names_the_player_of_a_decided_answer_agrees() {
    let agree = found(|_, services| {
        for row in &mut services.achievement.answers {
            row.user_id = Uuid::nil();
        }
        for row in &mut services.leaderboard.answers {
            row.user_id = Uuid::nil();
        }
    });
    assert_eq!(agree, []);
}

/// Ann's counts after they were set back to nothing.
fn set_back(services: &mut CandidateView) {
    let stats = &mut services.quiz.stats[0];
    (stats.answered, stats.correct, stats.score) = (0, 0, 0);
    services.achievement.players[0].answered = 0;
    services.leaderboard.entries[0].score = 0;
}

#[test]
fn answers_before_a_reset_count_in_no_sum_and_stay_as_history() {
    let agree = found(|log, services| {
        reset(log, 9, ANN);
        set_back(services);
    });
    assert_eq!(agree, []);
}

#[test]
fn an_answer_after_a_reset_counts() {
    let again = |log: &mut LogView, services: &mut CandidateView| {
        reset(log, 9, ANN);
        set_back(services);
        log.observe(&recorded(10, &submitted(STRANGER, ANN, 10)))
            .unwrap();
        let (answer_id, status) = (STRANGER, AnswerStatus::Pending);
        let row = services.quiz.answers[0].clone();
        services.quiz.answers.push(RecordedAnswer {
            answer_id,
            status,
            ..row
        });
        let row = services.achievement.answers[1].clone();
        services
            .achievement
            .answers
            .push(CheckedAnswer { answer_id, ..row });
        let row = services.leaderboard.answers[0].clone();
        services
            .leaderboard
            .answers
            .push(ScoredAnswer { answer_id, ..row });
        let stats = &mut services.quiz.stats[0];
        (stats.answered, stats.correct, stats.score) = (1, 1, 10);
        services.achievement.players[0].answered = 1;
        services.leaderboard.entries[0].score = 10;
    };
    assert_eq!(found(again), []);
    let lost = planted(|log, services| {
        again(log, services);
        services.quiz.stats[0].score = 0;
    });
    assert_eq!(lost, (Place::Quiz, Kind::Sum, Some(ANN)));
}

#[test]
fn sums_that_were_not_set_back_are_found_each() {
    let wrong = found(|log, _| reset(log, 9, ANN));
    let places: Vec<_> = wrong.iter().map(|one| (one.place, one.kind)).collect();
    let sum = |place| (place, Kind::Sum);
    assert_eq!(
        places,
        [
            sum(Place::Quiz),
            sum(Place::Leaderboard),
            sum(Place::Achievement)
        ]
    );
}

#[test]
fn a_badge_outlives_a_reset() {
    let lost = planted(|log, services| {
        reset(log, 9, ANN);
        set_back(services);
        services.achievement.players[0].badges.clear();
    });
    assert_eq!(lost, (Place::Achievement, Kind::Badge, Some(COMPLETED)));
}

#[test]
fn a_reset_after_the_position_leaves_the_players_sums_out() {
    let reason = "asked for".into();
    let later = recorded(
        9,
        &UserStatsReset {
            user_id: ANN,
            reason,
        },
    );
    let agree = found(|log, services| {
        log.observe_later(&later).unwrap();
        set_back(services);
    });
    assert_eq!(agree, []);
}
