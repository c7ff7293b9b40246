//! Holds what a demo's clients were told against both sides: a function over plain data.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    audit::{EffectState, RecordedAnswer},
    http::AnswerStatus,
};
use serde::Serialize;
use uuid::Uuid;

use super::{
    compare::{effect, legacy_sums, status, times},
    finding::{Disagreement, Kind, Place},
    view::{CandidateView, Fate, LegacyView, LogView},
};
use crate::demo::ledger::{Outcome, Side, Told};

/// What clients were told, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToldCounts {
    /// Accepted (200) on legacy.
    pub(crate) accepted_legacy: usize,
    /// Accepted (200) on the candidate.
    pub(crate) accepted_candidate: usize,
    /// Taken back (503 `answer_compensated`).
    pub(crate) compensated: usize,
    /// Refused for good; nothing may be kept.
    pub(crate) refused: usize,
    /// Never told an outcome.
    pub(crate) unknown: usize,
    /// Of these: recorded somewhere, once.
    pub(crate) unknown_recorded: usize,
}

/// Answers by id, on both sides.
struct Rows<'a> {
    legacy: BTreeMap<Uuid, Vec<&'a RecordedAnswer>>,
    quiz: BTreeMap<Uuid, Vec<&'a RecordedAnswer>>,
    achievement: BTreeMap<Uuid, Vec<EffectState>>,
    leaderboard: BTreeMap<Uuid, Vec<EffectState>>,
}

/// Compares what clients were told with both sides.
pub(crate) fn compare(
    told: &[Told],
    log: &LogView,
    candidate: &CandidateView,
    legacy: &LegacyView,
) -> (ToldCounts, Vec<Disagreement>) {
    let rows = Rows::new(candidate, legacy);
    let (mut counts, mut found) = (ToldCounts::default(), Vec::new());
    let mut accepted = BTreeSet::new();
    let mut open = BTreeMap::<Uuid, usize>::new();
    for one in told {
        match (one.outcome, one.answer_id) {
            (Outcome::Accepted, Some(id)) => {
                let is_gone = log.is_gone(one.user_id);
                if !accepted.insert(id) {
                    let twice = Disagreement::answer(Place::Clients, Kind::Duplicate, id);
                    found.push(twice.say("one answer for each key", "two keys got the same one"));
                }
                match one.side {
                    Side::Legacy => counts.accepted_legacy += 1,
                    Side::Candidate => counts.accepted_candidate += 1,
                }
                // What is still there of a deleted player, the comparison with the log says.
                if !is_gone {
                    rows.accepted(id, one, &mut found);
                }
            }
            (Outcome::Compensated, id) => {
                counts.compensated += 1;
                if let Some(id) = id {
                    rows.compensated(id, log, &mut found);
                }
            }
            (Outcome::Refused, _) => counts.refused += 1,
            (Outcome::Unknown | Outcome::Accepted, _) => {
                counts.unknown += 1;
                *open.entry(one.user_id).or_default() += 1;
            }
        }
    }
    let players: BTreeSet<_> = told.iter().map(|one| one.user_id).collect();
    let legacy_rows = legacy.answers.iter().map(|row| (Place::Legacy, row));
    let quiz_rows = candidate.quiz.answers.iter().map(|row| (Place::Quiz, row));
    for (place, row) in legacy_rows.chain(quiz_rows) {
        let counts_there = row.status != AnswerStatus::Compensated && !log.is_gone(row.user_id);
        if !counts_there || !players.contains(&row.user_id) || accepted.contains(&row.answer_id) {
            continue;
        }
        match open.get_mut(&row.user_id).filter(|left| **left > 0) {
            Some(left) => {
                *left -= 1;
                counts.unknown_recorded += 1;
            }
            None => {
                let one = Disagreement::answer(place, Kind::Untold, row.answer_id);
                found.push(one.say("nothing that no client was told of", status(row.status)));
            }
        }
    }
    legacy_sums(log, legacy, &mut found);
    (counts, found)
}

