//! Holds the services against the log: a function over plain data.
//!
//! Answers are compared with the log one by one, and each service's sums with its own answers, so
//! that together nothing counts that the log does not know, and all counts that it knows.

mod kept;
mod sums;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use contracts::{audit::EffectState, http::AnswerStatus};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use self::sums::legacy_sums;
use super::{
    finding::{Disagreement, Kind, Place},
    view::{CandidateView, Facts, Fate, LogView},
};

/// What came of a comparison.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    /// How many answers there are of each fate.
    pub(crate) counts: Counts,
    /// Answers whose saga has not decided or is still taking back; not a disagreement.
    pub(crate) undecided: Vec<Uuid>,
    /// Answers whose saga an operator gave up; not a disagreement.
    pub(crate) abandoned: Vec<Uuid>,
    /// What does not agree.
    pub(crate) disagreements: Vec<Disagreement>,
}

/// Answers by what the log says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// All that the log knows.
    pub(crate) answers: usize,
    /// Counting everywhere.
    pub(crate) completed: usize,
    /// Counting nowhere.
    pub(crate) compensated: usize,
    /// Undecided, or being taken back.
    pub(crate) undecided: usize,
    /// Given up by an operator.
    pub(crate) abandoned: usize,
    /// Left out: they moved on after the position, or their player was deleted.
    pub(crate) left_out: usize,
}

/// One answer as a participant has it.
pub(crate) struct Effect<'a> {
    id: Uuid,
    state: EffectState,
    /// What contradicts the log's facts, if anything does.
    contradiction: Option<(&'a Facts, String)>,
}

/// Compares the log with the services.
pub(crate) fn compare(log: &LogView, services: &CandidateView) -> Comparison {
    let mut result = Comparison::default();
    count(log, &mut result);
    let found = &mut result.disagreements;
    quiz(log, services, found);
    let achievement = services.achievement.answers.iter().map(|row| {
        let facts = log
            .facts(row.answer_id)
            .filter(|facts| !is_user(facts.user_id, row.user_id));
        let contradiction = facts.map(|facts| (facts, format!("player {}", row.user_id)));
        Effect {
            id: row.answer_id,
            state: row.state,
            contradiction,
        }
    });
    let kept_since = services.achievement.kept_since;
    participant(log, Place::Achievement, kept_since, achievement, found);
    let leaderboard = services.leaderboard.answers.iter().map(|row| {
        let facts = log.facts(row.answer_id).filter(|facts| {
            let same = is_user(facts.user_id, row.user_id)
                && (facts.quiz_mode, facts.points) == (row.quiz_mode, row.points);
            // What was taken back, or never done, need not remember what it was worth.
            !same && row.state != EffectState::Revoked
        });
        let contradiction = facts.map(|facts| {
            let text = format!(
                "player {}, {}, {} points",
                row.user_id, row.quiz_mode, row.points
            );
            (facts, text)
        });
        Effect {
            id: row.answer_id,
            state: row.state,
            contradiction,
        }
    });
    let kept_since = services.leaderboard.kept_since;
    participant(log, Place::Leaderboard, kept_since, leaderboard, found);
    sums::candidate_sums(log, services, found);
    sums::badges(log, &services.achievement, found);
    kept::of_deleted_players(log, services, found);
    result
}

/// Whether this answer is compared at all.
fn is_judged(log: &LogView, id: Uuid) -> bool {
    let gone = |facts: &Facts| log.is_gone(facts.user_id);
    !log.moved_answers.contains(&id) && !log.facts(id).is_some_and(gone)
}

/// Whether a service that names `told`, or nobody any more, names `user_id`.
fn is_user(user_id: Uuid, told: Uuid) -> bool {
    told.is_nil() || told == user_id
}

fn count(log: &LogView, result: &mut Comparison) {
    let counts = &mut result.counts;
    for (id, account) in &log.answers {
        counts.answers += 1;
        let fate = account.fate();
        // A saga has to come to its end also when its player is gone.
        let is_open = matches!(fate, Fate::Undecided | Fate::Compensating);
        if !is_judged(log, *id) && (log.moved_answers.contains(id) || !is_open) {
            counts.left_out += 1;
            continue;
        }
        match fate {
            Fate::Completed => counts.completed += 1,
            Fate::Compensated => counts.compensated += 1,
            Fate::Undecided | Fate::Compensating => {
                counts.undecided += 1;
                result.undecided.push(*id);
            }
            Fate::Abandoned => {
                counts.abandoned += 1;
                result.abandoned.push(*id);
            }
            Fate::Contradictory => {
                let found = format!(
                    "{} submitted, {} revoked, {} completed, {} failed",
                    account.submitted, account.revoked, account.completed, account.failed
                );
                result.disagreements.push(
                    Disagreement::answer(Place::Log, Kind::Contradiction, *id)
                        .say("one submission and one end", found),
                );
            }
        }
    }
}

