//! Which questions a list shows, and where its next page begins.

use std::str::FromStr;

use contracts::Difficulty;
use serde::Deserialize;
use uuid::Uuid;

use super::cursor::Cursor;
use super::question::{Fault, Question, category_fault};

/// Questions on a page, when the client does not say.
pub const LIMIT_DEFAULT: usize = 20;

/// Questions on a page at most: a page is one response body, held in memory.
pub const LIMIT_MAX: usize = 100;

/// The query of a list as it arrives: text, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RawFilter {
    /// Only this category.
    pub category: Option<String>,
    /// Only this difficulty.
    pub difficulty: Option<String>,
    /// Questions on a page, 1 to [`LIMIT_MAX`].
    pub limit: Option<String>,
    /// The `nextCursor` of the page before, unchanged, with the same filter.
    pub cursor: Option<String>,
}

/// A checked list query. Lists are ordered by question id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Only this category.
    pub category: Option<String>,
    /// Only this difficulty.
    pub difficulty: Option<Difficulty>,
    /// Questions on a page, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Only questions with a greater id.
    pub after: Option<Uuid>,
}

impl Filter {
    /// Checks a query. An empty parameter (`?category=`) is an absent one.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(raw: &RawFilter) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let category = given(&raw.category).map(str::to_owned);
        faults.extend(
            category
                .as_deref()
                .and_then(|name| category_fault("category", name)),
        );
        let difficulty = checked("difficulty", &raw.difficulty, &mut faults, |text| {
            Difficulty::from_str(text).map_err(|error| error.to_string())
        });
        let limit = checked("limit", &raw.limit, &mut faults, |text| {
            text.parse()
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                .ok_or_else(|| format!("is not a number from 1 to {LIMIT_MAX}"))
        });
        let mut filter = Self {
            category,
            difficulty,
            limit: limit.unwrap_or(LIMIT_DEFAULT),
            after: None,
        };
        if faults.is_empty() {
            // A cursor belongs to its filter: with a faulty one there is nothing to check it by.
            filter.after = checked("cursor", &raw.cursor, &mut faults, |text| {
                Cursor::decode(text, &filter).map_err(|error| error.to_string())
            })
            .map(|cursor| cursor.after);
        }
        if faults.is_empty() {
            Ok(filter)
        } else {
            Err(faults)
        }
    }

    /// Whether the question is on this list, on this page or a later one.
    #[must_use]
    pub fn matches(&self, question: &Question) -> bool {
        self.category
            .as_ref()
            .is_none_or(|category| *category == question.category)
            && self
                .difficulty
                .is_none_or(|difficulty| difficulty == question.difficulty)
            && self.after.is_none_or(|after| question.id > after)
    }

    /// How many rows a store should read: one more than a page shows whether there is a next one.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.limit + 1
    }

    /// Cuts the rows read (see [`Filter::rows`], in id order) to the page, and gives the cursor of
    /// the next page where there is one.
    #[must_use]
    pub fn page(&self, mut rows: Vec<Question>) -> (Vec<Question>, Option<String>) {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|question| Cursor { after: question.id }.encode(self));
        (rows, next)
    }
}

fn given(parameter: &Option<String>) -> Option<&str> {
    parameter.as_deref().filter(|text| !text.is_empty())
}

fn checked<T>(
    field: &str,
    parameter: &Option<String>,
    faults: &mut Vec<Fault>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    match parse(given(parameter)?) {
        Ok(value) => Some(value),
        Err(message) => {
            faults.push(Fault::new(field, message));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::events::Choice;

    use super::*;

    fn question(id: u128, category: &str, difficulty: Difficulty) -> Question {
        Question {
            id: Uuid::from_u128(id),
            text: "Is this a valid question?".to_owned(),
            category: category.to_owned(),
            difficulty,
            choices: vec![Choice {
                id: "a".to_owned(),
                text: "Yes".to_owned(),
            }],
            correct_choice_id: "a".to_owned(),
            tags: Vec::new(),
            version: 1,
        }
    }

    fn raw(category: &str, difficulty: &str, limit: &str, cursor: &str) -> RawFilter {
        RawFilter {
            category: Some(category.to_owned()),
            difficulty: Some(difficulty.to_owned()),
            limit: Some(limit.to_owned()),
            cursor: Some(cursor.to_owned()),
        }
    }

    fn faulty_fields(raw: &RawFilter) -> Vec<String> {
        let faults = Filter::parse(raw).expect_err("it is faulty");
        faults.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn nothing_given_means_everything_twenty_at_a_time() {
        let expected = Filter {
            category: None,
            difficulty: None,
            limit: 20,
            after: None,
        };
        assert_eq!(Filter::parse(&RawFilter::default()), Ok(expected.clone()));
        assert_eq!(Filter::parse(&raw("", "", "", "")), Ok(expected));
    }

    #[test]
    fn the_limit_is_one_to_a_hundred() {
        for limit in ["1", "100"] {
            assert!(Filter::parse(&raw("", "", limit, "")).is_ok(), "{limit}");
        }
        for limit in ["0", "101", "-1", "ten", "1.5", "99999999999999999999999"] {
            assert_eq!(faulty_fields(&raw("", "", limit, "")), ["limit"], "{limit}");
        }
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let fields = faulty_fields(&raw("No Such", "brutal", "0", ""));
        assert_eq!(fields, ["category", "difficulty", "limit"]);
        assert_eq!(faulty_fields(&raw("", "", "", "nonsense")), ["cursor"]);
    }

    #[test]
    fn the_fault_of_a_difficulty_names_the_ones_there_are() {
        let faults = Filter::parse(&raw("", "brutal", "", "")).expect_err("it is faulty");
        assert!(
            faults[0].message.contains("easy, medium, hard"),
            "{}",
            faults[0]
        );
    }

    #[test]
    fn category_and_difficulty_both_have_to_match() {
        let filter = Filter::parse(&raw("rust", "hard", "", "")).expect("it is valid");
        assert!(filter.matches(&question(1, "rust", Difficulty::Hard)));
        assert!(!filter.matches(&question(1, "rust", Difficulty::Easy)));
        assert!(!filter.matches(&question(1, "node", Difficulty::Hard)));
    }

    #[test]
    fn following_the_cursors_shows_every_matching_question_once_and_ends() {
        let all: Vec<Question> = (1..=23)
            .map(|id| {
                question(
                    id,
                    if id % 2 == 0 { "rust" } else { "node" },
                    Difficulty::Easy,
                )
            })
            .collect();
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let filter = Filter::parse(&raw("node", "", "5", &cursor)).expect("it is valid");
            let rows = all.iter().filter(|question| filter.matches(question));
            let (page, next) = filter.page(rows.take(filter.rows()).cloned().collect());
            seen.extend(page.iter().map(|question| question.id.as_u128()));
            pages += 1;
            match next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        assert_eq!(seen, (1..=23).step_by(2).collect::<Vec<u128>>());
        assert_eq!(pages, 3);
    }

    #[test]
    fn a_page_that_is_exactly_full_has_no_next_one() {
        let filter = Filter::parse(&raw("", "", "2", "")).expect("it is valid");
        let two = vec![
            question(1, "rust", Difficulty::Easy),
            question(2, "rust", Difficulty::Easy),
        ];
        let (page, next) = filter.page(two);
        assert_eq!((page.len(), next), (2, None));
    }
}
