//! The rows of an import file: JSON, JSON lines or CSV, read one by one, each with the line where it
//! begins.
//!
//! Invariants: a file that cannot be read as a whole is refused before any of its rows is used; a
//! row that cannot be read costs that row alone; what an export wrote comes back as it was.

pub(super) mod csv;
mod json;

use bytes::Bytes;
use thiserror::Error;
use uuid::Uuid;

use super::question::{Draft, Fault, VERSION_MAX};

/// Rows of a file at most: a report about all of them is one response body.
pub const ROWS_MAX: usize = 20_000;

/// Bytes of a file at most: it is held in memory while its rows are taken.
pub const FILE_MAX: usize = 16 * 1024 * 1024;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`: an array of questions, or an object with it as `questions`.
    Json,
    /// `application/x-ndjson`: a question on every line.
    Lines,
    /// `text/csv`: RFC 4180 with a header row.
    Csv,
}

/// A row of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The line where it begins, from 1.
    pub line: u64,
    /// The id that it names.
    pub id: Option<Uuid>,
    /// What it says, or why it cannot be read.
    pub draft: Result<Draft, RowFault>,
}

/// Why a row is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// A stable code.
    pub code: &'static str,
    /// The field at fault, where one is.
    pub field: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

/// Why nothing of a file is taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FileFault {
    /// It is not of the form that it is said to be.
    #[error("{0}")]
    Malformed(String),
    /// It is not UTF-8.
    #[error("the file is not UTF-8 text from line {0} on")]
    Encoding(u64),
    /// Its frame is not what it should be.
    #[error("{}", .0.message)]
    Shape(Fault),
    /// It is longer than one import may be.
    #[error("the file has more than {ROWS_MAX} rows")]
    TooManyRows,
}

/// The rows of a file, in its order.
#[derive(Debug)]
pub struct Rows(Inside);

#[derive(Debug)]
enum Inside {
    Json(json::Values),
    Csv(Box<csv::Records>),
}

impl Format {
    /// The form that a `Content-Type` names; none for others, and for other encodings than UTF-8.
    #[must_use]
    pub fn of_media_type(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let format = match parts.next()?.to_ascii_lowercase().as_str() {
            "application/json" => Self::Json,
            "application/x-ndjson" => Self::Lines,
            "text/csv" => Self::Csv,
            _ => return None,
        };
        let other_charset = parts.any(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            let is_utf_8 = ["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|charset| value.eq_ignore_ascii_case(charset));
            name.trim().eq_ignore_ascii_case("charset") && !is_utf_8
        });
        (!other_charset).then_some(format)
    }
}

impl Rows {
    /// Reads the frame of a file, and counts its rows.
    ///
    /// # Errors
    /// [`FileFault`].
    pub fn open(file: Bytes, format: Format) -> Result<Self, FileFault> {
        let file = match file.as_ref() {
            [0xEF, 0xBB, 0xBF, ..] => file.slice(3..),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => return Err(FileFault::Encoding(1)),
            _ => file,
        };
        let inside = match format {
            Format::Json => Inside::Json(json::Values::of_array(file)?),
            Format::Lines => Inside::Json(json::Values::of_lines(file)?),
            Format::Csv => Inside::Csv(Box::new(csv::Records::open(file)?)),
        };
        Ok(Self(inside))
    }

    /// The name that a file of this form has for a field: CSV has columns.
    #[must_use]
    pub fn name_of(&self, field: &str) -> String {
        match &self.0 {
            Inside::Json(_) => field.to_owned(),
            Inside::Csv(_) => csv::column_of(field),
        }
    }
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let mut row = match &mut self.0 {
            Inside::Json(values) => values.next(),
            Inside::Csv(records) => records.next(),
        }?;
        let version = row.draft.as_ref().ok().and_then(|draft| draft.version);
        if version.is_some_and(|version| !(1..=VERSION_MAX).contains(&version)) {
            let rule = format!("is not 1 to {VERSION_MAX}");
            row.draft = Err(RowFault::field("version", rule));
        }
        // Lists begin behind it, so a question with it would never be shown.
        if row.id == Some(Uuid::nil()) && row.draft.is_ok() {
            row.draft = Err(RowFault::field(
                "id",
                "is the nil UUID, which names nothing",
            ));
        }
        Some(row)
    }
}

impl RowFault {
    /// The row cannot be read at all.
    fn malformed(reason: impl Into<String>) -> Self {
        Self {
            code: "malformed_row",
            field: None,
            reason: reason.into(),
        }
    }

    /// One field of it is not acceptable.
    pub(super) fn field(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            code: "invalid_field",
            field: Some(name.into()),
            reason: reason.into(),
        }
    }
}

/// Tells the line of a place in a file; places only go forward.
#[derive(Debug)]
struct Lines {
    place: usize,
    line: u64,
}

impl Lines {
    fn new() -> Self {
        Self { place: 0, line: 1 }
    }

    fn at(&mut self, file: &[u8], place: usize) -> u64 {
        let place = place.min(file.len());
        // A line ends with LF, CR LF, or CR alone.
        let ends = |at: &usize| match file[*at] {
            b'\n' => true,
            b'\r' => file.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        self.line += (self.place..place).filter(ends).count() as u64;
        self.place = place;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_names_the_form_and_another_charset_is_none_of_them() {
        let form = Format::of_media_type;
        assert_eq!(form("application/json"), Some(Format::Json));
        assert_eq!(form("Text/CSV; charset=\"UTF-8\""), Some(Format::Csv));
        assert_eq!(
            form("application/x-ndjson;charset=utf8"),
            Some(Format::Lines)
        );
        assert_eq!(form("text/csv; charset=iso-8859-1"), None);
        assert_eq!(form("text/plain"), None);
        assert_eq!(form(""), None);
    }
}
