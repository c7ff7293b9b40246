//! The opaque mark in a list where the next page begins.
//!
//! Layout before URL-safe base64: a format byte, the last question's id (16 bytes), four bytes of
//! the filter's digest, eight bytes of a digest over all of that. The digests have no key, on
//! purpose: a cursor protects nothing (the filter is public and so is every id), they find mistakes
//! and meddling early, and both sides of a move can read each other's cursors without a shared secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use super::filter::Filter;

const FORMAT: u8 = 1;
const ID_END: usize = 1 + 16;
const FILTER_END: usize = ID_END + 4;
const LENGTH: usize = FILTER_END + 8;

/// The place in a list after which the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last question of the page before.
    pub after: Uuid,
}

/// Why a text is not a cursor of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CursorError {
    /// No cursor at all, or one of another format.
    #[error("is not a cursor")]
    Malformed,
    /// It was a cursor, and something was changed in it.
    #[error("was changed on its way")]
    Tampered,
    /// A cursor of a list with another category or difficulty.
    #[error("belongs to another filter")]
    OtherFilter,
}

impl Cursor {
    /// The cursor as clients get it: URL-safe text.
    #[must_use]
    pub fn encode(&self, filter: &Filter) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(FORMAT);
        bytes.extend_from_slice(self.after.as_bytes());
        bytes.extend_from_slice(&filter_digest(filter));
        let seal = seal(&bytes);
        bytes.extend_from_slice(&seal);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor in a text that a client sent back.
    ///
    /// # Errors
    /// [`CursorError`], by what is wrong with it.
    pub fn decode(text: &str, filter: &Filter) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CursorError::Malformed)?;
        if bytes.len() != LENGTH || bytes[0] != FORMAT {
            return Err(CursorError::Malformed);
        }
        let (body, found) = bytes.split_at(FILTER_END);
        if found != seal(body) {
            return Err(CursorError::Tampered);
        }
        if body[ID_END..] != filter_digest(filter) {
            return Err(CursorError::OtherFilter);
        }
        let after = Uuid::from_slice(&body[1..ID_END]).map_err(|_| CursorError::Malformed)?;
        Ok(Self { after })
    }
}

fn seal(body: &[u8]) -> [u8; 8] {
    first(
        &Sha256::new()
            .chain_update(b"question cursor\0")
            .chain_update(body)
            .finalize(),
    )
}

/// The page size is left out: a client may change it between pages.
fn filter_digest(filter: &Filter) -> [u8; 4] {
    let difficulty = filter
        .difficulty
        .map_or("", |difficulty| difficulty.as_str());
    let category = filter.category.as_deref().unwrap_or_default();
    let digest = Sha256::new()
        .chain_update(category.as_bytes())
        .chain_update(b"\0")
        .chain_update(difficulty.as_bytes());
    first(&digest.finalize())
}

fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests {
    use contracts::Difficulty;
    use proptest::prelude::*;

    use super::*;

    fn filter(category: Option<&str>, difficulty: Option<Difficulty>) -> Filter {
        let category = category.map(str::to_owned);
        Filter {
            category,
            difficulty,
            limit: 20,
            after: None,
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_filter_with_another_page_size() {
        let cursor = Cursor {
            after: Uuid::from_u128(7),
        };
        let text = cursor.encode(&filter(Some("rust"), None));
        let larger = Filter {
            limit: 100,
            ..filter(Some("rust"), None)
        };
        assert_eq!(Cursor::decode(&text, &larger), Ok(cursor));
    }

    #[test]
    fn a_cursor_of_another_filter_says_so() {
        let text = Cursor {
            after: Uuid::from_u128(7),
        }
        .encode(&filter(Some("rust"), None));
        for other in [
            filter(None, None),
            filter(Some("node"), None),
            filter(Some("rust"), Some(Difficulty::Hard)),
        ] {
            assert_eq!(Cursor::decode(&text, &other), Err(CursorError::OtherFilter));
        }
    }

    #[test]
    fn a_text_that_never_was_a_cursor_is_malformed() {
        for text in ["", "abc", "!!!!", "AAAA", &"A".repeat(10_000)] {
            let decoded = Cursor::decode(text, &filter(None, None));
            assert_eq!(decoded, Err(CursorError::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_cursor_comes_back_as_it_was(id: u128) {
            let cursor = Cursor { after: Uuid::from_u128(id) };
            let filter = filter(None, Some(Difficulty::Easy));
            prop_assert_eq!(Cursor::decode(&cursor.encode(&filter), &filter), Ok(cursor));
        }

        #[test]
        fn a_change_anywhere_behind_the_format_byte_is_found(
            id: u128,
            place in 1..LENGTH,
            change in 1..=255_u8,
        ) {
            let filter = filter(Some("rust"), None);
            let text = Cursor { after: Uuid::from_u128(id) }.encode(&filter);
            let mut bytes = URL_SAFE_NO_PAD.decode(text).expect("it was encoded so");
            bytes[place] ^= change;
            let changed = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(Cursor::decode(&changed, &filter), Err(CursorError::Tampered));
        }

        #[test]
        fn any_text_is_answered_with_an_error_and_never_a_panic(text in ".{0,80}") {
            prop_assert!(Cursor::decode(&text, &filter(None, None)).is_err());
        }
    }
}
