//! Questions as CSV: RFC 4180 with a header row, UTF-8.
//!
//! Columns, in any order, upper or lower case, with or without `_`, `-` and spaces: `text`,
//! `category`, `difficulty`, `choiceA` to `choiceD` (or `choice_1` to `choice_4`), `correct`; and
//! where wanted `id`, `version`, `tags` (separated by `|`), `choiceAId` to `choiceDId` (or
//! `choice_1_id` …; a to d unless said). `correct` is a choice's id, or else its column: A to D, or
//! 1 to 4. A cell that a spreadsheet would take for a formula is written with an apostrophe before
//! it, which reading removes.

use std::{borrow::Cow, io::Cursor};

use bytes::Bytes;
use contracts::events::Choice;

use super::{FileFault, Lines, ROWS_MAX, Row, RowFault};
use crate::domain::question::{CHOICES, Draft, Fault, Question};

/// The columns of an export, and the names of all columns.
const COLUMNS: [&str; 15] = [
    "id",
    "version",
    "category",
    "difficulty",
    "text",
    "choiceA",
    "choiceB",
    "choiceC",
    "choiceD",
    "correct",
    "tags",
    "choiceAId",
    "choiceBId",
    "choiceCId",
    "choiceDId",
];

const ID: usize = 0;
const VERSION: usize = 1;
const CATEGORY: usize = 2;
const DIFFICULTY: usize = 3;
const TEXT: usize = 4;
const FIRST_CHOICE: usize = 5;
const CORRECT: usize = 9;
const TAGS: usize = 10;
const FIRST_CHOICE_ID: usize = 11;

/// What a row cannot do without.
const REQUIRED: [usize; 8] = [CATEGORY, DIFFICULTY, TEXT, 5, 6, 7, 8, CORRECT];

/// A choice's id, by its place, where the file names none.
const CHOICE_IDS: [&str; CHOICES] = ["a", "b", "c", "d"];

/// Spreadsheets take a cell for a formula when it begins with one of these.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The records of a file behind its header.
#[derive(Debug)]
pub(super) struct Records {
    file: Bytes,
    reader: csv::Reader<Cursor<Bytes>>,
    /// The place of each of [`COLUMNS`] in the file's records.
    places: [Option<usize>; COLUMNS.len()],
    width: usize,
    record: csv::ByteRecord,
    lines: Lines,
}

impl Records {
    pub(super) fn open(file: Bytes) -> Result<Self, FileFault> {
        let mut reader = reader(&file);
        let mut record = csv::ByteRecord::new();
        let unreadable =
            |error: csv::Error| FileFault::Malformed(format!("The file is no CSV: {error}."));
        if !reader.read_byte_record(&mut record).map_err(unreadable)? {
            return Err(shape(
                "text",
                "is no column: the file is empty and has no header row",
            ));
        }
        let places = columns(&record)?;
        let width = record.len();
        let mut count = 0;
        while reader.read_byte_record(&mut record).map_err(unreadable)? {
            count += 1;
            if count > ROWS_MAX {
                return Err(FileFault::TooManyRows);
            }
        }
        // Counted; now from the beginning, behind the header.
        let mut reader = self::reader(&file);
        reader.read_byte_record(&mut record).map_err(unreadable)?;
        Ok(Self {
            file,
            reader,
            places,
            width,
            record,
            lines: Lines::new(),
        })
    }

    pub(super) fn next(&mut self) -> Option<Row> {
        // The whole file was read once and held no error.
        if !self.reader.read_byte_record(&mut self.record).ok()? {
            return None;
        }
        let place = self.record.position().map_or(0, csv::Position::byte);
        let mut place = usize::try_from(place).unwrap_or(usize::MAX);
        // The reader stands before the empty lines that it then passes over.
        while matches!(self.file.get(place), Some(b'\n' | b'\r')) {
            place += 1;
        }
        let line = self.lines.at(&self.file, place);
        let id = self.cell(ID).ok().and_then(|id| id.trim().parse().ok());
        let draft = self.draft();
        Some(Row { line, id, draft })
    }

    fn draft(&self) -> Result<Draft, RowFault> {
        if self.record.len() != self.width {
            let (found, width) = (self.record.len(), self.width);
            return Err(RowFault::malformed(format!(
                "has {found} cells, not {width}"
            )));
        }
        let id = self.cell(ID)?;
        if !id.trim().is_empty() && uuid::Uuid::try_parse(id.trim()).is_err() {
            return Err(RowFault::field("id", "is no UUID"));
        }
        let version = self.cell(VERSION)?;
        let version = match version.trim() {
            "" => None,
            digits => Some(
                digits
                    .parse()
                    .map_err(|_| RowFault::field("version", "is no whole number"))?,
            ),
        };
        let difficulty = self.cell(DIFFICULTY)?;
        let difficulty = difficulty
            .trim()
            .parse()
            .map_err(|error: contracts::UnknownName| {
                RowFault::field("difficulty", error.to_string())
            })?;
        let mut choices = Vec::with_capacity(CHOICES);
        for (index, letter) in CHOICE_IDS.iter().enumerate() {
            let id = self.cell(FIRST_CHOICE_ID + index)?;
            let id = if id.trim().is_empty() {
                letter
            } else {
                id.trim()
            };
            choices.push(Choice {
                id: id.to_owned(),
                text: self.text(FIRST_CHOICE + index)?,
            });
        }
        let correct = self.cell(CORRECT)?;
        let tags = self.cell(TAGS)?;
        let tags = tags.split('|').map(str::trim).filter(|tag| !tag.is_empty());
        Ok(Draft {
            text: self.text(TEXT)?,
            category: self.cell(CATEGORY)?.trim().to_owned(),
            difficulty,
            correct_choice_id: correct_choice(correct.trim(), &choices),
            choices,
            tags: tags.map(str::to_owned).collect(),
            version,
        })
    }

