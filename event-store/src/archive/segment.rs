//! The archive's table of contents.

use contracts::Recorded;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One file of the archive: a closed range of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The file's name.
    pub file: String,
    /// The first position.
    pub first: i64,
    /// The last position.
    pub last: i64,
    /// The file's size.
    pub bytes: u64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

/// All files of the archive of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The log's identity.
    pub epoch: Uuid,
    /// In the order of their positions, without gaps, from 1.
    pub segments: Vec<Segment>,
}

impl Manifest {
    /// Of a log of which nothing is archived yet.
    pub const fn new(epoch: Uuid) -> Self {
        Self {
            epoch,
            segments: Vec::new(),
        }
    }

    /// The last archived position; 0 when there is none.
    pub fn last(&self) -> i64 {
        self.segments.last().map_or(0, |segment| segment.last)
    }

    /// The first segment that does not continue the one before it, if there is one.
    pub fn broken_at(&self) -> Option<&Segment> {
        let mut expected = 1;
        self.segments.iter().find(|segment| {
            let fits = segment.first == expected && segment.last >= segment.first;
            expected = segment.last + 1;
            !fits
        })
    }
}

/// The name of the file with these positions: names sort as positions do.
impl Segment {
    /// The file's name for a range.
    pub fn name(first: i64, last: i64) -> String {
        format!("events-{first:012}-{last:012}.jsonl.gz")
    }
}

/// The first position of `first..=last` that `events` do not have in its place, if there is one.
pub(super) fn gap(first: i64, last: i64, events: &[Recorded]) -> Option<i64> {
    let mut positions = events.iter().map(|event| event.position);
    let missing = (first..=last).find(|expected| positions.next() != Some(*expected));
    missing.or_else(|| positions.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(first: i64, last: i64) -> Segment {
        Segment {
            file: Segment::name(first, last),
            first,
            last,
            bytes: 0,
            sha256: String::new(),
        }
    }

    #[test]
    fn a_manifest_is_whole_from_one_without_gaps() {
        let mut manifest = Manifest::new(Uuid::nil());
        assert_eq!((manifest.last(), manifest.broken_at()), (0, None));
        manifest.segments = vec![segment(1, 10), segment(11, 11)];
        assert_eq!((manifest.last(), manifest.broken_at()), (11, None));
        manifest.segments.push(segment(13, 20));
        assert_eq!(manifest.broken_at(), Some(&segment(13, 20)));
        manifest.segments = vec![segment(2, 3)];
        assert_eq!(manifest.broken_at(), Some(&segment(2, 3)));
    }
}
