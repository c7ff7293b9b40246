//! Each service's sums against its own answers.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    QuizMode,
    audit::{CountedStats, EffectState, RecordedAnswer, ScoredEntry},
    http::AnswerStatus,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::verbs::audit::{
    finding::{Disagreement, Kind, Place},
    view::{AchievementView, CandidateView, Facts, Fate, LegacyView, LogView},
};

/// A player's line in one mode.
type Line = (Uuid, QuizMode);

/// Answers given, right ones, points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    answered: i64,
    correct: i64,
    score: i64,
}

/// The services' sums, of players who can be judged.
pub(super) fn candidate_sums(
    log: &LogView,
    services: &CandidateView,
    found: &mut Vec<Disagreement>,
) {
    let first = found.len();
    let counting = |row: &&RecordedAnswer| !log.is_set_back(row.answer_id);
    let answers = services.quiz.answers.iter().filter(counting);
    stats(Place::Quiz, answers, &services.quiz.stats, found);

    let view = &services.leaderboard;
    let mut scores = BTreeMap::<Line, i64>::new();
    for row in &view.answers {
        if row.state != EffectState::Revoked && !log.is_set_back(row.answer_id) {
            let user_id = player(log, row.answer_id, row.user_id);
            *scores.entry((user_id, row.quiz_mode)).or_default() += row.points;
        }
    }
    let there = view.answers.iter().map(|row| row.answer_id).collect();
    for facts in pruned(log, &there, view.kept_since) {
        *scores.entry((facts.user_id, facts.quiz_mode)).or_default() += facts.points;
    }
    entries(
        Place::Leaderboard,
        &scores,
        &services.leaderboard.entries,
        found,
    );

    let view = &services.achievement;
    let mut answered = BTreeMap::<Uuid, i64>::new();
    for row in &view.answers {
        if row.state != EffectState::Revoked && !log.is_set_back(row.answer_id) {
            let user_id = player(log, row.answer_id, row.user_id);
            *answered.entry(user_id).or_default() += 1;
        }
    }
    let there = view.answers.iter().map(|row| row.answer_id).collect();
    for facts in pruned(log, &there, view.kept_since) {
        *answered.entry(facts.user_id).or_default() += 1;
    }
    let players = services
        .achievement
        .players
        .iter()
        .map(|row| (row.user_id, row.answered));
    counts(Place::Achievement, &answered, players, found);

    let mut sums = found.split_off(first);
    sums.retain(|one| one.user_id.is_none_or(|user_id| !log.passes_over(user_id)));
    found.append(&mut sums);
}

/// Whose answer it is: a service that does not name its player any more leaves that to the log.
fn player(log: &LogView, answer_id: Uuid, told: Uuid) -> Uuid {
    let known = log.facts(answer_id).filter(|_| told.is_nil());
    known.map_or(told, |facts| facts.user_id)
}

/// Completed answers that count, and that a participant no longer has a row of.
fn pruned<'a>(
    log: &'a LogView,
    there: &BTreeSet<Uuid>,
    kept_since: Option<OffsetDateTime>,
) -> impl Iterator<Item = &'a Facts> {
    let answers = log.answers.iter();
    let pruned = answers.filter(move |(id, account)| {
        account.fate() == Fate::Completed
            && account.may_be_pruned(kept_since)
            && !there.contains(id)
            && !log.is_set_back(**id)
    });
    pruned.filter_map(|(_, account)| account.facts.as_ref())
}

/// The monolith's sums, of players whose counts were never set back or deleted.
pub(crate) fn legacy_sums(log: &LogView, legacy: &LegacyView, found: &mut Vec<Disagreement>) {
    let first = found.len();
    stats(Place::Legacy, legacy.answers.iter(), &legacy.stats, found);
    let mut scores = BTreeMap::<Line, i64>::new();
    let mut answered = BTreeMap::<Uuid, i64>::new();
    for row in &legacy.answers {
        *scores.entry((row.user_id, row.quiz_mode)).or_default() += row.points;
        *answered.entry(row.user_id).or_default() += 1;
    }
    entries(Place::Legacy, &scores, &legacy.entries, found);
    let players = legacy.players.iter().map(|row| (row.user_id, row.answered));
    counts(Place::Legacy, &answered, players, found);
    // The monolith's answers have no place in the log, so that before or after is not known.
    let is_judged = |id: Uuid| !log.resets.contains_key(&id) && !log.passes_over(id);
    let mut sums = found.split_off(first);
    sums.retain(|one| one.user_id.is_none_or(is_judged));
    found.append(&mut sums);
}

