//! One question, and what makes it valid.
//!
//! Invariant: what comes in becomes a [`Question`] only through the checks of [`Question::new`].

use std::fmt;
use std::ops::RangeInclusive;

use contracts::Difficulty;
use contracts::events::{Choice, QuestionCreated, QuestionUpdated};
use contracts::http::CuratedQuestion;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many choices a question has.
pub const CHOICES: usize = 4;
/// Characters of a question's text: it has to fit a phone's screen with its choices.
pub const TEXT_LENGTH: RangeInclusive<usize> = 10..=500;
/// Characters of a choice.
pub const CHOICE_LENGTH: RangeInclusive<usize> = 1..=200;
/// Characters of a category's name.
pub const CATEGORY_LENGTH: RangeInclusive<usize> = 1..=40;
/// Characters of a choice's id.
pub const CHOICE_ID_LENGTH: RangeInclusive<usize> = 1..=40;

/// Tags of a question at most.
pub const TAGS: usize = 10;
/// Characters of a tag.
pub const TAG_LENGTH: RangeInclusive<usize> = 1..=30;

/// The highest version that a request may name: beyond it JSON numbers lose digits somewhere.
pub const VERSION_MAX: i64 = 999_999_999_999_999;

/// The namespace of the ids that derive from what a question asks (UUIDv5). Changing it would make
/// every file that was imported without ids a file of new questions.
const NAMESPACE: Uuid = Uuid::from_u128(0x1b8e_57c4_3d0a_4f6b_a2c9_7e51_90d3_46fa);

/// A question as it is handed in, unchecked: the body of the curators' writes.
pub type Draft = contracts::http::WriteQuestion;

/// A valid question with its answer. For services and curators, never for players.
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
    /// Exactly [`CHOICES`], with distinct ids and texts.
    pub choices: Vec<Choice>,
    /// The id of the right one.
    pub correct_choice_id: String,
    /// Words to find it by, in alphabetical order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// From 1; rises with every edit.
    pub version: i64,
}

/// A question as a store has it. Deleted ones keep their ids and go on counting versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What it says, or said last.
    pub question: Question,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

