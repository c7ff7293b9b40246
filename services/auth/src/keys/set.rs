//! Which key signs, and which ones verify, at an instant. Pure.
//!
//! Each key says from when on it signs; everything else follows from the clock. So nobody has to
//! carry out the steps of a rotation: it is one write, after which every process that reads the
//! file does the same at the same moment.

use std::fmt::Write as _;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{KeyError, SigningKey};
use crate::domain::ACCESS_TOKEN_LIFETIME;

/// How long a key that signs no more is still published: as long as the last token that it signed
/// is good, with the verifiers' leeway and the difference between two machines' clocks.
const KEPT: Duration = ACCESS_TOKEN_LIFETIME.saturating_add(Duration::minutes(1));

/// Keys of a set at most. A rotation needs three, each emergency may leave one more; a file with
/// more was not written by us.
const MAX_KEYS: usize = 16;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const SIGNS_FROM: &str = "Signs-From: ";

/// The keys of one file, in the order in which they sign. Never empty.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<Scheduled>);

#[derive(Clone, Debug)]
struct Scheduled {
    key: SigningKey,
    signs_from: OffsetDateTime,
}

/// What a key is for at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It signs.
    Current,
    /// Published, so that verifiers learn it; it signs from its instant on.
    Next,
    /// It signs no more, but tokens that it signed may still be good.
    Retired,
}

/// One key as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id in token headers.
    pub id: String,
    /// What it is for.
    pub role: Role,
    /// From when on it signs, or signed.
    pub signs_from: OffsetDateTime,
    /// Until when a retired key is published.
    pub kept_until: Option<OffsetDateTime>,
}

/// What an emergency takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compromised<'a> {
    /// The file was seen by others: every key in it.
    All,
    /// One key.
    Key(&'a str),
}

impl KeySet {
    /// A set of one key, which signs from the beginning of time.
    #[must_use]
    pub fn of(key: SigningKey) -> Self {
        let signs_from = OffsetDateTime::UNIX_EPOCH;
        Self(vec![Scheduled { key, signs_from }])
    }

