//! Which side first got an `Idempotency-Key`, and therefore keeps it.
//!
//! Invariant: while a key is remembered, no second side ever sees it, whatever happens to the flag:
//! the side that got it is the only one that can tell a repeat from a new request. A key may change
//! sides only as long as provably nobody got it.
//!
//! Kept in memory and, where the gateway has a `state_file`, in a file beside it, so that a gateway
//! that was killed in the middle of a request does not send the repeat to the other side. Without
//! one a repeat after a restart goes where the flag then says. Replicas do not tell each other: a
//! repeat that reaches another replica goes where the flag says there. The number of keys is
//! bounded by [`MAX_KEYS`]; beyond it the oldest are forgotten first.

mod journal;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use self::journal::{Fact, Journal, Known};
use crate::flag::Side;

/// How long a key is kept, as the services keep theirs.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// About 100 bytes each: 25 MiB at most. It is reached only by more than three keyed requests per
/// second over a whole day.
const MAX_KEYS: usize = 250_000;

/// Keyed requests that are claimed while one is under way, at most: as many as connections.
const RECENT: usize = 16_384;

/// The sides of all keys that were seen.
#[derive(Debug)]
pub(crate) struct KeyedSides {
    keys: Mutex<Keys>,
    most: usize,
}

/// One request's hold on its key. When it is dropped the key stays with its side, unless it was
/// said that nobody got it: a client that goes away in the middle leaves that unknown.
#[derive(Debug)]
pub(crate) struct Claim {
    sides: Arc<KeyedSides>,
    digest: Digest128,
    side: Side,
    is_unsent: bool,
}

type Digest128 = [u8; 16];

#[derive(Debug, Default)]
struct Keys {
    by_digest: HashMap<Digest128, Entry>,
    by_age: VecDeque<(Instant, Digest128)>,
    journal: Option<Journal>,
}

#[derive(Debug)]
struct Entry {
    side: Side,
    /// Requests under way with this key.
    holders: u32,
    /// An upstream may have got it.
    is_confirmed: bool,
    since: Instant,
}

impl Default for KeyedSides {
    fn default() -> Self {
        Self::bounded(MAX_KEYS)
    }
}

