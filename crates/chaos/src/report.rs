//! What a run was, in figures.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;
use uuid::Uuid;

use crate::{
    facts::Facts,
    history::{Asked, Call, Heard},
    plan::Plan,
};

/// The figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Calls of all kinds.
    pub calls: usize,
    /// Answers that clients gave: one for each Idempotency-Key.
    pub answers: usize,
    /// Of them: told that they count,
    pub acknowledged: usize,
    /// told that they were taken back,
    pub compensated: usize,
    /// refused before anything was done,
    pub refused: usize,
    /// and never heard of.
    pub unknown: usize,
    /// Of those never heard of: how many turned out to count,
    pub unknown_completed: usize,
    /// and how many to be taken back; the others never arrived.
    pub unknown_compensated: usize,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, usize>,
    /// Events in the log.
    pub events: usize,
    /// Processes that ended without having been killed, and were started again.
    pub ends: Vec<String>,
}

impl Report {
    /// The figures.
    #[must_use]
    pub fn of(plan: &Plan, calls: &[Call], facts: &Facts, ends: Vec<String>) -> Self {
        let mut faults = BTreeMap::new();
        for blow in &plan.blows {
            *faults.entry(blow.fault.kind()).or_default() += 1;
        }
        let mut heard = BTreeMap::<Uuid, Vec<&Heard>>::new();
        for call in calls {
            if let Asked::Answer { key, .. } = call.asked {
                heard.entry(key).or_default().push(&call.heard);
            }
        }
        let told = |is_it: fn(&Heard) -> bool| -> BTreeSet<Uuid> {
            let keys = heard.iter();
            let keys = keys.filter(|(_, all)| all.iter().any(|heard| is_it(heard)));
            keys.map(|(key, _)| *key).collect()
        };
        let acknowledged = told(|heard| matches!(heard, Heard::Completed { .. }));
        let compensated = told(|heard| matches!(heard, Heard::Compensated { .. }));
        let is_refused = |heard: &&Heard| matches!(heard, Heard::Refused { .. });
        let refused = heard
            .values()
            .filter(|all| all.iter().all(is_refused))
            .count();
        let unknown: BTreeSet<String> = heard
            .iter()
            .filter(|(key, all)| {
                let is_known = acknowledged.contains(key) || compensated.contains(key);
                !is_known && !all.iter().all(is_refused)
            })
            .map(|(key, _)| key.to_string())
            .collect();
        let status: BTreeMap<Uuid, &str> = facts
            .answers
            .iter()
            .map(|row| (row.id, row.status.as_str()))
            .collect();
        let of_unknown = |wanted: &str| {
            let keys = facts.keys.iter().filter(|row| unknown.contains(&row.key));
            keys.filter(|row| status.get(&row.answer_id) == Some(&wanted))
                .count()
        };
        Self {
            seed: plan.seed,
            calls: calls.len(),
            answers: heard.len(),
            acknowledged: acknowledged.len(),
            compensated: compensated.len(),
            refused,
            unknown: unknown.len(),
            unknown_completed: of_unknown("completed"),
            unknown_compensated: of_unknown("compensated"),
            faults,
            events: facts.log.len(),
            ends,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} calls, {} answers: {} acknowledged, {} compensated, {} refused, {} unknown \
             (of which {} count and {} were taken back); {} events in the log",
            self.seed,
            self.calls,
            self.answers,
            self.acknowledged,
            self.compensated,
            self.refused,
            self.unknown,
            self.unknown_completed,
            self.unknown_compensated,
            self.events,
        )?;
        let all: usize = self.faults.values().sum();
        let kinds = self
            .faults
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"));
        let kinds: Vec<String> = kinds.collect();
        writeln!(f, "{all} faults: {}", kinds.join(", "))?;
        write!(
            f,
            "{} ended by themselves and were started again",
            self.ends.len()
        )
    }
}
