//! Which questions a curator's list or export shows, and where the list's next page begins.

use chassis::http::cursor::{BadCursor, Listing};
use contracts::Difficulty;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    import::Mode,
    question::{Fault, Question, category_fault, tag_fault},
    rows::Format,
};

/// Questions on a page, when the curator does not say.
pub(super) const LIMIT_DEFAULT: usize = 20;

/// Questions on a page at most: a page is one response body, held in memory.
pub const LIMIT_MAX: usize = 100;

/// Characters of a search at most: longer than any word that it could find.
pub(super) const SEARCH_LENGTH: usize = 200;

/// The query of a list as it arrives: text, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RawListing {
    /// Only this category.
    #[param(value_type = Option<String>, pattern = "^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
    pub category: Option<String>,
    /// Only this difficulty.
    #[param(value_type = Option<Difficulty>, inline)]
    pub difficulty: Option<String>,
    /// Only questions with this tag.
    #[param(value_type = Option<String>, max_length = 30, pattern = "^[a-z0-9]+(?:-[a-z0-9]+)*$")]
    pub tag: Option<String>,
    /// Only questions whose text or choices contain this, in upper or lower case.
    #[param(value_type = Option<String>, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,200}$")]
    pub q: Option<String>,
    /// Questions on a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    pub limit: Option<String>,
    /// The `nextCursor` of the page before, unchanged, with the same filter.
    pub cursor: Option<String>,
}

/// The query of an export as it arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RawExport {
    /// `json` unless said.
    #[param(value_type = Option<String>, pattern = "^(?:json|csv|ndjson)$")]
    pub format: Option<String>,
    /// Only this category.
    #[param(value_type = Option<String>, pattern = "^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
    pub category: Option<String>,
    /// Only this difficulty.
    #[param(value_type = Option<Difficulty>, inline)]
    pub difficulty: Option<String>,
    /// Only questions with this tag.
    #[param(value_type = Option<String>, max_length = 30, pattern = "^[a-z0-9]+(?:-[a-z0-9]+)*$")]
    pub tag: Option<String>,
    /// Only questions whose text or choices contain this, in upper or lower case.
    #[param(value_type = Option<String>, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,200}$")]
    pub q: Option<String>,
}

/// The query of an import as it arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RawImport {
    /// What may happen to questions that are there: `upsert` (unless said) changes them to what
    /// the file says, `create` leaves them.
    #[param(value_type = Option<String>, pattern = "^(?:upsert|create)$")]
    pub mode: Option<String>,
}

/// Which questions, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this category.
    pub category: Option<String>,
    /// Only this difficulty.
    pub difficulty: Option<Difficulty>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only those that contain this, in lower case.
    pub search: Option<String>,
}

/// A page that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOf {
    /// Of which questions.
    pub filter: Filter,
    /// Questions on it, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Only questions with a greater id.
    pub after: Uuid,
}

/// Why a query is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListingError {
    /// All that is wrong with its parameters.
    Faults(Vec<Fault>),
    /// The cursor is none of this list's.
    Cursor(BadCursor),
}

impl RawExport {
    fn listing(&self) -> RawListing {
        RawListing {
            category: self.category.clone(),
            difficulty: self.difficulty.clone(),
            tag: self.tag.clone(),
            q: self.q.clone(),
            ..RawListing::default()
        }
    }

    /// Which questions to export.
    ///
    /// # Errors
    /// Everything that is wrong with the query.
    pub fn filter(&self) -> Result<Filter, Vec<Fault>> {
        let mut faults = Vec::new();
        let filter = Filter::parse(&self.listing(), &mut faults);
        if faults.is_empty() {
            Ok(filter)
        } else {
            Err(faults)
        }
    }
}

impl RawExport {
    /// The file's form.
    ///
    /// # Errors
    /// A format that there is not.
    pub fn form(&self) -> Result<Format, Vec<Fault>> {
        match self.format.as_deref() {
            None | Some("json") => Ok(Format::Json),
            Some("ndjson") => Ok(Format::Lines),
            Some("csv") => Ok(Format::Csv),
            Some(_) => Err(vec![Fault::new("format", "is none of json, ndjson, csv")]),
        }
    }
}

impl RawImport {
    /// What the import may do.
    ///
    /// # Errors
    /// A mode that there is not.
    pub fn mode(&self) -> Result<Mode, Vec<Fault>> {
        match self.mode.as_deref() {
            None | Some("upsert") => Ok(Mode::Upsert),
            Some("create") => Ok(Mode::Create),
            Some(_) => Err(vec![Fault::new("mode", "is none of upsert, create")]),
        }
    }
}

