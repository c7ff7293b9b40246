//! Which questions a list shows, and where its next page begins.

use chassis::http::cursor::Listing;
use contracts::Difficulty;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::pool::{Pool, RawPool, checked};
use super::question::{Fault, Question};
use super::search::Search;

/// Questions on a page, when the client does not say.
pub const LIMIT_DEFAULT: usize = 20;

/// Questions on a page at most: a page is one response body, held in memory.
pub const LIMIT_MAX: usize = 100;

/// Characters of a search: a sentence, and few enough words for either database.
pub const SEARCH_LENGTH: usize = 200;

/// The query of a list as it arrives: text, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RawFilter {
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
    /// Only questions that have all of these words, in any order and case, with or without accents;
    /// the last one may be only begun. The questions that are about them come first. Everything
    /// but letters and digits separates words.
    #[param(
        nullable = false,
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$"
    )]
    pub q: Option<String>,
    /// Questions on a page; 20 unless told.
    #[param(nullable = false, value_type = Option<u32>, minimum = 1, maximum = 100)]
    pub limit: Option<String>,
    /// The `nextCursor` of the page before, unchanged, with the same filter.
    #[param(nullable = false)]
    pub cursor: Option<String>,
}

/// A checked list query. Lists are ordered by question id; what is searched for, by how well it
/// fits, then by id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Only these.
    pub pool: Pool,
    /// Only what this finds.
    pub search: Option<Search>,
    /// Questions on a page, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Only questions behind this place.
    pub after: Option<Place>,
}

/// A question's place in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// [`Search::rank`]; 0 without a search. The best come first.
    pub rank: i64,
    /// Among equals, the question's id.
    pub id: Uuid,
}

impl Filter {
    /// Checks a query.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(raw: &RawFilter) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let pool = RawPool {
            category: raw.category.clone(),
            difficulty: raw.difficulty.clone(),
            tag: raw.tag.clone(),
        };
        let pool = Pool::checked(&pool, &mut faults);
        let search = checked("q", &raw.q, &mut faults, search);
        let limit = checked("limit", &raw.limit, &mut faults, limit);
        let mut filter = Self {
            pool,
            search,
            limit: limit.unwrap_or(LIMIT_DEFAULT),
            after: None,
        };
        if faults.is_empty() {
            // A cursor belongs to its filter: with a faulty one there is nothing to check it by.
            filter.after = checked("cursor", &raw.cursor, &mut faults, |text| {
                filter.listed(|list| list.place(text).map_err(|error| error.to_string()))
            });
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
        let place = self.place(question);
        let is_behind = |after: Place| {
            (std::cmp::Reverse(place.rank), place.id) > (std::cmp::Reverse(after.rank), after.id)
        };
        self.pool.has(question)
            && self
                .search
                .as_ref()
                .is_none_or(|search| search.finds(question))
            && self.after.is_none_or(is_behind)
    }

    /// Where a question that is on this list stands.
    #[must_use]
    pub fn place(&self, question: &Question) -> Place {
        Place {
            rank: self
                .search
                .as_ref()
                .map_or(0, |search| search.rank(question)),
            id: question.id,
        }
    }

    /// How many rows a store should read: one more than a page shows whether there is a next one.
    #[must_use]
    pub fn rows(&self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// Cuts the rows read (see [`Filter::rows`], in the list's order) to the page, and gives the
    /// cursor of the next page where there is one.
    #[must_use]
    pub fn page(&self, mut rows: Vec<Question>) -> (Vec<Question>, Option<String>) {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|question| self.listed(|list| list.cursor(&self.place(question))));
        (rows, next)
    }

    /// The list that cursors belong to. The page's size is no part of it: a client may change that.
    fn listed<T>(&self, act: impl FnOnce(Listing<'_>) -> T) -> T {
        let search = self.search.as_ref().map(Search::canonical);
        let [category, difficulty, tag] = self.pool.parts();
        // With its mark, a search for nothing is not the list without a search.
        let search = search.map_or_else(String::new, |words| format!("q {words}"));
        act(Listing {
            name: "questions",
            filter: &[category, difficulty, tag, &search],
        })
    }
}

fn search(text: &str) -> Result<Search, String> {
    let characters = text.chars().count();
    if !(1..=SEARCH_LENGTH).contains(&characters) {
        return Err(format!(
            "has {characters} characters, not 1 to {SEARCH_LENGTH}"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("has control characters".to_owned());
    }
    Ok(Search::parse(text))
}

fn limit(text: &str) -> Result<usize, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| format!("is not a number from 1 to {LIMIT_MAX}"))
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
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RawFilter {
            category: given(category),
            difficulty: given(difficulty),
            limit: given(limit),
            cursor: given(cursor),
            ..RawFilter::default()
        }
    }

    fn searching(q: &str) -> RawFilter {
        RawFilter {
            q: Some(q.to_owned()),
            ..RawFilter::default()
        }
    }

    fn faulty_fields(raw: &RawFilter) -> Vec<String> {
        let faults = Filter::parse(raw).expect_err("it is faulty");
        faults.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn nothing_given_means_everything_twenty_at_a_time() {
        let expected = Filter {
            pool: Pool::default(),
            search: None,
            limit: 20,
            after: None,
        };
        assert_eq!(Filter::parse(&RawFilter::default()), Ok(expected));
    }

    #[test]
    fn an_empty_parameter_is_a_fault_and_not_an_absent_one() {
        let empty = RawFilter {
            category: Some(String::new()),
            difficulty: Some(String::new()),
            tag: Some(String::new()),
            q: Some(String::new()),
            limit: Some(String::new()),
            cursor: None,
        };
        assert_eq!(
            faulty_fields(&empty),
            ["category", "difficulty", "tag", "q", "limit"]
        );
        let cursor = RawFilter {
            cursor: Some(String::new()),
            ..RawFilter::default()
        };
        assert_eq!(faulty_fields(&cursor), ["cursor"]);
    }

    #[test]
    fn a_search_is_any_text_of_bounded_length_without_control_characters() {
        for good in ["*", "\"NEAR(", "größe", &"ä".repeat(200)] {
            assert!(Filter::parse(&searching(good)).is_ok(), "{good}");
        }
        for bad in ["a\0b", "a\nb", &"ä".repeat(201)] {
            assert_eq!(faulty_fields(&searching(bad)), ["q"], "{bad:?}");
        }
    }

    #[test]
    fn a_cursor_belongs_to_what_was_searched_for() {
        let mut of = searching("Rust TRAIT");
        let place = Place {
            rank: 3,
            id: Uuid::from_u128(7),
        };
        let filter = Filter::parse(&of).expect("it is valid");
        of.cursor = Some(filter.listed(|list| list.cursor(&place)));
        assert_eq!(Filter::parse(&of).expect("it is valid").after, Some(place));
        of.q = Some("rust, trait".to_owned());
        assert_eq!(Filter::parse(&of).expect("the same").after, Some(place));
        for other in [Some("rust".to_owned()), None] {
            of.q = other;
            assert_eq!(faulty_fields(&of), ["cursor"]);
        }
    }

    #[test]
    fn the_limit_is_one_to_a_hundred() {
        for limit in ["1", "100"] {
            assert!(Filter::parse(&raw("", "", limit, "")).is_ok(), "{limit}");
        }
        for limit in [
            "0",
            "101",
            "-1",
            "+1",
            "ten",
            "1.5",
            "99999999999999999999999",
        ] {
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
            let (page, next) = filter.page(rows.take(6).cloned().collect());
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