    /// Reads the text of a key file: PEM blocks, before each of them the instant from which on it
    /// signs. A block without one, such as the only one of a file that was never rotated, signs
    /// from the beginning of time.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        let mut signs_from = OffsetDateTime::UNIX_EPOCH;
        let mut block: Option<String> = None;
        for line in text.lines().map(str::trim) {
            if let Some(instant) = line.strip_prefix(SIGNS_FROM) {
                signs_from = OffsetDateTime::parse(instant, &Rfc3339)
                    .map_err(|error| format!("{SIGNS_FROM}{instant}: {error}"))?;
            }
            if line == BEGIN {
                block = Some(String::new());
            }
            let Some(open) = &mut block else { continue };
            open.push_str(line);
            open.push('\n');
            if line == END {
                let key = SigningKey::from_pem(open)?;
                keys.push(Scheduled { key, signs_from });
                signs_from = OffsetDateTime::UNIX_EPOCH;
                block = None;
            }
        }
        if block.is_some() || keys.is_empty() {
            return Err(format!("there is no {BEGIN} with its end"));
        }
        if keys.len() > MAX_KEYS {
            return Err(format!("there are more than {MAX_KEYS} keys"));
        }
        keys.sort_by_key(|scheduled| scheduled.signs_from);
        Ok(Self(keys))
    }

    /// The text of the key file.
    ///
    /// # Errors
    /// When an instant cannot be written; never in practice.
    pub fn render(&self) -> Result<String, KeyError> {
        let mut text = String::new();
        for Scheduled { key, signs_from } in &self.0 {
            let instant = signs_from
                .format(&Rfc3339)
                .map_err(|error| KeyError::Signing(error.to_string()))?;
            let (id, pem) = (key.id(), key.pem().trim_end());
            // Writing to a String cannot fail.
            let _ = writeln!(text, "Key-Id: {id}\n{SIGNS_FROM}{instant}\n{pem}");
        }
        Ok(text)
    }

    /// The key that signs at `now`.
    #[must_use]
    pub fn signer(&self, now: OffsetDateTime) -> &SigningKey {
        &self.0[self.current(now)].key
    }

    /// The published key with that id.
    #[must_use]
    pub fn public(&self, id: &str, now: OffsetDateTime) -> Option<&Jwk> {
        let mut published = self.published(now);
        published.find_map(|scheduled| (scheduled.key.id() == id).then(|| scheduled.key.public()))
    }

    /// The published keys.
    #[must_use]
    pub fn jwks(&self, now: OffsetDateTime) -> JwkSet {
        let published = self.published(now);
        JwkSet {
            keys: published
                .map(|scheduled| scheduled.key.public().clone())
                .collect(),
        }
    }

    /// All keys that are good for something at `now`.
    #[must_use]
    pub fn entries(&self, now: OffsetDateTime) -> Vec<Entry> {
        let current = self.current(now);
        let numbered = self.0.iter().enumerate();
        numbered
            .filter(|(at, _)| self.is_published(*at, now))
            .map(|(at, Scheduled { key, signs_from })| {
                let role = match at.cmp(&current) {
                    std::cmp::Ordering::Less => Role::Retired,
                    std::cmp::Ordering::Equal => Role::Current,
                    std::cmp::Ordering::Greater => Role::Next,
                };
                Entry {
                    id: key.id().to_owned(),
                    role,
                    signs_from: *signs_from,
                    kept_until: (role == Role::Retired).then(|| self.kept_until(at)),
                }
            })
            .collect()
    }

    /// The set with a new key that signs `lead` after `now`, and without those that are good for
    /// nothing any more.
    ///
    /// # Errors
    /// [`KeyError::RotationPending`] while there is a key that does not sign yet.
    pub fn rotated(&self, now: OffsetDateTime, lead: Duration) -> Result<Self, KeyError> {
        if self.current(now) + 1 < self.0.len() {
            return Err(KeyError::RotationPending);
        }
        let mut keys: Vec<_> = self.published(now).cloned().collect();
        keys.push(Scheduled {
            key: SigningKey::random()?,
            signs_from: now + lead,
        });
        Ok(Self(keys))
    }

    /// The set without what is compromised. When the signer is among it, the next key signs at
    /// once, and without a next one a new key.
    ///
    /// # Errors
    /// [`KeyError::UnknownKey`].
    pub fn purged(&self, now: OffsetDateTime, what: Compromised<'_>) -> Result<Self, KeyError> {
        let signer = self.signer(now).id().to_owned();
        let is_good = |scheduled: &&Scheduled| match what {
            Compromised::All => false,
            Compromised::Key(id) => scheduled.key.id() != id,
        };
        let mut keys: Vec<_> = self.0.iter().filter(is_good).cloned().collect();
        if keys.len() == self.0.len() {
            return Err(KeyError::UnknownKey);
        }
        if keys.iter().all(|scheduled| scheduled.key.id() != signer) {
            match keys.iter_mut().find(|next| next.signs_from > now) {
                Some(next) => next.signs_from = now,
                None => keys.push(Scheduled {
                    key: SigningKey::random()?,
                    signs_from: now,
                }),
            }
        }
        Ok(Self(keys))
    }

    /// Where the signer is. A clock that is behind every key's instant is wrong, and the first key
    /// is as good as any.
    fn current(&self, now: OffsetDateTime) -> usize {
        let signing = self
            .0
            .iter()
            .rposition(|scheduled| scheduled.signs_from <= now);
        signing.unwrap_or(0)
    }

    fn published(&self, now: OffsetDateTime) -> impl Iterator<Item = &Scheduled> {
        let numbered = self.0.iter().enumerate();
        numbered
            .filter(move |(at, _)| self.is_published(*at, now))
            .map(|(_, scheduled)| scheduled)
    }

    fn is_published(&self, at: usize, now: OffsetDateTime) -> bool {
        at >= self.current(now) || now < self.kept_until(at)
    }

    /// A key signed until the one after it began.
    fn kept_until(&self, at: usize) -> OffsetDateTime {
        let next = self.0.get(at + 1).map(|next| next.signs_from);
        next.map_or(OffsetDateTime::UNIX_EPOCH, |instant| instant + KEPT)
    }
}

