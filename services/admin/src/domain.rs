//! Questions as curators write them: what a valid one is. Pure: no clock, no I/O. The monolith calls
//! it, too, so that both sides judge alike.

mod question;

pub use contracts::{Difficulty, events::Choice};
pub use question::{
    CATEGORY_LENGTH, CHOICE_ID_LENGTH, CHOICE_LENGTH, CHOICES, Draft, Fault, Question, TAG_LENGTH,
    TAGS, TEXT_LENGTH,
};
