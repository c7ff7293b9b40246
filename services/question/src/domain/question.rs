//! One question, as this service shows it. It is not checked here: whoever wrote it did that (the
//! admin service, or the monolith).

use std::{fmt, ops::RangeInclusive};

use contracts::Difficulty;
use contracts::events::Choice;
use contracts::http::Question as PublicQuestion;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Characters of a category's name.
pub const CATEGORY_LENGTH: RangeInclusive<usize> = 1..=40;
/// Characters of a tag.
pub const TAG_LENGTH: RangeInclusive<usize> = 1..=30;

/// A question with its answer. For services, never for players.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The question's id.
    pub id: Uuid,
    /// What is asked.
    pub text: String,
    /// Its category: lower-case words joined by hyphens.
    pub category: String,
    /// Its difficulty.
    pub difficulty: Difficulty,
    /// Four of them, with distinct ids and texts.
    pub choices: Vec<Choice>,
    /// The id of the right one.
    pub correct_choice_id: String,
    /// Words to find it by, in alphabetical order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// From 1; rises with every edit.
    pub version: i64,
}

/// One thing that is wrong with one parameter of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The parameter, as the query names it.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Question {
    /// What a player may see: everything but the answer.
    #[must_use]
    pub fn public(&self) -> PublicQuestion {
        PublicQuestion {
            id: self.id,
            text: self.text.clone(),
            category: self.category.clone(),
            difficulty: self.difficulty,
            choices: self.choices.clone(),
            tags: self.tags.clone(),
        }
    }
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.field, self.message)
    }
}

/// Categories appear in URLs and as keys, so they are plain: `distributed-systems`.
pub(super) fn category_fault(field: &str, category: &str) -> Option<Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = CATEGORY_LENGTH.contains(&category.len());
    let ends_plain = !category.starts_with('-') && !category.ends_with('-');
    (!(fits && ends_plain && category.bytes().all(plain))).then(|| {
        let longest = CATEGORY_LENGTH.end();
        let rule = format!("is not 1 to {longest} lower-case letters, digits and inner hyphens");
        Fault::new(field, rule)
    })
}

/// Tags are words joined by single hyphens: `event-loop`.
pub(super) fn tag_fault(field: &str, tag: &str) -> Option<Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let words = tag
        .split('-')
        .all(|word| !word.is_empty() && word.bytes().all(plain));
    (!(words && TAG_LENGTH.contains(&tag.len()))).then(|| {
        let longest = TAG_LENGTH.end();
        let rule =
            format!("is not 1 to {longest} characters of lower-case words joined by hyphens");
        Fault::new(field, rule)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_plain_words_joined_by_hyphens() {
        for good in ["rust", "distributed-systems", "http2"] {
            assert_eq!(category_fault("category", good), None, "{good}");
        }
        for bad in ["", "Rust", "a b", "-rust", "rust-", "rüst", &"a".repeat(41)] {
            assert!(category_fault("category", bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn tags_are_words_joined_by_single_hyphens() {
        for good in ["io", "event-loop", "http2"] {
            assert_eq!(tag_fault("tag", good), None, "{good}");
        }
        for bad in ["", "Io", "a b", "-io", "io-", "a--b", "ïo", &"a".repeat(31)] {
            assert!(tag_fault("tag", bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn what_players_see_does_not_carry_the_answer() {
        let question = Question {
            id: Uuid::nil(),
            text: "Is this a valid question?".to_owned(),
            category: "rust".to_owned(),
            difficulty: Difficulty::Easy,
            choices: vec![Choice {
                id: "a".to_owned(),
                text: "Yes".to_owned(),
            }],
            correct_choice_id: "a".to_owned(),
            tags: Vec::new(),
            version: 1,
        };
        let json = serde_json::to_value(question.public()).expect("it is JSON");
        let fields: Vec<&String> = json.as_object().expect("an object").keys().collect();
        assert_eq!(
            fields,
            ["category", "choices", "difficulty", "id", "tags", "text"]
        );
        let choice: Vec<&String> = json["choices"][0]
            .as_object()
            .expect("an object")
            .keys()
            .collect();
        assert_eq!(choice, ["id", "text"]);
    }
}
