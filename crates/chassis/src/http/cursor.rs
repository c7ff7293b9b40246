//! The opaque mark in a list where its next page begins.
//!
//! Layout before URL-safe base64: a format byte, eight bytes of a digest over the list's name, its
//! filter and what follows, then the place as JSON. The digest has no key, on purpose: a cursor
//! protects nothing (whoever may read a list may read all of it); it finds mistakes and meddling
//! early, and both sides of a move can read each other's cursors without a shared secret.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::Problem;

const FORMAT: u8 = 2;
const SEAL: usize = 8;
/// Longer ones are not ours; nothing is decoded of them.
const MAX_TEXT: usize = 1024;

/// A list that is read page by page: its name, and the filter that its cursors belong to. The
/// page's size is no part of it: a client may change that between pages.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// A name that no other list has.
    pub name: &'static str,
    /// Everything that decides which items are on the list and in which order.
    pub filter: &'a [&'a str],
}

/// A text that is no cursor of this list: never was, was changed, or belongs to another filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("is not a cursor of this list")]
pub struct BadCursor;

impl Listing<'_> {
    /// The cursor behind which the next page begins, as clients get it.
    pub fn cursor<T: Serialize>(&self, place: &T) -> String {
        let place = serde_json::to_vec(place).unwrap_or_default();
        let mut bytes = Vec::with_capacity(1 + SEAL + place.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.seal(&place));
        bytes.extend_from_slice(&place);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor marks.
    ///
    /// # Errors
    /// [`BadCursor`].
    pub fn place<T: DeserializeOwned>(&self, cursor: &str) -> Result<T, BadCursor> {
        if cursor.len() > MAX_TEXT {
            return Err(BadCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| BadCursor)?;
        let (head, place) = bytes.split_at_checked(1 + SEAL).ok_or(BadCursor)?;
        if head[0] != FORMAT || head[1..] != self.seal(place) {
            return Err(BadCursor);
        }
        serde_json::from_slice(place).map_err(|_| BadCursor)
    }

    fn seal(&self, place: &[u8]) -> [u8; SEAL] {
        let mut digest = Sha256::new();
        // Lengths keep neighbours apart: ("ab", "c") is not ("a", "bc").
        for part in [self.name].iter().chain(self.filter) {
            digest.update(part.len().to_le_bytes());
            digest.update(part.as_bytes());
        }
        digest.update(place);
        let digest = digest.finalize();
        std::array::from_fn(|index| digest[index])
    }
}

impl From<BadCursor> for Problem {
    fn from(_: BadCursor) -> Self {
        let detail = "The cursor must be the `nextCursor` of a page of this list, unchanged, with \
                      the same filter.";
        Self::bad_request("bad_cursor", detail).field("cursor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARD: Listing<'static> = Listing {
        name: "board",
        filter: &["classic", "day"],
    };

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let place = ("key".to_owned(), 7_i64);
        let cursor = BOARD.cursor(&place);
        assert_eq!(BOARD.place::<(String, i64)>(&cursor), Ok(place));
    }

    #[test]
    fn a_cursor_of_another_list_or_filter_is_refused() {
        let cursor = BOARD.cursor(&7);
        for (name, filter) in [
            ("board", ["classic", "week"]),
            ("users", ["classic", "day"]),
            ("board", ["classicd", "ay"]),
        ] {
            let other = Listing {
                name,
                filter: &filter,
            };
            assert_eq!(other.place::<i64>(&cursor), Err(BadCursor));
        }
    }

    #[test]
    fn a_change_anywhere_is_found() {
        let cursor = BOARD.cursor(&"0123456789");
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(BOARD.place::<String>(&changed), Err(BadCursor), "{place}");
        }
    }

    #[test]
    fn what_never_was_a_cursor_is_refused() {
        for text in ["", "abc", "!!!!", "AAAA", &"A".repeat(100_000)] {
            assert_eq!(BOARD.place::<i64>(text), Err(BadCursor));
        }
    }
}
