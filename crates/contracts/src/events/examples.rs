//! One payload of each type with all of its fields: what documents show and consumers are tried
//! with. A type without one does not compile.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    AchievementCheckFailed, AchievementChecked, AchievementEarned, AchievementRevoked,
    AchievementUnlocked, AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmissionFailed,
    AnswerSubmitted, BadgeRef, Choice, FlagChanged, LeaderboardEntryReverted,
    LeaderboardEntryUpdated, LeaderboardUpdateFailed, MaintenanceAsked, MaintenanceDone,
    MaintenanceEnded, MaintenanceRequested, Payload, PersonalErased, QuestionApplied,
    QuestionCreated, QuestionDeleted, QuestionUpdated, RouteChanged, SagaIntervened,
    SagaPolicyChanged, UserAuthenticated, UserCreated, UserDeleted, UserStatsReset, UserUpdated,
};
use crate::{Difficulty, QuizMode};

const ANSWER: Uuid = id(1);
const USER: Uuid = id(2);
const QUESTION: Uuid = id(3);
const RUN: Uuid = id(4);
const SAGA: Uuid = id(5);

/// The same id in every document.
const fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0193_7e00_0000_7000_8000_0000_0000_0000 + number)
}

/// A type that has an example.
pub(super) trait Example: Payload {
    fn example() -> Self;
}

/// The example as it is on the wire.
pub(super) fn example<P: Example>() -> Value {
    serde_json::to_value(P::example()).unwrap_or_default()
}

/// Whether the type reads this payload.
pub(super) fn reads<P: Payload>(payload: &Value) -> bool {
    P::deserialize(payload).is_ok()
}

/// Declares the examples.
macro_rules! examples {
    ($($name:ident { $($field:ident: $value:expr),* $(,)? })+) => {$(
        impl Example for $name {
            fn example() -> Self {
                Self { $($field: $value),* }
            }
        }
    )+};
}

fn badge() -> BadgeRef {
    BadgeRef {
        id: "first-answer".to_owned(),
        name: "Hello, World".to_owned(),
    }
}

fn choices() -> Vec<Choice> {
    let choices = [("a", "80"), ("b", "443"), ("c", "22"), ("d", "53")];
    let choice = |(id, text): (&str, &str)| Choice {
        id: id.to_owned(),
        text: text.to_owned(),
    };
    choices.map(choice).into()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn flag(version: i64, percent: f64) -> Value {
    json!({
        "id": "quiz-cutover", "percent": percent, "salt": "quiz-cutover", "subject": ["jwt:sub"], "allow": [], "deny": [],
        "rules": [], "drain": false, "killed": false, "version": version,
    })
}

examples! {
    AnswerSubmitted {
        answer_id: ANSWER, user_id: USER, display_name: "Ada".into(), question_id: QUESTION,
        choice_id: text("b"), quiz_mode: QuizMode::Classic, category: text("networking"),
        difficulty: Difficulty::Easy, is_correct: true, points: 10, streak: 1,
    }
    AnswerRevoked {
        answer_id: ANSWER, user_id: USER, quiz_mode: QuizMode::Classic,
        reason: text("leaderboard: no reply in time"),
    }
    AnswerSubmissionCompleted { answer_id: ANSWER, user_id: USER }
    AnswerSubmissionFailed {
        answer_id: ANSWER, user_id: USER, reason: text("leaderboard: no reply in time"),
    }
    AchievementChecked { answer_id: ANSWER, user_id: USER, earned: vec![badge()] }
    AchievementEarned { answer_id: ANSWER, user_id: USER, badge: badge() }
    AchievementUnlocked { answer_id: ANSWER, user_id: USER, badge: badge() }
    AchievementCheckFailed {
        answer_id: ANSWER, user_id: USER, reason: text("the answer is worth no points"),
    }
    AchievementRevoked { answer_id: ANSWER, user_id: USER, badges: vec![badge()] }
    LeaderboardEntryUpdated {
        answer_id: ANSWER, user_id: USER, quiz_mode: QuizMode::Classic, score: 10, position: 1,
    }
    LeaderboardUpdateFailed {
        answer_id: ANSWER, user_id: USER, reason: text("the score would not fit"),
    }
    LeaderboardEntryReverted {
        answer_id: ANSWER, user_id: USER, quiz_mode: QuizMode::Classic, score: 0,
    }
    QuestionCreated {
        question_id: QUESTION, text: text("Which port does HTTPS use?"),
        category: text("networking"), difficulty: Difficulty::Easy, choices: choices(),
        correct_choice_id: text("b"), tags: vec![text("http"), text("tls")], version: 1,
    }
    QuestionUpdated {
        question_id: QUESTION, text: text("Which port does HTTPS use by default?"),
        category: text("networking"), difficulty: Difficulty::Easy, choices: choices(),
        correct_choice_id: text("b"), tags: vec![text("http"), text("tls")], version: 2,
    }
    QuestionDeleted { question_id: QUESTION, version: 3 }
    QuestionApplied { question_id: QUESTION, version: 2 }
    UserCreated { user_id: USER, display_name: "Ada".into(), roles: vec![text("user")] }
    UserUpdated {
        user_id: USER, display_name: "Ada L.".into(), roles: vec![text("user"), text("admin")],
    }
    UserDeleted { user_id: USER }
    UserAuthenticated { user_id: USER, method: text("password") }
    UserStatsReset { user_id: USER, reason: text("asked for by the player") }
    MaintenanceRequested {
        job: text("health"), actor: text("nightly-checks"), reason: text("before the release"),
        parameters: json!({}),
    }
    MaintenanceAsked { run_id: RUN, job: text("health"), round: 1, parameters: json!({}) }
    MaintenanceDone {
        run_id: RUN, job: text("health"), round: 1, service: text("quiz"), more: false,
        detail: json!({ "consumers": 4 }), error: Some(text("the database did not answer")),
    }
    MaintenanceEnded {
        run_id: RUN, job: text("health"), outcome: text("completed"), detail: json!({}),
    }
    FlagChanged {
        flag: text("quiz-cutover"), version: 2, actor: text("ops"), reason: text("first step"),
        before: flag(1, 0.0), after: flag(2, 5.0), evidence: Some(json!({ "mismatches": 0 })),
    }
    RouteChanged {
        route: text("answers"), actor: text("file"), before: Value::Null,
        after: json!({ "prefix": "/api/answers", "legacy": "legacy", "candidate": "quiz" }),
    }
    SagaIntervened {
        saga: SAGA, verb: text("resolve_step"), target: Some(text("achievements")),
        outcome: Some(text("done")), actor: text("ops"), reason: text("seen in its database"),
    }
    SagaPolicyChanged {
        definition: text("answer-submission"), target: text("achievements"),
        on_timeout: text("proceed"), actor: text("ops"), reason: text("badges can wait"),
    }
    PersonalErased {
        subject: USER.to_string(), actor: text("auth"), reason: text("the account was deleted"),
    }
}