impl Filter {
    fn parse(raw: &RawListing, faults: &mut Vec<Fault>) -> Self {
        if let Some(category) = &raw.category {
            faults.extend(category_fault("category", category));
        }
        let difficulty = raw.difficulty.as_deref().and_then(|text| {
            text.parse()
                .map_err(|error: contracts::UnknownName| {
                    faults.push(Fault::new("difficulty", error.to_string()));
                })
                .ok()
        });
        if let Some(tag) = &raw.tag {
            faults.extend(tag_fault("tag", tag));
        }
        if let Some(search) = &raw.q {
            let characters = search.chars().count();
            if !(1..=SEARCH_LENGTH).contains(&characters) {
                let rule = format!("has {characters} characters, not 1 to {SEARCH_LENGTH}");
                faults.push(Fault::new("q", rule));
            } else if search.chars().any(char::is_control) {
                faults.push(Fault::new("q", "has control characters"));
            }
        }
        Self {
            category: raw.category.clone(),
            difficulty,
            tag: raw.tag.clone(),
            search: raw.q.as_deref().map(str::to_lowercase),
        }
    }

    /// Whether the question is on a list with this filter.
    #[must_use]
    pub fn matches(&self, question: &Question) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        is(&self.category, &question.category)
            && self
                .difficulty
                .is_none_or(|difficulty| difficulty == question.difficulty)
            && self
                .tag
                .as_ref()
                .is_none_or(|tag| question.tags.contains(tag))
            && self
                .search
                .as_ref()
                .is_none_or(|search| question.searchable().contains(search))
    }
}

impl PageOf {
    /// Checks a query.
    ///
    /// # Errors
    /// [`ListingError`].
    pub fn parse(raw: &RawListing) -> Result<Self, ListingError> {
        let mut faults = Vec::new();
        let filter = Filter::parse(raw, &mut faults);
        let limit = match raw.limit.as_deref() {
            None => LIMIT_DEFAULT,
            Some(text) => match text.parse() {
                Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => limit,
                _ => {
                    let rule = format!("is not a number from 1 to {LIMIT_MAX}");
                    faults.push(Fault::new("limit", rule));
                    LIMIT_DEFAULT
                }
            },
        };
        if !faults.is_empty() {
            return Err(ListingError::Faults(faults));
        }
        let mut page = Self {
            filter,
            limit,
            after: Uuid::nil(),
        };
        if let Some(cursor) = &raw.cursor {
            let place = page.listed(|listing| listing.place(cursor));
            page.after = place.map_err(ListingError::Cursor)?;
        }
        Ok(page)
    }

    /// How many questions a store should read: one more than a page shows whether there is a next.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.limit + 1
    }

    /// Cuts the questions read to the page, and gives the next page's cursor where there is one.
    #[must_use]
    pub fn cut(&self, mut questions: Vec<Question>) -> (Vec<Question>, Option<String>) {
        let more = questions.len() > self.limit;
        questions.truncate(self.limit);
        let last = questions.last().filter(|_| more);
        let next = last.map(|question| self.listed(|listing| listing.cursor(&question.id)));
        (questions, next)
    }

    fn listed<T>(&self, act: impl FnOnce(&Listing<'_>) -> T) -> T {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (category, tag) = (text(&self.filter.category), text(&self.filter.tag));
        let search = text(&self.filter.search);
        let difficulty = self.filter.difficulty.map_or("", Difficulty::as_str);
        act(&Listing {
            name: "curated-questions",
            filter: &[&category, difficulty, &tag, &search],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(field: &str, value: &str) -> RawListing {
        let mut raw = RawListing::default();
        let value = Some(value.to_owned());
        match field {
            "category" => raw.category = value,
            "difficulty" => raw.difficulty = value,
            "tag" => raw.tag = value,
            "q" => raw.q = value,
            "limit" => raw.limit = value,
            _ => raw.cursor = value,
        }
        raw
    }

    #[test]
    fn each_parameter_is_checked_and_named() {
        for (field, value) in [
            ("category", "No Such"),
            ("category", ""),
            ("difficulty", "brutal"),
            ("tag", "a--b"),
            ("q", ""),
            ("q", "bell\u{7}"),
            ("limit", "0"),
            ("limit", "101"),
            ("limit", "ten"),
        ] {
            let found = PageOf::parse(&raw(field, value)).expect_err(value);
            let ListingError::Faults(faults) = found else {
                panic!("{field} is no cursor");
            };
            assert_eq!(faults[0].field, field, "{value:?}");
        }
        let cursor = PageOf::parse(&raw("cursor", "nonsense"));
        assert_eq!(cursor, Err(ListingError::Cursor(BadCursor)));
    }

    #[test]
    fn a_cursor_belongs_to_its_filter() {
        let page = PageOf::parse(&raw("tag", "io")).expect("valid");
        let cursor = page.listed(|listing| listing.cursor(&Uuid::from_u128(7)));
        let mut again = raw("tag", "io");
        again.cursor = Some(cursor);
        assert_eq!(
            PageOf::parse(&again).expect("valid").after,
            Uuid::from_u128(7)
        );
        again.tag = Some("net".to_owned());
        assert_eq!(PageOf::parse(&again), Err(ListingError::Cursor(BadCursor)));
    }
}
