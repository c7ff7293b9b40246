//! What each client was told: one line for each Idempotency-Key, held against both sides by the
//! audit.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use contracts::QuizMode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who served a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// The monolith.
    Legacy,
    /// The new services.
    Candidate,
}

impl Side {
    /// Reads `X-Banyan-Upstream`: the monolith's upstream is called `legacy`.
    pub(crate) fn of_upstream(name: &str) -> Self {
        if name == "legacy" {
            Self::Legacy
        } else {
            Self::Candidate
        }
    }
}

/// The last that a client heard of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// 200: it counts.
    Accepted,
    /// 503 `answer_compensated`: it counts nowhere.
    Compensated,
    /// Refused before anything was kept.
    Refused,
    /// Nothing definite: the connection was lost, or it stayed undecided.
    Unknown,
}

/// One answer, as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    /// The Idempotency-Key.
    pub(crate) key: Uuid,
    /// Who answered.
    pub(crate) user_id: Uuid,
    /// What was asked.
    pub(crate) question_id: Uuid,
    /// What was chosen.
    pub(crate) choice_id: String,
    /// How it was played.
    pub(crate) quiz_mode: QuizMode,
    /// The last that was heard.
    pub(crate) outcome: Outcome,
    /// Who served the answer that decided; where nothing did, the last one heard of, or legacy.
    pub(crate) side: Side,
    /// The answer's id, where one was told.
    pub(crate) answer_id: Option<Uuid>,
    /// Whether it was right, where that was told.
    pub(crate) is_correct: Option<bool>,
    /// What it was worth, where that was told.
    pub(crate) points: Option<i64>,
    /// Requests that it took.
    pub(crate) attempts: u32,
    /// The code or the fault that was heard last, unless it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// All that clients were told. As large as the run is long: a few hundred bytes an answer.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Vec<Told>>);

impl Ledger {
    /// Notes what a client was told last.
    pub(crate) fn note(&self, told: Told) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(told);
    }

    /// All of it so far.
    pub(crate) fn entries(&self) -> Vec<Told> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes those without a definite outcome out, to ask for them again.
    pub(crate) fn take_unknown(&self) -> Vec<Told> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (unknown, known) = std::mem::take(&mut *entries)
            .into_iter()
            .partition(|told| told.outcome == Outcome::Unknown);
        *entries = known;
        unknown
    }
}

/// Writes a ledger, one JSON object a line.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(path: &Path, entries: &[Told]) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for told in entries {
            serde_json::to_writer(&mut file, told)?;
            file.write_all(b"\n")?;
        }
        Ok(file.into_inner()?.sync_all()?)
    };
    write().with_context(|| format!("cannot write the ledger {}", path.display()))
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// When the file cannot be read, or a line is not one of a ledger.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Told>> {
    let file = File::open(path)
        .with_context(|| format!("cannot read {} (--demo-ledger)", path.display()))?;
    let lines = BufReader::new(file).lines().enumerate();
    lines
        .map(|(number, line)| {
            let place = || format!("{}:{} (--demo-ledger)", path.display(), number + 1);
            serde_json::from_str(&line.with_context(place)?).with_context(place)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(outcome: Outcome) -> Told {
        Told {
            key: Uuid::from_u128(1),
            user_id: Uuid::from_u128(2),
            question_id: Uuid::from_u128(3),
            choice_id: "a".into(),
            quiz_mode: QuizMode::Timed,
            outcome,
            side: Side::Candidate,
            answer_id: Some(Uuid::from_u128(4)),
            is_correct: Some(true),
            points: Some(20),
            attempts: 1,
            detail: None,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let entries = vec![told(Outcome::Accepted), told(Outcome::Compensated)];
        write(&path, &entries).unwrap();
        assert_eq!(read(&path).unwrap(), entries);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("ledger.jsonl:1 (--demo-ledger)"), "{error}");
    }

    #[test]
    fn the_unknown_are_taken_out_to_be_asked_for_again() {
        let ledger = Ledger::default();
        ledger.note(told(Outcome::Accepted));
        ledger.note(told(Outcome::Unknown));
        assert_eq!(ledger.take_unknown().len(), 1);
        assert_eq!(ledger.entries(), [told(Outcome::Accepted)]);
    }
}
