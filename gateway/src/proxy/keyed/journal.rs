//! The sides of keys on disk, so that a gateway that was killed does not ask the other side.
//!
//! An append-only file of fixed records. A record is written before its request goes out, without
//! an fsync: what is written survives the process's death (SIGKILL), and the last moments before a
//! power cut may be lost. A torn last record is left out.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::flag::Side;

use super::{Digest128, KEPT_FOR};

/// Digest, side, milliseconds since the Unix epoch.
const RECORD: usize = 16 + 1 + 8;

/// A file with more records than this is rewritten with what still counts: 25 MiB at most.
const MAX_RECORDS: usize = 1_000_000;

/// What a record says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// This side may have got it.
    Belongs(Side),
    /// Provably nobody got it.
    Forgotten,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    records: usize,
    /// So many records make it due for a rewrite.
    due: usize,
    /// Whether the last write failed, so that a full disk is told once and not for every request.
    is_failing: bool,
}

/// A key that the file knows: whose, and how long ago it was first seen.
pub(super) type Known = (Digest128, Side, Duration);

impl Journal {
    /// Opens the file, creating it where it is missing, and rewrites it with what still counts,
    /// oldest first.
    pub(super) fn open(path: PathBuf) -> io::Result<(Self, Vec<Known>)> {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let known = living(&bytes, now());
        let file = rewrite(&path, &known)?;
        let journal = Self {
            path,
            file,
            records: known.len(),
            due: MAX_RECORDS,
            is_failing: false,
        };
        Ok((journal, known))
    }

    /// Adds a record. Whether the file is due for [`Journal::compact`].
    ///
    /// A failing disk does not stop the traffic: the key is then known to this process alone.
    pub(super) fn write(&mut self, digest: Digest128, fact: Fact) -> bool {
        let written = self.file.write_all(&record(digest, fact, now()));
        if written.is_err() {
            self.trim();
        }
        match written {
            Ok(()) => {
                self.is_failing = false;
                self.records += 1;
            }
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                let file = self.path.display();
                tracing::error!(%file, %error, "sides of keys are not kept on disk while it fails");
            }
            Err(_) => {}
        }
        self.records > self.due
    }

    /// Takes off half a record, which would shift all that follow it.
    fn trim(&mut self) {
        let whole = (self.records * RECORD) as u64;
        if let Err(error) = self.file.set_len(whole) {
            let file = self.path.display();
            tracing::error!(%file, %error, "half a record stays in the file of keys");
        }
    }

    /// Rewrites the file with these keys alone, oldest first.
    pub(super) fn compact(&mut self, known: &[Known]) {
        match rewrite(&self.path, known) {
            Ok(file) => {
                self.file = file;
                self.records = known.len();
                self.due = MAX_RECORDS;
            }
            Err(error) => {
                let file = self.path.display();
                tracing::error!(%file, %error, "the file of keys cannot be rewritten");
                self.due = self.records + MAX_RECORDS;
            }
        }
    }
}

/// What the records come to: the last fact of each key, without what is too old.
fn living(bytes: &[u8], now: u64) -> Vec<Known> {
    let mut last: std::collections::HashMap<Digest128, (Fact, u64)> = Default::default();
    for bytes in bytes.chunks_exact(RECORD) {
        let Some((digest, fact, at)) = parse(bytes) else {
            continue;
        };
        // A key's age counts from its first record; a later one only changes the side.
        let since = match last.get(&digest) {
            Some((Fact::Belongs(_), since)) => *since,
            _ => at,
        };
        last.insert(digest, (fact, since));
    }
    let mut known: Vec<Known> = last
        .into_iter()
        .filter_map(|(digest, (fact, since))| {
            let age = Duration::from_millis(now.saturating_sub(since));
            match fact {
                Fact::Belongs(side) if age <= KEPT_FOR => Some((digest, side, age)),
                _ => None,
            }
        })
        .collect();
    known.sort_by_key(|(_, _, age)| std::cmp::Reverse(*age));
    known
}

/// Writes beside and renames, so that a crash leaves the old file or the new one.
fn rewrite(path: &Path, known: &[Known]) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    let now = now();
    let mut bytes = Vec::with_capacity(known.len() * RECORD);
    for (digest, side, age) in known {
        let at = now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        bytes.extend_from_slice(&record(*digest, Fact::Belongs(*side), at));
    }
    let mut file = File::create(&fresh)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::options().append(true).open(path)
}

