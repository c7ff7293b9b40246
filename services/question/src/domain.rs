//! Questions as they are read: which of them a list shows, and what a player may see of one. Pure:
//! no clock, no I/O. What a valid question is, the write side says (the admin service).
//!
//! Invariant: [`Question::public`] never carries the answer.

mod cursor;
mod filter;
mod question;

pub use contracts::Difficulty;
pub use contracts::events::Choice;
pub use cursor::{Cursor, CursorError};
pub use filter::{Filter, LIMIT_DEFAULT, LIMIT_MAX, RawFilter};
pub use question::{CATEGORY_LENGTH, Fault, Question};
