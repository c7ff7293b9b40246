//! The question bank, as players and as curators see it.

use uuid::Uuid;

use super::Choice;
use crate::Difficulty;

/// A word to find questions by: lower-case words joined by hyphens.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[schema(value_type = String, max_length = 30, pattern = "^[a-z0-9]+(?:-[a-z0-9]+)*$", example = "event-loop")]
pub struct Tag(pub String);

requests! {
    /// `POST /api/admin/questions` and `PUT /api/admin/questions/{id}`. The four choices differ in
    /// id and text, and `correctChoiceId` is the id of one of them.
    WriteQuestion {
        /// What is asked: 10 to 500 characters between its first and last that are no space.
        #[schema(pattern = "^[ \\n]*[^ \\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]{8,498}[^ \\u0000-\\u001f\\u007f-\\u009f][ \\n]*$", example = "Which port does HTTPS use?")]
        text: String,
        /// Its category: lower-case letters, digits and inner hyphens.
        #[schema(max_length = 40, pattern = "^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$", example = "networking")]
        category: String,
        /// Its difficulty.
        difficulty: Difficulty,
        /// Four of them.
        #[schema(min_items = 4, max_items = 4, example = json!([
            {"id": "a", "text": "80"}, {"id": "b", "text": "443"},
            {"id": "c", "text": "22"}, {"id": "d", "text": "53"}]))]
        choices: Vec<Choice>,
        /// The right one.
        #[schema(max_length = 40, pattern = "^[A-Za-z0-9_-]+$", example = "b")]
        correct_choice_id: String,
        /// Words to find it by, ten at most; absent means none.
        #[serde(default)]
        #[schema(value_type = std::collections::BTreeSet<Tag>, max_items = 10)]
        tags: Vec<String>,
        /// The version that the edit was made on; absent overwrites whatever is there. Not read
        /// where a question is added.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 999999999999999_i64, example = 1)]
        version: Option<i64>,
    }
}

bodies! {
    /// A question as players see it: without the answer.
    Question {
        /// The question's id.
        id: Uuid,
        /// What is asked.
        text: String,
        /// Its category.
        category: String,
        /// Its difficulty.
        difficulty: Difficulty,
        /// Four of them.
        choices: Vec<Choice>,
        /// Words to find it by, in alphabetical order.
        tags: Vec<String>,
    }
    /// A question as curators see it.
    CuratedQuestion {
        /// The question's id.
        id: Uuid,
        /// What is asked.
        text: String,
        /// Its category.
        category: String,
        /// Its difficulty.
        difficulty: Difficulty,
        /// Four of them.
        choices: Vec<Choice>,
        /// The right one.
        correct_choice_id: String,
        /// Words to find it by, in alphabetical order.
        tags: Vec<String>,
        /// Rises with every edit.
        version: i64,
    }
    /// A page of questions.
    QuestionPage {
        /// The page.
        items: Vec<Question>,
        /// Where the next page begins; null on the last.
        next_cursor: Option<String>,
    }
    /// How many questions of each difficulty there are.
    DifficultyCounts {
        /// `easy`
        easy: i64,
        /// `medium`
        medium: i64,
        /// `hard`
        hard: i64,
    }
    /// A category and what is in it.
    CategoryCount {
        /// The category.
        category: String,
        /// Its questions.
        count: i64,
        /// The same by difficulty.
        difficulties: DifficultyCounts,
    }
    /// The categories, in alphabetical order.
    CategoryList {
        /// Those that have questions.
        items: Vec<CategoryCount>,
    }
    /// A tag and how many questions carry it.
    TagCount {
        /// The tag.
        tag: String,
        /// Questions with it.
        count: i64,
    }
    /// The tags, the most used ones first.
    TagList {
        /// Those that questions have.
        items: Vec<TagCount>,
    }
}
