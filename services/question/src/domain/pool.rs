//! Questions of one kind: what a list shows a part of, and what a draw draws from.

use std::str::FromStr;

use contracts::Difficulty;
use serde::Deserialize;
use utoipa::IntoParams;

use super::question::{Fault, Question, category_fault, tag_fault};

/// The query of a draw as it arrives: text, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RawPool {
    /// Only this category.
    #[param(
        nullable = false,
        max_length = 40,
        pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
    )]
    pub category: Option<String>,
    /// Only this difficulty.
    #[param(nullable = false, value_type = Option<Difficulty>, inline)]
    pub difficulty: Option<String>,
    /// Only questions with this tag.
    #[param(
        nullable = false,
        max_length = 30,
        pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"
    )]
    pub tag: Option<String>,
}

/// Questions of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Only this category.
    pub category: Option<String>,
    /// Only this difficulty.
    pub difficulty: Option<Difficulty>,
    /// Only with this tag.
    pub tag: Option<String>,
}

impl Pool {
    /// Checks a query.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(raw: &RawPool) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let pool = Self::checked(raw, &mut faults);
        if faults.is_empty() {
            Ok(pool)
        } else {
            Err(faults)
        }
    }

    /// The same text for the same pool, another one for each other.
    #[must_use]
    pub fn key(&self) -> String {
        // None of the parts has a slash in it.
        self.parts().join("/")
    }

    /// Category, difficulty and tag; empty texts for what is not asked for.
    #[must_use]
    pub fn parts(&self) -> [&str; 3] {
        [
            self.category.as_deref().unwrap_or_default(),
            self.difficulty.map_or("", Difficulty::as_str),
            self.tag.as_deref().unwrap_or_default(),
        ]
    }

    /// Whether the question is one of them.
    #[must_use]
    pub fn has(&self, question: &Question) -> bool {
        let (category, tag) = (self.category.as_ref(), self.tag.as_ref());
        category.is_none_or(|category| *category == question.category)
            && self
                .difficulty
                .is_none_or(|difficulty| difficulty == question.difficulty)
            && tag.is_none_or(|tag| question.tags.contains(tag))
    }

    pub(super) fn checked(raw: &RawPool, faults: &mut Vec<Fault>) -> Self {
        let category = raw.category.clone();
        faults.extend(
            category
                .as_deref()
                .and_then(|name| category_fault("category", name)),
        );
        let difficulty = checked("difficulty", &raw.difficulty, faults, |text| {
            Difficulty::from_str(text).map_err(|error| error.to_string())
        });
        let tag = raw.tag.clone();
        faults.extend(tag.as_deref().and_then(|name| tag_fault("tag", name)));
        Self {
            category,
            difficulty,
            tag,
        }
    }
}

/// A parameter that is there is checked; an empty one is there.
pub(super) fn checked<T>(
    field: &str,
    parameter: &Option<String>,
    faults: &mut Vec<Fault>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    match parse(parameter.as_deref()?) {
        Ok(value) => Some(value),
        Err(message) => {
            faults.push(Fault::new(field, message));
            None
        }
    }
}
