//! Questions as JSON values: an array of them, or one on every line.

use std::{fmt, ops::Range};

use bytes::Bytes;
use contracts::{Difficulty, events::Choice};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{FileFault, Lines, ROWS_MAX, Row, RowFault};
use crate::domain::question::{Draft, Fault};

/// What the reader of an array says of one that is too long; it comes back as the error's text.
const TOO_MANY: &str = "too many rows";

/// The values of a file, by their places in it.
#[derive(Debug)]
pub(super) struct Values {
    file: Bytes,
    places: std::vec::IntoIter<Range<usize>>,
    lines: Lines,
}

/// A question in a file: a question as curators see it, of which `id`, `tags` and `version` may be
/// absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Value {
    id: Option<Uuid>,
    text: String,
    category: String,
    difficulty: Difficulty,
    choices: Vec<Choice>,
    correct_choice_id: String,
    #[serde(default)]
    tags: Vec<String>,
    version: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped<'a> {
    #[serde(borrow)]
    questions: Raws<'a>,
}

/// The values of an array, unread; an error for one that is too long, before it is all in memory.
struct Raws<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Raws<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Raws<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of questions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raws<'de>, A::Error> {
                let mut raws = Vec::new();
                while let Some(raw) = seq.next_element()? {
                    if raws.len() == ROWS_MAX {
                        return Err(A::Error::custom(TOO_MANY));
                    }
                    raws.push(raw);
                }
                Ok(Raws(raws))
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

impl Values {
    /// Those of an array, or of the array `questions` in an object.
    pub(super) fn of_array(file: Bytes) -> Result<Self, FileFault> {
        let text = std::str::from_utf8(&file)
            .map_err(|error| FileFault::Encoding(Lines::new().at(&file, error.valid_up_to())))?;
        let raws = if text.trim_start().starts_with('{') {
            serde_json::from_str::<Wrapped<'_>>(text).map(|wrapped| wrapped.questions)
        } else {
            serde_json::from_str(text)
        };
        let Raws(raws) = raws.map_err(|error| refused(&error))?;
        let begin = text.as_ptr() as usize;
        let places: Vec<_> = raws
            .iter()
            .map(|raw| {
                let place = raw.get().as_ptr() as usize - begin;
                place..place + raw.get().len()
            })
            .collect();
        Ok(Self::at(file, places))
    }

    /// Those of a file with one on every line; empty lines are passed over.
    pub(super) fn of_lines(file: Bytes) -> Result<Self, FileFault> {
        let (mut places, mut begin) = (Vec::new(), 0);
        for line in file.split(|byte| *byte == b'\n') {
            let end = begin + line.len();
            if !line.trim_ascii().is_empty() {
                if places.len() == ROWS_MAX {
                    return Err(FileFault::TooManyRows);
                }
                places.push(begin..end);
            }
            begin = end + 1;
        }
        Ok(Self::at(file, places))
    }

    fn at(file: Bytes, places: Vec<Range<usize>>) -> Self {
        Self {
            file,
            places: places.into_iter(),
            lines: Lines::new(),
        }
    }

    pub(super) fn next(&mut self) -> Option<Row> {
        let place = self.places.next()?;
        let line = self.lines.at(&self.file, place.start);
        let (id, draft) = read(&self.file[place]);
        Some(Row { line, id, draft })
    }
}

fn refused(error: &serde_json::Error) -> FileFault {
    if error.to_string().starts_with(TOO_MANY) {
        return FileFault::TooManyRows;
    }
    if error.is_data() {
        let message = format!(
            "must be an array of questions, in a file of its own or alone in an \
                               object: {error}"
        );
        return FileFault::Shape(Fault::new("questions", message));
    }
    FileFault::Malformed(format!("The file is not JSON: {error}."))
}

fn read(bytes: &[u8]) -> (Option<Uuid>, Result<Draft, RowFault>) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return (None, Err(RowFault::malformed("is not UTF-8 text")));
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value: Result<Value, _> = serde_path_to_error::deserialize(&mut deserializer);
    match value {
        Ok(value) if deserializer.end().is_ok() => (value.id, Ok(value.into())),
        Ok(_) => (None, Err(RowFault::malformed("goes on behind its end"))),
        Err(error) => {
            let path = error.path().to_string();
            let cause = error.into_inner();
            (named_id(text), Err(fault(&path, &cause)))
        }
    }
}

impl From<Value> for Draft {
    fn from(value: Value) -> Self {
        Self {
            text: value.text,
            category: value.category,
            difficulty: value.difficulty,
            choices: value.choices,
            correct_choice_id: value.correct_choice_id,
            tags: value.tags,
            version: value.version,
        }
    }
}

/// The id of a row that cannot be read otherwise.
fn named_id(text: &str) -> Option<Uuid> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.get("id")?.as_str()?.parse().ok()
}

/// serde names a field that is missing or unknown only in its message, between backticks; the
/// message's own place (`at line 1 column 7`) is that within the row, and would mislead.
fn fault(path: &str, cause: &serde_json::Error) -> RowFault {
    let message = cause.to_string();
    let reason = match message.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => message,
    };
    if !cause.is_data() {
        return RowFault::malformed(format!("is not JSON: {reason}"));
    }
    let told = reason.starts_with("missing field") || reason.starts_with("unknown field");
    let name = told.then(|| reason.split('`').nth(1)).flatten();
    match (path, name) {
        (".", None) => RowFault::malformed(format!("is no question: {reason}")),
        (".", Some(name)) => RowFault::field(name, reason.clone()),
        (path, Some(name)) if path != name && !path.ends_with(&format!(".{name}")) => {
            RowFault::field(format!("{path}.{name}"), reason.clone())
        }
        (path, _) => RowFault::field(path, reason),
    }
}
