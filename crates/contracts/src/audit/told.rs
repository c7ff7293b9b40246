//! What a client was told of an answer: a line of the ledger that `banyan demo` and the load write
//! and `banyan audit --demo-ledger` holds against both sides.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::QuizMode;

/// Who served a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The monolith.
    Legacy,
    /// The new services.
    Candidate,
}

impl Side {
    /// Reads `X-Banyan-Upstream`: the monolith's upstream is called `legacy`.
    pub fn of_upstream(name: &str) -> Self {
        if name == "legacy" {
            Self::Legacy
        } else {
            Self::Candidate
        }
    }
}

/// The last that a client heard of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// 200: it counts.
    Accepted,
    /// 503 `answer_compensated`: it counts nowhere.
    Compensated,
    /// Refused before anything was kept.
    Refused,
    /// Nothing definite: the connection was lost, or it stayed undecided.
    Unknown,
}

/// One answer, as its client knows it: one for each Idempotency-Key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The Idempotency-Key.
    pub key: Uuid,
    /// Who answered.
    pub user_id: Uuid,
    /// What was asked.
    pub question_id: Uuid,
    /// What was chosen.
    pub choice_id: String,
    /// How it was played.
    pub quiz_mode: QuizMode,
    /// The last that was heard.
    pub outcome: Outcome,
    /// Who served the answer that decided; where nothing did, the last one heard of, or legacy.
    pub side: Side,
    /// The answer's id, where one was told.
    pub answer_id: Option<Uuid>,
    /// Whether it was right, where that was told.
    pub is_correct: Option<bool>,
    /// What it was worth, where that was told.
    pub points: Option<i64>,
    /// Requests that it took.
    pub attempts: u32,
    /// The code or the fault that was heard last, unless it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Told {
    /// An answer that nothing was heard of yet.
    pub fn nothing(
        key: Uuid,
        user_id: Uuid,
        question_id: Uuid,
        choice_id: &str,
        quiz_mode: QuizMode,
    ) -> Self {
        Self {
            key,
            user_id,
            question_id,
            choice_id: choice_id.to_owned(),
            quiz_mode,
            outcome: Outcome::Unknown,
            side: Side::Legacy,
            answer_id: None,
            is_correct: None,
            points: None,
            attempts: 0,
            detail: None,
        }
    }
}