fn stats<'a>(
    place: Place,
    answers: impl Iterator<Item = &'a RecordedAnswer>,
    stats: &[CountedStats],
    found: &mut Vec<Disagreement>,
) {
    let mut expected = BTreeMap::<Line, Tally>::new();
    for row in answers.filter(|row| row.status != AnswerStatus::Compensated) {
        let tally = expected.entry((row.user_id, row.quiz_mode)).or_default();
        tally.answered += 1;
        tally.correct += i64::from(row.is_correct);
        tally.score += row.points;
    }
    let lines = stats.iter().map(|row| {
        let tally = Tally {
            answered: row.answered,
            correct: row.correct,
            score: row.score,
        };
        ((row.user_id, row.quiz_mode), tally)
    });
    sums(&expected, lines, |(user_id, mode), expected, actual| {
        let text = |tally: Tally| {
            format!(
                "{} answered, {} right, {} points",
                tally.answered, tally.correct, tally.score
            )
        };
        let one = Disagreement::player(place, Kind::Sum, user_id).mode(mode);
        found.push(one.say(text(expected), text(actual)));
    });
}

fn entries(
    place: Place,
    expected: &BTreeMap<Line, i64>,
    entries: &[ScoredEntry],
    found: &mut Vec<Disagreement>,
) {
    let lines = entries
        .iter()
        .map(|row| ((row.user_id, row.quiz_mode), row.score));
    sums(expected, lines, |(user_id, mode), expected, actual| {
        let one = Disagreement::player(place, Kind::Sum, user_id).mode(mode);
        let text = |score: i64| format!("{score} points on the board");
        found.push(one.say(text(expected), text(actual)));
    });
}

fn counts(
    place: Place,
    expected: &BTreeMap<Uuid, i64>,
    players: impl Iterator<Item = (Uuid, i64)>,
    found: &mut Vec<Disagreement>,
) {
    sums(expected, players, |user_id, expected, actual| {
        let text = |count: i64| format!("{count} answers seen by the badge rules");
        found.push(
            Disagreement::player(place, Kind::Sum, user_id).say(text(expected), text(actual)),
        );
    });
}

/// Calls `differs` for every line whose sums are not the same; a line that is not there is nothing,
/// one that is there twice differs.
fn sums<K: Ord + Copy, V: Copy + Default + PartialEq>(
    expected: &BTreeMap<K, V>,
    actual: impl Iterator<Item = (K, V)>,
    mut differs: impl FnMut(K, V, V),
) {
    let mut left = expected.clone();
    for (line, value) in actual {
        let expected = left.remove(&line).unwrap_or_default();
        if expected != value {
            differs(line, expected, value);
        }
    }
    for (line, value) in left {
        if value != V::default() {
            differs(line, value, V::default());
        }
    }
}

/// A badge that an answer earned is held by its player, and was earned by that answer alone.
pub(super) fn badges(log: &LogView, view: &AchievementView, found: &mut Vec<Disagreement>) {
    let held: BTreeMap<Uuid, BTreeSet<&str>> = view
        .players
        .iter()
        .map(|row| (row.user_id, row.badges.iter().map(String::as_str).collect()))
        .collect();
    let mut given = BTreeSet::new();
    let counting = view
        .answers
        .iter()
        .filter(|row| row.state != EffectState::Revoked);
    let counting = counting.map(|row| (player(log, row.answer_id, row.user_id), row));
    for (user_id, row) in counting.filter(|(user_id, _)| !log.passes_over(*user_id)) {
        for badge in &row.badges {
            let one = Disagreement::answer(Place::Achievement, Kind::Badge, row.answer_id);
            if !held
                .get(&user_id)
                .is_some_and(|held| held.contains(badge.as_str()))
            {
                found.push(one.say(format!("the player holds {badge}"), "it is not held"));
            } else if !given.insert((user_id, badge)) {
                let expected = format!("{badge} is earned once");
                found.push(one.say(expected, "an earlier answer earned it too"));
            }
        }
    }
}
