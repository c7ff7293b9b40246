use std::mem::size_of;

use contracts::{
    events::Choice,
    http::{CategoryCount, TagCount},
};
use uuid::Uuid;

use super::Page;
use crate::domain::Question;

/// How much memory a value takes, about.
pub trait Weight {
    /// With what it points to.
    fn bytes(&self) -> usize;
}

impl Weight for Question {
    fn bytes(&self) -> usize {
        let choice = |choice: &Choice| size_of::<Choice>() + choice.id.len() + choice.text.len();
        let tag = |tag: &String| size_of::<String>() + tag.len();
        size_of::<Self>()
            + self.text.len()
            + self.category.len()
            + self.correct_choice_id.len()
            + self.choices.iter().map(choice).sum::<usize>()
            + self.tags.iter().map(tag).sum::<usize>()
    }
}

impl Weight for Page {
    fn bytes(&self) -> usize {
        let (questions, cursor) = self;
        questions.iter().map(Weight::bytes).sum::<usize>() + cursor.as_ref().map_or(0, String::len)
    }
}

impl Weight for Vec<Uuid> {
    fn bytes(&self) -> usize {
        size_of::<Uuid>() * self.len()
    }
}

impl Weight for Vec<CategoryCount> {
    fn bytes(&self) -> usize {
        let row = |row: &CategoryCount| size_of::<CategoryCount>() + row.category.len();
        self.iter().map(row).sum()
    }
}

impl Weight for Vec<TagCount> {
    fn bytes(&self) -> usize {
        let row = |row: &TagCount| size_of::<TagCount>() + row.tag.len();
        self.iter().map(row).sum()
    }
}
