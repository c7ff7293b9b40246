//! A bulk import: which of its rows are taken, what each of them does, and the report.
//!
//! Invariants: a row is judged by the rules of a single edit; a refused row costs itself alone; the
//! same file again changes nothing, because a row without an id means the question with its text
//! and category, or else the id that derives from those.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use contracts::http::{ImportReport, RefusedRow};
use uuid::Uuid;

use super::{
    question::{Question, Stored},
    rows::{FileFault, Format, Row, RowFault, Rows},
};

/// Rows of one transaction at most: few enough that no curator waits long behind it.
pub const BATCH: usize = 200;

/// What an import may do with questions that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Change them to what the file says.
    #[default]
    Upsert,
    /// Leave them; a row that says something else of one is refused.
    Create,
}

/// An import under way.
#[derive(Debug)]
pub struct Import {
    rows: Rows,
    mode: Mode,
    report: ImportReport,
    seen_ids: HashSet<Uuid>,
    /// The derived ids of what the rows so far ask.
    seen_contents: HashSet<Uuid>,
}

/// A row that is valid by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    line: u64,
    names_id: bool,
    expected: Option<i64>,
    question: Question,
}

/// What the store has of the questions that a batch may be about.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By id, deleted ones too.
    pub by_id: HashMap<Uuid, Stored>,
    /// The ids of those that are not deleted, by category and text.
    pub by_content: HashMap<(String, String), Uuid>,
}

/// What to write for a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A question that is new, or was deleted: `version` is 1 for a new one.
    Create(Question),
    /// A question that is there says something else now.
    Update(Question),
}

/// What a batch does; noted only when it is committed.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// In the order of the ids, so that imports beside each other wait for each other and never in
    /// a circle.
    pub acts: Vec<Act>,
    unchanged: u64,
    refused: Vec<RefusedRow>,
}

impl Candidate {
    /// The id that it has, or would have.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.question.id
    }

    /// Its category and text.
    #[must_use]
    pub fn content(&self) -> (&str, &str) {
        (&self.question.category, &self.question.text)
    }

    fn refused(&self, code: &str, field: Option<&str>, reason: &str) -> RefusedRow {
        RefusedRow {
            line: self.line,
            id: self.names_id.then_some(self.question.id),
            code: code.to_owned(),
            field: field.map(str::to_owned),
            reason: reason.to_owned(),
        }
    }
}

impl Act {
    /// The question as it is to be.
    #[must_use]
    pub fn question(&self) -> &Question {
        match self {
            Self::Create(question) | Self::Update(question) => question,
        }
    }
}

impl Import {
    /// Begins with a file.
    ///
    /// # Errors
    /// [`FileFault`]: nothing of it can be used.
    pub fn open(file: Bytes, format: Format, mode: Mode) -> Result<Self, FileFault> {
        Ok(Self {
            rows: Rows::open(file, format)?,
            mode,
            report: ImportReport {
                rows: 0,
                created: 0,
                updated: 0,
                unchanged: 0,
                refused: Vec::new(),
            },
            seen_ids: HashSet::new(),
            seen_contents: HashSet::new(),
        })
    }

    /// The next valid rows, [`BATCH`] at most; none at the end.
    pub fn next_batch(&mut self) -> Option<Vec<Candidate>> {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let Some(row) = self.rows.next() else { break };
            self.report.rows += 1;
            match self.judge(row) {
                Ok(candidate) => batch.push(candidate),
                Err(refused) => self.report.refused.push(refused),
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// What a batch does to what is there.
    #[must_use]
    pub fn decide(&self, batch: &[Candidate], known: &Known) -> Decided {
        let mut decided = Decided::default();
        for candidate in batch {
            match self.act(candidate, known) {
                Ok(Some(act)) => decided.acts.push(act),
                Ok(None) => decided.unchanged += 1,
                Err(refused) => decided.refused.push(refused),
            }
        }
        decided.acts.sort_by_key(|act| act.question().id);
        decided
    }

    /// The batch is committed.
    pub fn note(&mut self, decided: Decided) {
        for act in &decided.acts {
            match act {
                Act::Create(_) => self.report.created += 1,
                Act::Update(_) => self.report.updated += 1,
            }
        }
        self.report.unchanged += decided.unchanged;
        self.report.refused.extend(decided.refused);
    }

    /// What became of every row.
    #[must_use]
    pub fn finish(mut self) -> ImportReport {
        self.report.refused.sort_by_key(|row| row.line);
        self.report
    }

    fn judge(&mut self, row: Row) -> Result<Candidate, RefusedRow> {
        let (line, id) = (row.line, row.id);
        let refused = |fault: RowFault| RefusedRow {
            line,
            id,
            code: fault.code.to_owned(),
            field: fault.field,
            reason: fault.reason,
        };
        let draft = row.draft.map_err(refused)?;
        let mut question = Question::new(id.unwrap_or_default(), 1, &draft).map_err(|faults| {
            let first = faults.first().map(|fault| self.rows.name_of(&fault.field));
            let reason = match faults.as_slice() {
                [] => String::new(),
                [only] => only.message.clone(),
                [first, more @ ..] => format!("{}; also: {}", first.message, told(more)),
            };
            refused(RowFault::field(first.unwrap_or_default(), reason))
        })?;
        let content = question.content_id();
        question.id = id.unwrap_or(content);
        let candidate = Candidate {
            line,
            names_id: id.is_some(),
            expected: draft.version,
            question,
        };
        if self.seen_ids.contains(&candidate.id()) || self.seen_contents.contains(&content) {
            let reason = "an earlier row of the file is about the same question";
            return Err(candidate.refused("duplicate_row", None, reason));
        }
        self.seen_ids.insert(candidate.id());
        self.seen_contents.insert(content);
        Ok(candidate)
    }

    fn act(&self, candidate: &Candidate, known: &Known) -> Result<Option<Act>, RefusedRow> {
        let mut question = candidate.question.clone();
        let (category, text) = candidate.content();
        let twin = known
            .by_content
            .get(&(category.to_owned(), text.to_owned()))
            .copied();
        if let (false, Some(twin)) = (candidate.names_id, twin) {
            question.id = twin;
        }
        let there = known.by_id.get(&question.id);
        let shown = there.filter(|there| !there.is_deleted);
        if shown.is_some_and(|there| there.question.says_the_same(&question)) {
            return Ok(None);
        }
        if twin.is_some_and(|twin| twin != question.id) {
            let reason = "another question has the same text and category";
            return Err(candidate.refused("duplicate_question", Some("text"), reason));
        }
        if let (Some(expected), Some(there)) = (candidate.expected, there)
            && expected != there.question.version
        {
            let reason = format!("the question is at version {}", there.question.version);
            return Err(candidate.refused("version_conflict", Some("version"), &reason));
        }
        if let Some(there) = there {
            question.version = there.question.version + 1;
        }
        match (shown, self.mode) {
            (None, _) => Ok(Some(Act::Create(question))),
            (Some(_), Mode::Upsert) => Ok(Some(Act::Update(question))),
            (Some(_), Mode::Create) => {
                let reason = "the question is there and says something else";
                Err(candidate.refused("already_exists", None, reason))
            }
        }
    }
}

fn told(faults: &[super::question::Fault]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests;