fn quiz(log: &LogView, services: &CandidateView, found: &mut Vec<Disagreement>) {
    let mut rows = BTreeMap::<Uuid, Vec<_>>::new();
    for row in &services.quiz.answers {
        rows.entry(row.answer_id).or_default().push(row);
    }
    let tell = |kind, id| Disagreement::answer(Place::Quiz, kind, id);
    for (id, account) in log.answers.iter().filter(|(id, _)| is_judged(log, **id)) {
        let rows = rows.get(id).map(Vec::as_slice).unwrap_or_default();
        found.extend(times(Place::Quiz, *id, rows.len(), 1));
        let Some(row) = rows.first() else { continue };
        let expected = match account.fate() {
            Fate::Completed => Some(AnswerStatus::Completed),
            Fate::Compensating | Fate::Compensated => Some(AnswerStatus::Compensated),
            // Quiz decides, and the log learns: it may know more than the log.
            Fate::Undecided | Fate::Abandoned | Fate::Contradictory => None,
        };
        if let Some(expected) = expected.filter(|expected| *expected != row.status) {
            found.push(tell(Kind::State, *id).say(status(expected), status(row.status)));
        }
        let told = Facts {
            user_id: row.user_id,
            quiz_mode: row.quiz_mode,
            is_correct: row.is_correct,
            points: row.points,
        };
        if let Some(facts) = account.facts.filter(|facts| *facts != told) {
            found.push(tell(Kind::Facts, *id).say(facts.to_string(), told.to_string()));
        }
    }
    for id in rows
        .keys()
        .filter(|id| !log.answers.contains_key(id) && is_judged(log, **id))
    {
        found
            .push(tell(Kind::WithoutEvent, *id).say("no answer", "one that the log does not know"));
    }
}

fn participant<'a>(
    log: &LogView,
    place: Place,
    kept_since: Option<OffsetDateTime>,
    effects: impl Iterator<Item = Effect<'a>>,
    found: &mut Vec<Disagreement>,
) {
    let mut rows = BTreeMap::<Uuid, Vec<EffectState>>::new();
    for effect in effects.filter(|effect| is_judged(log, effect.id)) {
        rows.entry(effect.id).or_default().push(effect.state);
        if let Some((facts, told)) = effect.contradiction {
            let one = Disagreement::answer(place, Kind::Facts, effect.id);
            found.push(one.say(facts.to_string(), told));
        }
    }
    for (id, account) in log.answers.iter().filter(|(id, _)| is_judged(log, **id)) {
        let rows = rows.get(id).map(Vec::as_slice).unwrap_or_default();
        let fate = account.fate();
        // A participant may never have heard of what was taken back before it was asked, and need not
        // remember for ever what ended.
        let is_expected = fate == Fate::Completed && !account.may_be_pruned(kept_since);
        let at_least = usize::from(is_expected);
        found.extend(times(place, *id, rows.len(), at_least));
        let wanted = match fate {
            Fate::Completed => EffectState::Final,
            Fate::Compensated => EffectState::Revoked,
            Fate::Undecided | Fate::Compensating | Fate::Abandoned | Fate::Contradictory => {
                continue;
            }
        };
        if let Some(state) = rows.iter().find(|state| **state != wanted) {
            let one = Disagreement::answer(place, Kind::State, *id);
            found.push(one.say(effect(wanted), effect(*state)));
        }
    }
    for id in rows.keys().filter(|id| !log.answers.contains_key(id)) {
        let one = Disagreement::answer(place, Kind::WithoutEvent, *id);
        found.push(one.say("no answer", "one that the log does not know"));
    }
}

/// What is wrong with being there `count` times, if anything is.
pub(crate) fn times(place: Place, id: Uuid, count: usize, at_least: usize) -> Option<Disagreement> {
    let kind = if count < at_least {
        Kind::Missing
    } else if count > 1 {
        Kind::Duplicate
    } else {
        return None;
    };
    let found = if count == 0 {
        "nothing".to_owned()
    } else {
        format!("{count} times")
    };
    Some(Disagreement::answer(place, kind, id).say("once", found))
}

/// The status as the wire has it.
pub(crate) fn status(status: AnswerStatus) -> &'static str {
    match status {
        AnswerStatus::Pending => "pending",
        AnswerStatus::Completed => "completed",
        AnswerStatus::Compensated => "compensated",
    }
}

/// The state as the wire has it.
pub(crate) fn effect(state: EffectState) -> &'static str {
    match state {
        EffectState::Provisional => "provisional",
        EffectState::Final => "final",
        EffectState::Revoked => "revoked",
    }
}

impl std::fmt::Display for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let right = if self.is_correct { "right" } else { "wrong" };
        write!(
            f,
            "player {}, {}, {right}, {} points",
            self.user_id, self.quiz_mode, self.points
        )
    }
}
