//! What each client was told: one line for each Idempotency-Key, held against both sides by the
//! audit.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Context;

pub(crate) use contracts::audit::{Outcome, Side, Told};

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
    use contracts::QuizMode;
    use uuid::Uuid;

    use super::*;

    fn told(outcome: Outcome) -> Told {
        let [key, user, question] = [1, 2, 3].map(Uuid::from_u128);
        Told {
            outcome,
            side: Side::Candidate,
            answer_id: Some(Uuid::from_u128(4)),
            is_correct: Some(true),
            points: Some(20),
            attempts: 1,
            ..Told::nothing(key, user, question, "a", QuizMode::Timed)
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