    /// A cell; an absent column is empty everywhere.
    fn cell(&self, column: usize) -> Result<Cow<'_, str>, RowFault> {
        let cell = self.places[column].and_then(|place| self.record.get(place));
        let text = std::str::from_utf8(cell.unwrap_or_default()).map_err(|_| RowFault {
            code: "malformed_row",
            field: Some(COLUMNS[column].to_owned()),
            reason: "is not UTF-8 text".to_owned(),
        })?;
        Ok(Cow::Borrowed(plain(text)))
    }

    /// A cell with prose: spreadsheets end lines as Windows does.
    fn text(&self, column: usize) -> Result<String, RowFault> {
        Ok(self.cell(column)?.replace("\r\n", "\n"))
    }
}

/// The column that a question's field comes from.
pub(super) fn column_of(field: &str) -> String {
    for (index, letter) in ["A", "B", "C", "D"].iter().enumerate() {
        if field == format!("choices[{index}].text") {
            return format!("choice{letter}");
        }
        if field == format!("choices[{index}].id") {
            return format!("choice{letter}Id");
        }
    }
    match field {
        "correctChoiceId" => "correct".to_owned(),
        _ if field.starts_with("tags[") => "tags".to_owned(),
        _ => field.to_owned(),
    }
}

/// The header row of an export.
pub(in super::super) fn header() -> Vec<u8> {
    record(COLUMNS.iter().map(|name| Cow::Borrowed(*name)))
}

/// A question's row in an export.
pub(in super::super) fn row(question: &Question) -> Vec<u8> {
    let text = |index: usize| {
        question
            .choices
            .get(index)
            .map_or("", |choice| &choice.text)
    };
    let id = |index: usize| question.choices.get(index).map_or("", |choice| &choice.id);
    let cells: [String; COLUMNS.len()] = [
        question.id.to_string(),
        question.version.to_string(),
        question.category.clone(),
        question.difficulty.as_str().to_owned(),
        question.text.clone(),
        text(0).to_owned(),
        text(1).to_owned(),
        text(2).to_owned(),
        text(3).to_owned(),
        question.correct_choice_id.clone(),
        question.tags.join("|"),
        id(0).to_owned(),
        id(1).to_owned(),
        id(2).to_owned(),
        id(3).to_owned(),
    ];
    record(cells.iter().map(|cell| guarded(cell)))
}

fn record<'a>(cells: impl Iterator<Item = Cow<'a, str>>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    // Writing to memory cannot fail.
    writer
        .write_record(cells.map(|cell| cell.into_owned()))
        .ok();
    writer.into_inner().unwrap_or_default()
}

fn reader(file: &Bytes) -> csv::Reader<Cursor<Bytes>> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(Cursor::new(file.clone()))
}

fn columns(header: &csv::ByteRecord) -> Result<[Option<usize>; COLUMNS.len()], FileFault> {
    let mut places = [None; COLUMNS.len()];
    for (place, cell) in header.iter().enumerate() {
        let name = std::str::from_utf8(cell).map_err(|_| FileFault::Encoding(1))?;
        let column = COLUMNS
            .iter()
            .position(|column| folded(column) == folded(name))
            .ok_or_else(|| shape(name, "is no column of questions"))?;
        if places[column].replace(place).is_some() {
            return Err(shape(COLUMNS[column], "is a column twice"));
        }
    }
    match REQUIRED.iter().find(|column| places[**column].is_none()) {
        Some(missing) => Err(shape(COLUMNS[*missing], "is no column of the header row")),
        None => Ok(places),
    }
}

/// `choice_1`, `Choice A` and `choiceA` are one name.
fn folded(name: &str) -> String {
    let mut name: String = name
        .chars()
        .filter(|character| !matches!(character, '_' | '-' | ' '))
        .collect();
    name.make_ascii_lowercase();
    for (digit, letter) in [("1", "a"), ("2", "b"), ("3", "c"), ("4", "d")] {
        name = name.replace(&format!("choice{digit}"), &format!("choice{letter}"));
    }
    name
}

fn shape(field: &str, message: &str) -> FileFault {
    FileFault::Shape(Fault::new(field, message))
}

/// The id that `correct` means; as it is where it means none, so that the check says so.
fn correct_choice(correct: &str, choices: &[Choice]) -> String {
    if choices.iter().any(|choice| choice.id == correct) {
        return correct.to_owned();
    }
    let place = match correct {
        "A" | "a" | "1" => 0,
        "B" | "b" | "2" => 1,
        "C" | "c" | "3" => 2,
        "D" | "d" | "4" => 3,
        _ => return correct.to_owned(),
    };
    choices[place].id.clone()
}

/// A cell that no spreadsheet takes for a formula; [`plain`] is the way back.
fn guarded(cell: &str) -> Cow<'_, str> {
    if is_formula(cell.trim_start_matches('\'')) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

fn plain(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest.trim_start_matches('\'')) => rest,
        _ => cell,
    }
}

fn is_formula(cell: &str) -> bool {
    cell.starts_with(FORMULA)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_cell_of_an_export_is_a_formula() {
        for cell in ["=1+1", "+1", "-1", "@a", "\t=1", "＝1"] {
            assert_eq!(guarded(cell), format!("'{cell}"));
        }
        assert_eq!(guarded("1=1"), "1=1");
        assert_eq!(guarded("'quoted'"), "'quoted'");
    }

    proptest! {
        #[test]
        fn every_cell_comes_back_as_it_was(cell in "['=+@a-]{0,6}") {
            let written = guarded(&cell);
            prop_assert_eq!(plain(&written), cell.as_str());
        }
    }
}