impl KeyedSides {
    /// Remembers keys in `file` too, and knows those that it has from before.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn open(file: PathBuf) -> io::Result<Self> {
        let (journal, known) = Journal::open(file)?;
        let now = Instant::now();
        let mut keys = Keys {
            journal: Some(journal),
            ..Keys::default()
        };
        for (digest, side, age) in known {
            // A machine that started less than `age` ago has no such instant: it is then kept longer.
            let since = now.checked_sub(age).unwrap_or(now);
            let entry = Entry {
                side,
                holders: 0,
                is_confirmed: true,
                since,
            };
            keys.by_digest.insert(digest, entry);
            keys.by_age.push_back((since, digest));
        }
        Ok(Self {
            keys: Mutex::new(keys),
            most: MAX_KEYS,
        })
    }

    /// Remembers this many keys at most.
    fn bounded(most: usize) -> Self {
        Self {
            keys: Mutex::default(),
            most,
        }
    }

    /// Takes hold of a key; `decided` counts only if the key was not seen before.
    pub(crate) fn claim(
        self: &Arc<Self>,
        flag: &str,
        subject: &str,
        key: &[u8],
        decided: Side,
        now: Instant,
    ) -> Claim {
        let digest = digest(flag, subject, key);
        let mut keys = self.lock();
        keys.forget_old(now, self.most);
        let entry = keys.by_digest.entry(digest).or_insert(Entry {
            side: decided,
            holders: 0,
            is_confirmed: false,
            since: now,
        });
        entry.holders += 1;
        let side = entry.side;
        if entry.holders == 1 && entry.since == now {
            keys.by_age.push_back((now, digest));
            keys.note(digest, Fact::Belongs(side), now);
        }
        drop(keys);
        Claim {
            sides: Arc::clone(self),
            digest,
            side,
            is_unsent: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The side that this key belongs to.
    pub(crate) fn side(&self) -> Side {
        self.side
    }

    /// Not one byte of the request was written to anybody.
    pub(crate) fn sent_nothing(&mut self) {
        self.is_unsent = true;
    }

    /// Gives the key to the other side, if provably nobody got it and nobody else is at it. From
    /// then on that side is taken to have got it.
    pub(crate) fn move_to(&mut self, side: Side) -> bool {
        let mut keys = self.sides.lock();
        let Some(entry) = keys.by_digest.get_mut(&self.digest) else {
            return false;
        };
        let may_move = self.is_unsent && !entry.is_confirmed && entry.holders == 1;
        if may_move {
            entry.side = side;
            self.side = side;
            self.is_unsent = false;
            keys.note(self.digest, Fact::Belongs(side), Instant::now());
        }
        may_move
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut keys = self.sides.lock();
        if let Some(entry) = keys.by_digest.get_mut(&self.digest) {
            entry.holders = entry.holders.saturating_sub(1);
            entry.is_confirmed |= !self.is_unsent;
            if entry.holders == 0 && !entry.is_confirmed {
                let since = entry.since;
                keys.by_digest.remove(&self.digest);
                keys.drop_line(since, &self.digest);
                keys.note(self.digest, Fact::Forgotten, Instant::now());
            }
        }
    }
}

impl Keys {
    /// Writes a fact down before the request goes out.
    fn note(&mut self, digest: Digest128, fact: Fact, now: Instant) {
        let Some(mut journal) = self.journal.take() else {
            return;
        };
        if journal.write(digest, fact) {
            journal.compact(&self.known(now));
        }
        self.journal = Some(journal);
    }

    /// Forgets the line of a key's age: the newest ones are looked at, since a key that nobody got
    /// was claimed a moment ago.
    fn drop_line(&mut self, since: Instant, digest: &Digest128) {
        let line = |(at, known): &(Instant, Digest128)| *at == since && known == digest;
        let recent = self.by_age.len().saturating_sub(RECENT);
        if let Some(found) = self.by_age.range(recent..).rposition(line) {
            self.by_age.remove(recent + found);
        }
    }

    /// Every key, oldest first.
    fn known(&self, now: Instant) -> Vec<Known> {
        let aged = self.by_age.iter().filter_map(|(since, digest)| {
            let entry = self.by_digest.get(digest)?;
            (entry.since == *since).then(|| (*digest, entry.side, now.duration_since(*since)))
        });
        aged.collect()
    }

    fn forget_old(&mut self, now: Instant, most: usize) {
        while let Some((since, digest)) = self.by_age.front().copied() {
            let is_old = now.duration_since(since) > KEPT_FOR;
            if !is_old && self.by_age.len() < most {
                return;
            }
            self.by_age.pop_front();
            // The same key may have been claimed anew since; then this line of its age is stale.
            match self.by_digest.get(&digest) {
                Some(entry) if entry.since == since && entry.holders == 0 => {
                    self.by_digest.remove(&digest);
                }
                // Under way still: it is as young as its request.
                Some(entry) if entry.since == since => {
                    self.by_age.push_back((since, digest));
                    return;
                }
                _ => {}
            }
        }
    }
}

/// Collision-free for any practical purpose, also against clients that try.
fn digest(flag: &str, subject: &str, key: &[u8]) -> Digest128 {
    let mut hash = Sha256::new();
    for part in [flag.as_bytes(), subject.as_bytes(), key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash.finalize()[..16]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(sides: &Arc<KeyedSides>, key: &str, decided: Side, now: Instant) -> Claim {
        sides.claim("flag", "ann", key.as_bytes(), decided, now)
    }

    #[test]
    fn the_side_that_got_a_key_keeps_it_for_a_day() {
        let sides: Arc<KeyedSides> = Arc::default();
        let start = Instant::now();
        drop(claim(&sides, "k", Side::Candidate, start));
        let later = start + KEPT_FOR;
        assert_eq!(
            claim(&sides, "k", Side::Legacy, later).side(),
            Side::Candidate
        );
        let next_day = later + Duration::from_secs(1);
        assert_eq!(
            claim(&sides, "k", Side::Legacy, next_day).side(),
            Side::Legacy
        );
    }

    #[test]
    fn a_key_that_nobody_got_may_change_sides() {
        let sides: Arc<KeyedSides> = Arc::default();
        let now = Instant::now();
        let mut first = claim(&sides, "k", Side::Candidate, now);
        first.sent_nothing();
        assert!(first.move_to(Side::Legacy));
        drop(first);
        assert_eq!(
            claim(&sides, "k", Side::Candidate, now).side(),
            Side::Legacy
        );
    }

    #[test]
    fn a_key_that_somebody_may_have_got_never_changes_sides() {
        let sides: Arc<KeyedSides> = Arc::default();
        let now = Instant::now();
        assert!(!claim(&sides, "k", Side::Candidate, now).move_to(Side::Legacy));
        let mut repeat = claim(&sides, "k", Side::Legacy, now);
        assert_eq!(repeat.side(), Side::Candidate);
        repeat.sent_nothing();
        assert!(
            !repeat.move_to(Side::Legacy),
            "the first one may have been got"
        );
    }

    #[test]
    fn two_requests_at_once_with_one_key_stay_together() {
        let sides: Arc<KeyedSides> = Arc::default();
        let now = Instant::now();
        let mut first = claim(&sides, "k", Side::Candidate, now);
        let second = claim(&sides, "k", Side::Legacy, now);
        assert_eq!(second.side(), Side::Candidate);
        first.sent_nothing();
        assert!(!first.move_to(Side::Legacy), "the second may be sending");
    }

    #[test]
    fn an_attempt_that_sent_nothing_leaves_no_trace() {
        let sides: Arc<KeyedSides> = Arc::default();
        let now = Instant::now();
        claim(&sides, "k", Side::Candidate, now).sent_nothing();
        assert_eq!(claim(&sides, "k", Side::Legacy, now).side(), Side::Legacy);
    }

    #[test]
    fn keys_of_different_subjects_and_flags_have_nothing_to_do_with_each_other() {
        let sides: Arc<KeyedSides> = Arc::default();
        let now = Instant::now();
        drop(sides.claim("f", "ann", b"k", Side::Candidate, now));
        let other = |flag, subject| sides.claim(flag, subject, b"k", Side::Legacy, now).side();
        assert_eq!(other("f", "bob"), Side::Legacy);
        assert_eq!(other("g", "ann"), Side::Legacy);
        assert_eq!(other("fa", "nn"), Side::Legacy);
    }

    #[test]
    fn a_gateway_that_was_killed_still_knows_which_side_got_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags.json.keys");
        let now = Instant::now();
        let sides = Arc::new(KeyedSides::open(file.clone()).unwrap());
        // Killed while the request was under way: the claim is never dropped.
        std::mem::forget(claim(&sides, "under way", Side::Candidate, now));
        claim(&sides, "nobody got it", Side::Candidate, now).sent_nothing();
        let mut moved = claim(&sides, "moved", Side::Candidate, now);
        moved.sent_nothing();
        assert!(moved.move_to(Side::Legacy));
        drop(moved);

        let again = Arc::new(KeyedSides::open(file).unwrap());
        let side = |key| claim(&again, key, Side::Legacy, now).side();
        assert_eq!(side("under way"), Side::Candidate);
        assert_eq!(side("nobody got it"), Side::Legacy);
        assert_eq!(
            claim(&again, "moved", Side::Candidate, now).side(),
            Side::Legacy
        );
    }

    #[test]
    fn attempts_that_nobody_got_push_no_key_out() {
        let sides = Arc::new(KeyedSides::bounded(8));
        let now = Instant::now();
        drop(claim(&sides, "kept", Side::Candidate, now));
        for number in 0..20 {
            claim(&sides, &number.to_string(), Side::Candidate, now).sent_nothing();
        }
        assert_eq!(
            claim(&sides, "kept", Side::Legacy, now).side(),
            Side::Candidate
        );
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let sides = Arc::new(KeyedSides::bounded(8));
        let now = Instant::now();
        for number in 0..20 {
            drop(claim(&sides, &number.to_string(), Side::Candidate, now));
        }
        assert_eq!(sides.lock().by_digest.len(), 8);
        assert_eq!(sides.lock().by_age.len(), 8);
        let newest = claim(&sides, "19", Side::Legacy, now);
        assert_eq!(
            newest.side(),
            Side::Candidate,
            "the oldest are forgotten first"
        );
    }
}