/// One thing that is wrong with one field of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The field, as the input names it.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Question {
    /// A question from what was handed in: spaces and line breaks around its texts removed, its tags
    /// in alphabetical order.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the fields.
    pub fn new(id: Uuid, version: i64, draft: &Draft) -> Result<Self, Vec<Fault>> {
        let mut question = Self {
            id,
            text: trimmed(&draft.text),
            category: draft.category.clone(),
            difficulty: draft.difficulty,
            choices: draft.choices.iter().map(trimmed_choice).collect(),
            correct_choice_id: draft.correct_choice_id.clone(),
            tags: draft.tags.clone(),
            version,
        };
        let faults = question.faults();
        if faults.is_empty() {
            question.tags.sort_unstable();
            Ok(question)
        } else {
            Err(faults)
        }
    }

    /// The id that a question with this content gets when nobody names one: the same wherever and
    /// whenever it is handed in.
    #[must_use]
    pub fn content_id(&self) -> Uuid {
        // A category has no NUL, so the two stay apart.
        Uuid::new_v5(
            &NAMESPACE,
            format!("{}\0{}", self.category, self.text).as_bytes(),
        )
    }

    /// Whether both say the same, whatever their ids and versions.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.text == other.text
            && self.category == other.category
            && self.difficulty == other.difficulty
            && self.choices == other.choices
            && self.correct_choice_id == other.correct_choice_id
            && self.tags == other.tags
    }

    /// What a search looks into: text and choices, in lower case.
    #[must_use]
    pub(super) fn searchable(&self) -> String {
        let mut whole = self.text.to_lowercase();
        for choice in &self.choices {
            whole.push('\n');
            whole.push_str(&choice.text.to_lowercase());
        }
        whole
    }

    /// What a curator sees: everything.
    #[must_use]
    pub fn curated(&self) -> CuratedQuestion {
        CuratedQuestion {
            id: self.id,
            text: self.text.clone(),
            category: self.category.clone(),
            difficulty: self.difficulty,
            choices: self.choices.clone(),
            correct_choice_id: self.correct_choice_id.clone(),
            tags: self.tags.clone(),
            version: self.version,
        }
    }

    /// The event that this question came to be.
    #[must_use]
    pub fn created(&self) -> QuestionCreated {
        QuestionCreated {
            question_id: self.id,
            text: self.text.clone(),
            category: self.category.clone(),
            difficulty: self.difficulty,
            choices: self.choices.clone(),
            correct_choice_id: self.correct_choice_id.clone(),
            tags: self.tags.clone(),
            version: self.version,
        }
    }

    /// The event that this question was edited to what it is now.
    #[must_use]
    pub fn updated(&self) -> QuestionUpdated {
        QuestionUpdated {
            question_id: self.id,
            text: self.text.clone(),
            category: self.category.clone(),
            difficulty: self.difficulty,
            choices: self.choices.clone(),
            correct_choice_id: self.correct_choice_id.clone(),
            tags: self.tags.clone(),
            version: self.version,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        faults.extend(text_fault("text", &self.text, &TEXT_LENGTH));
        faults.extend(category_fault("category", &self.category));
        self.choice_faults(&mut faults);
        self.tag_faults(&mut faults);
        faults
    }

    fn tag_faults(&self, faults: &mut Vec<Fault>) {
        if self.tags.len() > TAGS {
            let found = self.tags.len();
            faults.push(Fault::new(
                "tags",
                format!("has {found} entries, not 0 to {TAGS}"),
            ));
            return;
        }
        for (index, tag) in self.tags.iter().enumerate() {
            let field = format!("tags[{index}]");
            faults.extend(tag_fault(&field, tag));
            if self.tags[..index].contains(tag) {
                faults.push(Fault::new(field, "is there twice"));
            }
        }
    }

    fn choice_faults(&self, faults: &mut Vec<Fault>) {
        if self.choices.len() != CHOICES {
            let found = self.choices.len();
            faults.push(Fault::new(
                "choices",
                format!("has {found} entries, not {CHOICES}"),
            ));
            // An endless list would mean an endless list of faults, each found by comparing all.
            return;
        }
        for (index, choice) in self.choices.iter().enumerate() {
            let field = format!("choices[{index}]");
            faults.extend(choice_id_fault(&format!("{field}.id"), &choice.id));
            faults.extend(text_fault(
                &format!("{field}.text"),
                &choice.text,
                &CHOICE_LENGTH,
            ));
            let earlier = &self.choices[..index];
            if earlier.iter().any(|other| other.id == choice.id) {
                faults.push(Fault::new(format!("{field}.id"), "is there twice"));
            }
            if earlier.iter().any(|other| other.text == choice.text) {
                faults.push(Fault::new(format!("{field}.text"), "is there twice"));
            }
        }
        if !self
            .choices
            .iter()
            .any(|choice| choice.id == self.correct_choice_id)
        {
            faults.push(Fault::new("correctChoiceId", "is none of the choices"));
        }
    }
}

impl Fault {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
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

/// Tags are lower-case words joined by single hyphens: `event-loop`.
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

/// Spaces and line breaks alone, so that the published pattern can say the same.
fn trimmed(text: &str) -> String {
    text.trim_matches([' ', '\n']).to_owned()
}

fn trimmed_choice(choice: &Choice) -> Choice {
    Choice {
        id: choice.id.clone(),
        text: trimmed(&choice.text),
    }
}

fn choice_id_fault(field: &str, id: &str) -> Option<Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (!CHOICE_ID_LENGTH.contains(&id.len()) || !id.bytes().all(plain)).then(|| {
        let longest = CHOICE_ID_LENGTH.end();
        Fault::new(
            field,
            format!("is not 1 to {longest} letters, digits, hyphens or underscores"),
        )
    })
}

/// Line breaks may be in a text (code has them); other control characters may not.
fn text_fault(field: &str, text: &str, length: &RangeInclusive<usize>) -> Option<Fault> {
    let characters = text.chars().count();
    if !length.contains(&characters) {
        let (least, most) = (length.start(), length.end());
        return Some(Fault::new(
            field,
            format!("has {characters} characters, not {least} to {most}"),
        ));
    }
    text.chars()
        .any(|character| character.is_control() && character != '\n')
        .then(|| Fault::new(field, "has control characters"))
}

#[cfg(test)]
mod tests;
