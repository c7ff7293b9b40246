//! What participants no longer remember of answers that ended long ago.

use super::*;

/// The answers of [`log`] ended at the epoch; participants have forgotten what ended before.
fn since(days: i64) -> Option<OffsetDateTime> {
    Some(OffsetDateTime::UNIX_EPOCH + time::Duration::days(days))
}

fn prune(services: &mut CandidateView, kept_since: Option<OffsetDateTime>) {
    let achievement = &mut services.achievement;
    achievement.kept_since = kept_since;
    achievement
        .answers
        .retain(|row| row.state == EffectState::Provisional);
    let leaderboard = &mut services.leaderboard;
    leaderboard.kept_since = kept_since;
    leaderboard
        .answers
        .retain(|row| row.state == EffectState::Provisional);
}

#[test]
fn what_participants_have_removed_is_still_in_their_sums() {
    assert_eq!(found(|_, services| prune(services, since(1))), []);
    let lost = planted(|_, services| {
        prune(services, since(1));
        services.leaderboard.entries[0].score = 0;
    });
    assert_eq!(lost, (Place::Leaderboard, Kind::Sum, Some(ANN)));
    let lost = planted(|_, services| {
        prune(services, since(1));
        services.achievement.players[0].answered = 1;
    });
    assert_eq!(lost, (Place::Achievement, Kind::Sum, Some(ANN)));
}

#[test]
fn what_ended_later_than_what_was_removed_must_be_there() {
    let missing = found(|_, services| prune(services, since(-1)));
    let kinds: Vec<_> = missing
        .iter()
        .map(|one| (one.place, one.kind, one.answer_id))
        .collect();
    assert!(
        kinds.contains(&(Place::Achievement, Kind::Missing, Some(COMPLETED))),
        "{kinds:?}"
    );
    assert!(
        kinds.contains(&(Place::Leaderboard, Kind::Missing, Some(WRONG))),
        "{kinds:?}"
    );
}