fn record(digest: Digest128, fact: Fact, at: u64) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..16].copy_from_slice(&digest);
    bytes[16] = match fact {
        Fact::Belongs(Side::Legacy) => b'L',
        Fact::Belongs(Side::Candidate) => b'C',
        Fact::Forgotten => b'-',
    };
    bytes[17..].copy_from_slice(&at.to_be_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<(Digest128, Fact, u64)> {
    let digest = bytes.get(..16)?.try_into().ok()?;
    let fact = match bytes.get(16)? {
        b'L' => Fact::Belongs(Side::Legacy),
        b'C' => Fact::Belongs(Side::Candidate),
        b'-' => Fact::Forgotten,
        _ => return None,
    };
    Some((
        digest,
        fact,
        u64::from_be_bytes(bytes.get(17..RECORD)?.try_into().ok()?),
    ))
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1000;

    fn facts(records: &[(u8, Fact, u64)], now: u64) -> Vec<(u8, Side)> {
        let bytes: Vec<u8> = records
            .iter()
            .flat_map(|(key, fact, at)| record([*key; 16], *fact, *at))
            .collect();
        living(&bytes, now)
            .iter()
            .map(|(digest, side, _)| (digest[0], *side))
            .collect()
    }

    #[test]
    fn the_last_fact_of_a_key_counts_and_its_age_is_that_of_the_first() {
        let records = [
            (1, Fact::Belongs(Side::Candidate), 1_000),
            (2, Fact::Belongs(Side::Candidate), 2_000),
            (1, Fact::Belongs(Side::Legacy), 3_000),
            (2, Fact::Forgotten, 4_000),
        ];
        assert_eq!(facts(&records, 5_000), [(1, Side::Legacy)]);
        assert_eq!(facts(&records, 1_000 + DAY), [(1, Side::Legacy)]);
        assert_eq!(facts(&records, 1_001 + DAY), []);
    }

    #[test]
    fn a_torn_or_foreign_record_is_left_out() {
        let mut bytes = record([1; 16], Fact::Belongs(Side::Legacy), 1).to_vec();
        bytes.extend_from_slice(&[7; RECORD]);
        bytes.extend_from_slice(&record([2; 16], Fact::Belongs(Side::Legacy), 1)[..RECORD - 1]);
        assert_eq!(living(&bytes, 2).len(), 1);
    }

    #[test]
    fn a_failing_disk_leaves_whole_records_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (mut journal, _) = Journal::open(path.clone()).unwrap();
        journal.write([1; 16], Fact::Belongs(Side::Candidate));
        // A disk that took a part of a record and refuses the rest.
        journal.file.write_all(&[9; 10]).unwrap();
        let good = std::mem::replace(&mut journal.file, File::open(&path).unwrap());
        journal.write([2; 16], Fact::Belongs(Side::Candidate));
        assert!(journal.is_failing, "the file is open for reading only");
        journal.file = good;
        journal.trim();
        journal.write([3; 16], Fact::Belongs(Side::Legacy));
        drop(journal);
        let (_, known) = Journal::open(path).unwrap();
        let keys: Vec<_> = known.iter().map(|(digest, ..)| digest[0]).collect();
        assert_eq!(keys.len(), 2, "{keys:?}");
        assert!(keys.contains(&1) && keys.contains(&3), "{keys:?}");
    }

    #[test]
    fn what_was_written_is_there_after_opening_again_and_only_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flags.json.keys");
        let (mut journal, known) = Journal::open(path.clone()).unwrap();
        assert!(known.is_empty());
        journal.write([1; 16], Fact::Belongs(Side::Candidate));
        journal.write([2; 16], Fact::Belongs(Side::Legacy));
        journal.write([2; 16], Fact::Forgotten);
        drop(journal);
        let (_, known) = Journal::open(path.clone()).unwrap();
        assert_eq!(
            known.iter().map(|(d, s, _)| (d[0], *s)).collect::<Vec<_>>(),
            [(1, Side::Candidate)]
        );
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            RECORD as u64,
            "rewritten on opening"
        );
    }
}
