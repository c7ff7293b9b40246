//! Questions as they are read: which of them a list shows, and what a player may see of one. Pure:
//! no clock, no I/O. What a valid question is, the write side says (the admin service).
//!
//! Invariant: [`Question::public`] never carries the answer.

mod draw;
mod filter;
mod pool;
mod question;
mod search;

pub use contracts::Difficulty;
pub use contracts::events::Choice;
pub use draw::{Drawn, REMEMBERED, one_of};
pub use filter::{Filter, LIMIT_DEFAULT, LIMIT_MAX, Place, RawFilter, SEARCH_LENGTH};
pub use pool::{Pool, RawPool};
pub use question::{CATEGORY_LENGTH, Fault, Question, TAG_LENGTH};
pub use search::{Conditions, FORMAT, Search, Text, words};
