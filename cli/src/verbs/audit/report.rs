//! What an audit prints.

use std::fmt;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{compare::Counts, finding::Disagreement, told::ToldCounts};

/// Disagreements and ids printed for people; programs get all of them.
const SHOWN: usize = 40;

/// What one audit found.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The log's identity.
    pub(crate) epoch: Uuid,
    /// The position it is as of.
    pub(crate) position: i64,
    /// Players whose sums were compared.
    pub(crate) players: usize,
    /// Answers by fate.
    pub(crate) counts: Counts,
    /// Not decided yet.
    pub(crate) undecided: Vec<Uuid>,
    /// Given up by an operator.
    pub(crate) abandoned: Vec<Uuid>,
    /// What does not agree.
    pub(crate) disagreements: Vec<Disagreement>,
    /// With a demo's ledger: what was held against both sides.
    pub(crate) told: Option<ToldReport>,
}

/// What a demo's ledger adds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToldReport {
    /// What clients were told.
    pub(crate) counts: ToldCounts,
    /// Answers that the monolith holds.
    pub(crate) legacy_answers: usize,
}

impl Report {
    /// The last line, which says it all.
    pub(crate) fn verdict(&self) -> String {
        let position = self.position;
        match self.disagreements.len() {
            0 => format!("audit: everything agrees as of position {position}"),
            1 => format!("audit: 1 DISAGREEMENT as of position {position}"),
            count => format!("audit: {count} DISAGREEMENTS as of position {position}"),
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "epoch": self.epoch,
            "position": self.position,
            "counts": self.counts,
            "undecided": self.undecided,
            "abandoned": self.abandoned,
            "told": self.told.map(|told| told.counts),
            "total": self.disagreements.len(),
            "items": self.disagreements,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            answers,
            completed,
            compensated,
            undecided,
            abandoned,
            left_out,
        } = self.counts;
        writeln!(f, "log {} as of position {}", self.epoch, self.position)?;
        writeln!(
            f,
            "  {answers} answers: {completed} completed, {compensated} compensated, \
             {undecided} undecided, {abandoned} abandoned"
        )?;
        if left_out > 0 {
            writeln!(
                f,
                "  {left_out} of them left out: they moved on after that position, or their player left"
            )?;
        }
        writeln!(
            f,
            "  held against quiz, achievement and leaderboard, with the sums of {} players",
            self.players
        )?;
        if let Some(ToldReport {
            counts,
            legacy_answers,
        }) = self.told
        {
            writeln!(
                f,
                "  clients were told: {} accepted on legacy, {} on the candidate; {} compensated, \
                 {} refused",
                counts.accepted_legacy,
                counts.accepted_candidate,
                counts.compensated,
                counts.refused
            )?;
            writeln!(
                f,
                "  never told an outcome: {}, of which {} are recorded, each once",
                counts.unknown, counts.unknown_recorded
            )?;
            writeln!(
                f,
                "  legacy holds {legacy_answers} answers and its own sums of them"
            )?;
        }
        ids(f, "undecided", &self.undecided)?;
        ids(f, "abandoned", &self.abandoned)?;
        for one in self.disagreements.iter().take(SHOWN) {
            writeln!(f, "  {one}")?;
        }
        rest(f, self.disagreements.len())?;
        f.write_str(&self.verdict())
    }
}

fn ids(f: &mut fmt::Formatter<'_>, what: &str, ids: &[Uuid]) -> fmt::Result {
    for id in ids.iter().take(SHOWN) {
        writeln!(f, "  {what}, apart: answer {id} (banyan sagas show {id})")?;
    }
    rest(f, ids.len())
}

fn rest(f: &mut fmt::Formatter<'_>, total: usize) -> fmt::Result {
    match total.checked_sub(SHOWN) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(f, "  … and {more} more of {total}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::audit::finding::{Kind, Place};

    fn report(disagreements: usize) -> Report {
        let one = Disagreement::answer(Place::Quiz, Kind::Missing, Uuid::nil());
        Report {
            epoch: Uuid::nil(),
            position: 12,
            players: 1,
            counts: Counts::default(),
            undecided: Vec::new(),
            abandoned: Vec::new(),
            disagreements: vec![one.say("once", "nothing"); disagreements],
            told: None,
        }
    }

    #[test]
    fn the_list_for_people_is_bounded_and_says_the_total() {
        let text = report(100).to_string();
        assert!(text.contains("… and 60 more of 100"), "{text}");
        assert!(
            text.ends_with("audit: 100 DISAGREEMENTS as of position 12"),
            "{text}"
        );
        assert_eq!(report(100).json()["items"].as_array().unwrap().len(), 100);
    }

    #[test]
    fn the_last_line_says_that_all_agrees() {
        assert!(
            report(0)
                .to_string()
                .ends_with("everything agrees as of position 12")
        );
    }
}
