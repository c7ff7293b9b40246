//! Questions as a file, page by page; [`super::import`] takes it back unchanged.

use super::{
    question::Question,
    rows::{Format, csv},
};

/// Questions of a page of an export: what is in memory of it at a time.
pub const EXPORT_PAGE: usize = 500;

/// A file being written.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    format: Format,
    is_first: bool,
}

impl Export {
    /// A file of that form.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            is_first: true,
        }
    }

    /// The file's media type.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self.format {
            Format::Json => "application/json",
            Format::Lines => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// How a browser should save it.
    #[must_use]
    pub fn disposition(&self) -> &'static str {
        match self.format {
            Format::Json => "attachment; filename=\"questions.json\"",
            Format::Lines => "attachment; filename=\"questions.ndjson\"",
            Format::Csv => "attachment; filename=\"questions.csv\"",
        }
    }

    /// What stands before the first question.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        match self.format {
            Format::Json => b"{\"questions\":[".to_vec(),
            Format::Lines => Vec::new(),
            Format::Csv => csv::header(),
        }
    }

    /// The next questions.
    pub fn page(&mut self, questions: &[Question]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for question in questions {
            match self.format {
                Format::Json => {
                    let separator: &[u8] = if self.is_first { b"\n" } else { b",\n" };
                    bytes.extend_from_slice(separator);
                    bytes.extend(json(question));
                }
                Format::Lines => {
                    bytes.extend(json(question));
                    bytes.push(b'\n');
                }
                Format::Csv => bytes.extend(csv::row(question)),
            }
            self.is_first = false;
        }
        bytes
    }

    /// What stands behind the last.
    #[must_use]
    pub fn tail(&self) -> Vec<u8> {
        match self.format {
            Format::Json => b"\n]}\n".to_vec(),
            Format::Lines | Format::Csv => Vec::new(),
        }
    }
}

fn json(question: &Question) -> Vec<u8> {
    // Texts and numbers always become JSON.
    serde_json::to_vec(&question.curated()).unwrap_or_default()
}
