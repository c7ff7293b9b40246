//! A bulk import: which of its rows are taken, what each of them does, and the report.
//!
//! Invariants: a row is judged by the rules of a single edit, on what the rows before it left; a
//! refused row costs itself alone; no question is written twice by one file; the same file again
//! changes nothing, because a row without an id means the question with its text and category, or
//! else the id that derives from those.

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
    /// The questions that the rows of committed batches turned out to be about.
    resolved: HashSet<Uuid>,
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
    /// The questions that its rows turned out to be about.
    resolved: HashSet<Uuid>,
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

    /// The id that its category and text derive.
    #[must_use]
    pub fn content_id(&self) -> Uuid {
        self.question.content_id()
    }

    fn repeated(&self) -> RefusedRow {
        let reason = "an earlier row of the file is about the same question";
        self.refused("duplicate_row", None, reason)
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

impl Known {
    /// The question that a row is about.
    fn resolve(&self, candidate: &Candidate) -> Uuid {
        match self.twin(&candidate.question) {
            Some(twin) if !candidate.names_id => twin,
            _ => candidate.id(),
        }
    }

    /// The question that has this text and category, if any has.
    fn twin(&self, question: &Question) -> Option<Uuid> {
        self.by_content.get(&content(question)).copied()
    }

    /// What the rows behind a write find.
    fn apply(&mut self, question: &Question) {
        let stored = Stored {
            question: question.clone(),
            is_deleted: false,
        };
        if let Some(before) = self.by_id.insert(question.id, stored) {
            let left = content(&before.question);
            if self.by_content.get(&left) == Some(&question.id) {
                self.by_content.remove(&left);
            }
        }
        self.by_content.insert(content(question), question.id);
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
            resolved: HashSet::new(),
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

    /// What a batch does to what is there, row by row.
    #[must_use]
    pub fn decide(&self, batch: &[Candidate], known: &Known) -> Decided {
        let mut decided = Decided::default();
        let mut known = known.clone();
        for candidate in batch {
            let id = known.resolve(candidate);
            if self.resolved.contains(&id) || !decided.resolved.insert(id) {
                decided.refused.push(candidate.repeated());
                continue;
            }
            match self.act(candidate, id, &known) {
                Ok(Some(act)) => {
                    known.apply(act.question());
                    decided.acts.push(act);
                }
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
        self.resolved.extend(decided.resolved);
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
            return Err(candidate.repeated());
        }
        self.seen_ids.insert(candidate.id());
        self.seen_contents.insert(content);
        Ok(candidate)
    }

    /// What a row does that turned out to be about the question `id`.
    fn act(
        &self,
        candidate: &Candidate,
        id: Uuid,
        known: &Known,
    ) -> Result<Option<Act>, RefusedRow> {
        let mut question = candidate.question.clone();
        question.id = id;
        let there = known.by_id.get(&question.id);
        let shown = there.filter(|there| !there.is_deleted);
        if shown.is_some_and(|there| there.question.says_the_same(&question)) {
            return Ok(None);
        }
        if known.twin(&question).is_some_and(|twin| twin != id) {
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

fn content(question: &Question) -> (String, String) {
    (question.category.clone(), question.text.clone())
}

fn told(faults: &[super::question::Fault]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests;
