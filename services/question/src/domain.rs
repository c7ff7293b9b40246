//! Questions: what a valid one is, which of them a list shows, and what a player may see of one.
//! Pure: no clock, no I/O.
//!
//! Invariants: what comes in becomes a [`Question`] only through the checks of [`Question::new`];
//! [`Question::public`] never carries the answer.

mod cursor;
mod filter;
mod question;

pub use contracts::Difficulty;
pub use contracts::events::Choice;
pub use cursor::{Cursor, CursorError};
pub use filter::{Filter, LIMIT_DEFAULT, LIMIT_MAX, RawFilter};
pub use question::{
    CATEGORY_LENGTH, CHOICE_ID_LENGTH, CHOICE_LENGTH, CHOICES, Draft, Fault, Question, TEXT_LENGTH,
};