impl Role {
    /// As operators read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Next => "next",
            Self::Retired => "retired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAD: Duration = Duration::minutes(6);

    fn start() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn single() -> (KeySet, String) {
        let set = KeySet::of(SigningKey::random().unwrap());
        let id = set.signer(start()).id().to_owned();
        (set, id)
    }

    fn roles(set: &KeySet, now: OffsetDateTime) -> Vec<Role> {
        set.entries(now).iter().map(|entry| entry.role).collect()
    }

    #[test]
    fn a_new_key_is_published_before_it_signs_and_the_old_one_until_its_last_token_is_over() {
        let (set, old) = single();
        let set = set.rotated(start(), LEAD).unwrap();
        assert_eq!(roles(&set, start()), [Role::Current, Role::Next]);
        assert_eq!(set.signer(start() + LEAD - Duration::SECOND).id(), old);

        let switched = start() + LEAD;
        assert_ne!(set.signer(switched).id(), old);
        assert_eq!(roles(&set, switched), [Role::Retired, Role::Current]);
        let last = switched + ACCESS_TOKEN_LIFETIME;
        assert!(set.public(&old, last).is_some());
        assert!(set.public(&old, switched + KEPT).is_none());
        assert_eq!(set.jwks(switched + KEPT).keys.len(), 1);
    }

    #[test]
    fn a_rotation_waits_for_the_one_before_it_and_clears_away_what_is_over() {
        let (set, old) = single();
        let set = set.rotated(start(), LEAD).unwrap();
        let refused = set.rotated(start() + Duration::SECOND, LEAD);
        assert!(matches!(refused, Err(KeyError::RotationPending)));
        let much_later = start() + Duration::days(90);
        let set = set.rotated(much_later, LEAD).unwrap();
        assert_eq!(set.0.len(), 2);
        assert!(!set.render().unwrap().contains(&old));
    }

    #[test]
    fn what_was_written_is_read_again() {
        let (set, _) = single();
        let set = set.rotated(start(), LEAD).unwrap();
        let text = set.render().unwrap();
        let read = KeySet::parse(&text).unwrap();
        assert_eq!(read.entries(start()), set.entries(start()));
        assert_eq!(read.render().unwrap(), text);
    }

    #[test]
    fn a_file_with_one_bare_key_is_a_set() {
        let key = SigningKey::random().unwrap();
        let set = KeySet::parse(key.pem()).unwrap();
        assert_eq!(set.signer(start()).id(), key.id());
    }

    #[test]
    fn a_text_cut_short_is_no_set() {
        let (set, _) = single();
        let text = set.rotated(start(), LEAD).unwrap().render().unwrap();
        assert!(KeySet::parse(&text[..text.len() - 10]).is_err());
        assert!(KeySet::parse("").is_err());
        assert!(KeySet::parse(&text.repeat(9)).is_err());
    }

    #[test]
    fn a_seen_file_is_replaced_whole_and_signs_at_once() {
        let (set, old) = single();
        let set = set.rotated(start(), LEAD).unwrap();
        let purged = set.purged(start(), Compromised::All).unwrap();
        assert_eq!(roles(&purged, start()), [Role::Current]);
        assert!(purged.public(&old, start()).is_none());
    }

    #[test]
    fn a_compromised_signer_is_followed_by_the_next_key_or_a_new_one() {
        let (set, old) = single();
        let alone = set.purged(start(), Compromised::Key(&old)).unwrap();
        assert_ne!(alone.signer(start()).id(), old);

        let set = set.rotated(start(), LEAD).unwrap();
        let next = set.entries(start())[1].id.clone();
        let purged = set.purged(start(), Compromised::Key(&old)).unwrap();
        assert_eq!(purged.signer(start()).id(), next);
        let without_next = set.purged(start(), Compromised::Key(&next)).unwrap();
        assert_eq!(without_next.signer(start()).id(), old);
        let unknown = set.purged(start(), Compromised::Key("unknown"));
        assert!(matches!(unknown, Err(KeyError::UnknownKey)));
    }
}
