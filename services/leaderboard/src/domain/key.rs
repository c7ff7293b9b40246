//! An entry's place as bytes: whoever sorts first as bytes stands above.

use time::OffsetDateTime;
use uuid::Uuid;

use super::Entry;

/// Big-endian: `i64::MAX` − score, the microseconds at which it was reached, the user's id. Both
/// databases compare bytes from the left.
pub type Key = [u8; 32];

/// Sorts after every key.
pub const AFTER_ALL: [u8; 33] = [0xff; 33];

/// Turns the order of two's complement into that of unsigned numbers.
const SIGN: u64 = 1 << 63;

impl Entry {
    /// The entry's place on its board.
    #[must_use]
    pub fn key(&self) -> Key {
        // A score is never negative.
        let score = u64::try_from(i64::MAX - self.score.max(0)).unwrap_or(0);
        let reached = micros(self.reached_at).cast_unsigned() ^ SIGN;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&score.to_be_bytes());
        key[8..16].copy_from_slice(&reached.to_be_bytes());
        key[16..].copy_from_slice(self.user_id.as_bytes());
        key
    }

    /// The entry that a key belongs to: for a store that keeps no keys.
    #[must_use]
    pub fn of_key(key: &Key) -> Self {
        let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| key[at + byte]));
        let reached = i128::from((number(8) ^ SIGN).cast_signed()) * 1_000;
        Self {
            user_id: Uuid::from_bytes(std::array::from_fn(|byte| key[16 + byte])),
            // What is no score stands below all.
            score: i64::try_from(number(0)).map_or(0, |below| i64::MAX - below),
            reached_at: OffsetDateTime::from_unix_timestamp_nanos(reached)
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }
}

/// Finer times are cut off, as the databases do.
fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;

    prop_compose! {
        fn entry()(score in 0..4_i64, scale in 0..3_u32, micros in -3..3_i64, user in 0..3_u128)
            -> Entry
        {
            Entry {
                user_id: Uuid::from_u128(user << 120 | user),
                score: score.pow(scale * 15),
                reached_at: OffsetDateTime::UNIX_EPOCH + Duration::microseconds(micros << 30),
            }
        }
    }

    proptest! {
        #[test]
        fn keys_sort_as_the_board_does(one in entry(), other in entry()) {
            prop_assert_eq!(one.key().cmp(&other.key()), one.rank(&other));
            prop_assert!(one.key()[..] < AFTER_ALL[..]);
        }

        #[test]
        fn a_key_tells_its_entry(entry in entry()) {
            prop_assert_eq!(Entry::of_key(&entry.key()), entry);
        }

        #[test]
        fn any_bytes_tell_some_entry(key in proptest::array::uniform32(0_u8..)) {
            prop_assert!(Entry::of_key(&key).score >= 0);
        }
    }
}