impl<'a> Rows<'a> {
    fn new(candidate: &'a CandidateView, legacy: &'a LegacyView) -> Self {
        let achievement = candidate
            .achievement
            .answers
            .iter()
            .map(|row| (row.answer_id, row.state));
        let leaderboard = candidate
            .leaderboard
            .answers
            .iter()
            .map(|row| (row.answer_id, row.state));
        Self {
            legacy: grouped(legacy.answers.iter().map(|row| (row.answer_id, row))),
            quiz: grouped(
                candidate
                    .quiz
                    .answers
                    .iter()
                    .map(|row| (row.answer_id, row)),
            ),
            achievement: grouped(achievement),
            leaderboard: grouped(leaderboard),
        }
    }

    /// Recorded once and counted once, on the side where it was written, and nowhere else.
    fn accepted(&self, id: Uuid, told: &Told, found: &mut Vec<Disagreement>) {
        let (here, there) = match told.side {
            Side::Legacy => ((Place::Legacy, &self.legacy), (Place::Quiz, &self.quiz)),
            Side::Candidate => ((Place::Quiz, &self.quiz), (Place::Legacy, &self.legacy)),
        };
        let (place, rows) = (here.0, of(here.1, id));
        found.extend(times(place, id, rows.len(), 1));
        if !of(there.1, id).is_empty() {
            let one = Disagreement::answer(there.0, Kind::Told, id);
            found.push(one.say(format!("nothing: {place} accepted it"), "it is here too"));
        }
        if let Some(row) = rows.first() {
            let actual = (
                row.status,
                row.user_id,
                row.is_correct,
                row.points,
                row.quiz_mode,
            );
            let client = (
                AnswerStatus::Completed,
                told.user_id,
                told.is_correct.unwrap_or(row.is_correct),
                told.points.unwrap_or(row.points),
                told.quiz_mode,
            );
            if actual != client {
                let text = |(state, user_id, right, points, mode)| {
                    let right = if right { "right" } else { "wrong" };
                    format!(
                        "{}, player {user_id}, {right}, {points} points, {mode}",
                        status(state)
                    )
                };
                let one = Disagreement::answer(place, Kind::Told, id);
                found.push(one.say(text(client), text(actual)));
            }
        }
        if told.side == Side::Candidate {
            for (place, effects) in self.participants() {
                let states = of(effects, id);
                found.extend(times(place, id, states.len(), 1));
                if let Some(state) = states.iter().find(|state| **state != EffectState::Final) {
                    let one = Disagreement::answer(place, Kind::Told, id);
                    found.push(one.say("final, since the client was told 200", effect(*state)));
                }
            }
        }
    }

    /// Counting nowhere.
    fn compensated(&self, id: Uuid, log: &LogView, found: &mut Vec<Disagreement>) {
        let expected = "nothing that counts, since the client was told 503";
        for (place, rows) in [(Place::Quiz, &self.quiz), (Place::Legacy, &self.legacy)] {
            let counting = of(rows, id)
                .iter()
                .find(|row| row.status != AnswerStatus::Compensated);
            if let Some(row) = counting {
                let one = Disagreement::answer(place, Kind::Told, id);
                found.push(one.say(expected, status(row.status)));
            }
        }
        // Participants are still taking it back: undecided, which the comparison with the log says.
        let fate = log.answers.get(&id).map(super::view::Account::fate);
        if fate == Some(Fate::Compensating) {
            return;
        }
        for (place, effects) in self.participants() {
            let counting = of(effects, id)
                .iter()
                .find(|state| **state != EffectState::Revoked);
            if let Some(state) = counting {
                let one = Disagreement::answer(place, Kind::Told, id);
                found.push(one.say(expected, effect(*state)));
            }
        }
    }

    fn participants(&self) -> [(Place, &BTreeMap<Uuid, Vec<EffectState>>); 2] {
        [
            (Place::Achievement, &self.achievement),
            (Place::Leaderboard, &self.leaderboard),
        ]
    }
}

fn grouped<T>(rows: impl Iterator<Item = (Uuid, T)>) -> BTreeMap<Uuid, Vec<T>> {
    let mut grouped = BTreeMap::<Uuid, Vec<T>>::new();
    for (id, row) in rows {
        grouped.entry(id).or_default().push(row);
    }
    grouped
}

fn of<T>(rows: &BTreeMap<Uuid, Vec<T>>, id: Uuid) -> &[T] {
    rows.get(&id).map(Vec::as_slice).unwrap_or_default()
}
