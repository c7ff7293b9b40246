//! The question bank, as players and as curators see it.

use uuid::Uuid;

use super::Choice;
use crate::Difficulty;

requests! {
    /// `POST /api/admin/questions` and `PUT /api/admin/questions/{id}`
    WriteQuestion {
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
        /// Words to find it by, ten at most; absent means none.
        #[serde(default)]
        tags: Vec<String>,
        /// The version that the edit was made on; absent overwrites whatever is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
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
}
