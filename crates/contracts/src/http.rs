//! Bodies of the public API, the same on legacy and on the new services. All camelCase.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use crate::events::{BadgeRef, Choice};
use crate::{Difficulty, QuizMode};

/// Declares bodies that only go out.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $field_type:ty),* $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($(#[$field_doc])* pub $field: $field_type),* }
    )+};
}

/// Declares bodies that come in from outside: an unknown field is an error.
macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $field_type:ty),* $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $field_type),* }
    )+};
}

requests! {
    /// `POST /api/auth/register`
    Register {
        /// Unique; compared without case.
        email: String,
        /// 8 to 128 characters.
        password: String,
        /// 1 to 40 characters.
        display_name: String,
    }
    /// `POST /api/auth/login`
    Login {
        /// As registered.
        email: String,
        /// As registered.
        password: String,
    }
    /// `POST /api/auth/refresh` and `POST /api/auth/logout`
    RefreshToken {
        /// As handed out by the last login or refresh.
        refresh_token: String,
    }
    /// `PATCH /api/auth/profile`
    ProfilePatch {
        /// 1 to 40 characters.
        display_name: String,
    }
    /// `POST /api/auth/password`
    PasswordChange {
        /// The one that is valid now.
        current_password: String,
        /// 8 to 128 characters.
        new_password: String,
    }
    /// `POST /api/answers`
    SubmitAnswer {
        /// What was asked.
        question_id: Uuid,
        /// What was chosen.
        choice_id: String,
        /// How it is played.
        quiz_mode: QuizMode,
    }
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
    }
}

bodies! {
    /// The user as a login shows it.
    User {
        /// The user's id; the token's `sub`.
        id: Uuid,
        /// What others see. Personal.
        display_name: String,
        /// `user`, `guest`, `admin`.
        roles: Vec<String>,
    }
    /// The answer to register, login, guest and refresh.
    Session {
        /// A JWT; see [`crate::Claims`].
        access_token: String,
        /// Opaque; good for one refresh.
        refresh_token: String,
        /// `Bearer`.
        token_type: String,
        /// Seconds until the access token expires.
        expires_in: i64,
        /// Who it is for.
        user: User,
    }
    /// `GET|PATCH /api/auth/profile`
    Profile {
        /// The user's id.
        id: Uuid,
        /// Absent for guests. Personal.
        email: Option<String>,
        /// What others see. Personal.
        display_name: String,
        /// `user`, `guest`, `admin`.
        roles: Vec<String>,
    }
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
    /// Where the player stands on the board of the mode just played.
    Standing {
        /// The board.
        quiz_mode: QuizMode,
        /// The player's score.
        score: i64,
        /// The player's place, from 1.
        position: i64,
    }
    /// A decided answer: 200.
    Answer {
        /// The answer's id.
        id: Uuid,
        /// What was asked.
        question_id: Uuid,
        /// Whether the choice was right.
        is_correct: bool,
        /// The right choice.
        correct_choice_id: String,
        /// The player's streak with it.
        streak: i64,
        /// What this answer was worth.
        score: i64,
        /// `completed`.
        status: AnswerStatus,
        /// The badges it unlocked.
        achievements: Vec<BadgeRef>,
        /// Where it put the player; null when the board could not be asked in time.
        leaderboard: Option<Standing>,
    }
    /// An undecided or compensated answer: it never tells whether the choice was right.
    PendingAnswer {
        /// The answer's id.
        id: Uuid,
        /// `pending` or `compensated`.
        status: AnswerStatus,
    }
    /// Counts of one quiz mode.
    ModeStats {
        /// Answers given.
        answered: i64,
        /// Right ones.
        correct: i64,
        /// Points.
        score: i64,
    }
    /// `GET /api/stats/me`
    Stats {
        /// Answers given.
        answered: i64,
        /// Right ones.
        correct: i64,
        /// `correct / answered`, 0 to 1; 0 without answers.
        accuracy: f64,
        /// Right answers in a row, now.
        streak: i64,
        /// The longest streak ever.
        best_streak: i64,
        /// By quiz mode; modes never played are absent.
        by_mode: std::collections::BTreeMap<QuizMode, ModeStats>,
    }
    /// A badge in the catalogue: `GET /api/achievements` → `{items}`.
    Badge {
        /// The badge's stable id.
        id: String,
        /// What players read.
        name: String,
        /// How to get it.
        description: String,
    }
    /// A badge of the player's: `GET /api/achievements/me` → `{items}`.
    UnlockedBadge {
        /// The badge's stable id.
        id: String,
        /// What players read.
        name: String,
        /// How it was got.
        description: String,
        /// RFC 3339.
        unlocked_at: String,
    }
    /// One line of a leaderboard.
    LeaderboardEntry {
        /// From 1.
        position: i64,
        /// The player.
        user_id: Uuid,
        /// Personal.
        display_name: String,
        /// Points.
        score: i64,
    }
    /// `GET /api/leaderboard?quizMode=`
    Leaderboard {
        /// Which board.
        quiz_mode: QuizMode,
        /// The best six.
        top: Vec<LeaderboardEntry>,
        /// The caller's own line, when it has a token and a score.
        me: Option<LeaderboardEntry>,
    }
}

/// Where an answer's saga stands, as the player may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerStatus {
    /// Not decided yet.
    Pending,
    /// It counts.
    Completed,
    /// It was taken back and counts nowhere.
    Compensated,
}

/// A list: `{"items": […]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Items<T> {
    /// The list.
    pub items: Vec<T>,
}
