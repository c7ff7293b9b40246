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
mod tests {
    use super::*;

    fn draft() -> Draft {
        let choices = [
            ("a", "Yes"),
            ("b", "No"),
            ("c", "Sometimes"),
            ("d", "Never asked"),
        ];
        Draft {
            text: "Is this a valid question?".to_owned(),
            category: "distributed-systems".to_owned(),
            difficulty: Difficulty::Medium,
            choices: choices
                .map(|(id, text)| Choice {
                    id: id.to_owned(),
                    text: text.to_owned(),
                })
                .to_vec(),
            correct_choice_id: "a".to_owned(),
            tags: Vec::new(),
            version: None,
        }
    }

    fn faulty_fields(draft: &Draft) -> Vec<String> {
        match Question::new(Uuid::nil(), 1, draft) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.into_iter().map(|fault| fault.field).collect(),
        }
    }

    #[test]
    fn a_valid_draft_becomes_a_question_without_outer_white_space() {
        let mut padded = draft();
        padded.text = format!("  {}\n", padded.text);
        padded.choices[2].text = " Sometimes ".to_owned();
        let question = Question::new(Uuid::from_u128(1), 3, &padded).expect("it is valid");
        assert_eq!(
            question,
            Question::new(Uuid::from_u128(1), 3, &draft()).expect("so is this")
        );
        assert_eq!(question.choices[2].text, "Sometimes");
        assert_eq!(question.version, 3);
    }

    #[test]
    fn there_are_exactly_four_choices() {
        let mut three = draft();
        three.choices.pop();
        assert_eq!(faulty_fields(&three), ["choices"]);
        let mut five = draft();
        five.choices.push(Choice {
            id: "e".to_owned(),
            text: "Five".to_owned(),
        });
        assert_eq!(faulty_fields(&five), ["choices"]);
    }

    #[test]
    fn choices_differ_in_id_and_in_text_also_when_only_white_space_tells_them_apart() {
        let mut same_id = draft();
        same_id.choices[3].id = "b".to_owned();
        assert_eq!(faulty_fields(&same_id), ["choices[3].id"]);
        let mut same_text = draft();
        same_text.choices[1].text = " Yes".to_owned();
        assert_eq!(faulty_fields(&same_text), ["choices[1].text"]);
    }

    #[test]
    fn the_right_choice_is_one_of_the_choices() {
        let unknown = Draft {
            correct_choice_id: "e".to_owned(),
            ..draft()
        };
        assert_eq!(faulty_fields(&unknown), ["correctChoiceId"]);
    }

    #[test]
    fn lengths_are_counted_in_characters_and_both_ends_are_allowed() {
        let of = |length: usize| Draft {
            text: "ä".repeat(length),
            ..draft()
        };
        assert_eq!(faulty_fields(&of(9)), ["text"]);
        assert_eq!(faulty_fields(&of(10)), [""; 0]);
        assert_eq!(faulty_fields(&of(500)), [""; 0]);
        assert_eq!(faulty_fields(&of(501)), ["text"]);
    }

    #[test]
    fn a_text_may_have_lines_but_no_other_control_characters() {
        let lines = Draft {
            text: "What does this print?\nlet x = 1;".to_owned(),
            ..draft()
        };
        assert_eq!(faulty_fields(&lines), [""; 0]);
        let bell = Draft {
            text: "What does this ring? \u{7}!".to_owned(),
            ..draft()
        };
        assert_eq!(faulty_fields(&bell), ["text"]);
    }

    #[test]
    fn categories_are_plain_words_joined_by_hyphens() {
        for good in ["rust", "distributed-systems", "http2"] {
            assert_eq!(category_fault("category", good), None, "{good}");
        }
        for bad in ["", "Rust", "a b", "-rust", "rust-", "rüst", &"a".repeat(41)] {
            assert!(category_fault("category", bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn tags_are_words_joined_by_hyphens_each_once_and_stored_sorted() {
        let tagged = |tags: &[&str]| Draft {
            tags: tags.iter().map(ToString::to_string).collect(),
            ..draft()
        };
        let good = tagged(&["io", "event-loop", "http2"]);
        let question = Question::new(Uuid::nil(), 1, &good).expect("it is valid");
        assert_eq!(question.tags, ["event-loop", "http2", "io"]);
        for bad in ["", "Io", "a b", "-io", "io-", "a--b", "ü", &"a".repeat(31)] {
            assert_eq!(faulty_fields(&tagged(&["io", bad])), ["tags[1]"], "{bad:?}");
        }
        assert_eq!(faulty_fields(&tagged(&["io", "net", "io"])), ["tags[2]"]);
        let many: Vec<String> = (0..=TAGS).map(|index| format!("tag-{index}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(faulty_fields(&tagged(&many)), ["tags"]);
        assert_eq!(faulty_fields(&tagged(&many[1..])), [""; 0]);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let mut broken = draft();
        broken.text = "Short?".to_owned();
        broken.category = "No Such".to_owned();
        broken.choices[0].id = "a b".to_owned();
        assert_eq!(
            faulty_fields(&broken),
            ["text", "category", "choices[0].id", "correctChoiceId"]
        );
    }

    #[test]
    fn events_and_curators_get_the_whole_question() {
        let question = Question::new(Uuid::nil(), 2, &draft()).expect("it is valid");
        assert_eq!(question.created().correct_choice_id, "a");
        assert_eq!(question.updated().choices, question.choices);
        assert_eq!(question.curated().version, 2);
    }
}
