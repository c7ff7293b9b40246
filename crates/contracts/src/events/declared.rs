//! The list of all event types.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    BadgeRef, Choice, Contract, OUTSIDE, Payload, Personal, Upcast, UpcastError, personal,
};
use crate::{Difficulty, QuizMode};

/// The services that do something in maintenance jobs: each that speaks through events.
const EVERY_SERVICE: [&str; 7] = [
    "achievement",
    "admin",
    "auth",
    "leaderboard",
    "maintenance",
    "question",
    "quiz",
];

/// Version 1 had the name in plain text only, which the present shape may have, too.
fn may_be_sealed(payload: Value) -> Result<Value, UpcastError> {
    Ok(payload)
}

payloads! {
    /// A player's answer was recorded and counted, provisionally until its saga ends; the ask to
    /// both participants of the answer-submission saga.
    AnswerSubmitted = "answer.submitted", from ["quiz"], upcast [may_be_sealed], personal ["/displayName"] of "/userId" {
        /// The answer.
        answer_id: Uuid,
        /// Who answered.
        user_id: Uuid,
        /// The player's name as shown on leaderboards. Personal.
        #[schema(schema_with = personal::text_schema)]
        display_name: Personal<String>,
        /// What was asked.
        question_id: Uuid,
        /// What was chosen.
        choice_id: String,
        /// How it was played.
        quiz_mode: QuizMode,
        /// The question's category.
        category: String,
        /// The question's difficulty.
        difficulty: Difficulty,
        /// Whether the choice was right.
        is_correct: bool,
        /// What it is worth on the leaderboard.
        points: i64,
        /// The player's streak with this answer.
        streak: i64,
    }
    /// The answer was taken back; the ask to both participants to undo what they did.
    AnswerRevoked = "answer.revoked", from ["quiz"] {
        /// The answer.
        answer_id: Uuid,
        /// Who had answered.
        user_id: Uuid,
        /// How it was played.
        quiz_mode: QuizMode,
        /// Why it was taken back.
        reason: String,
    }
    /// The answer-submission saga completed: the answer counts everywhere.
    AnswerSubmissionCompleted = "answer_submission.completed", from ["quiz"] {
        /// The answer.
        answer_id: Uuid,
        /// Who answered.
        user_id: Uuid,
    }
    /// The answer-submission saga ended compensated: the answer counts nowhere.
    AnswerSubmissionFailed = "answer_submission.failed", from ["quiz"] {
        /// The answer.
        answer_id: Uuid,
        /// Who had answered.
        user_id: Uuid,
        /// Why it was taken back.
        reason: String,
    }
    /// The badge rules were applied to an answer.
    AchievementChecked = "achievement.checked", from ["achievement"] {
        /// The answer.
        answer_id: Uuid,
        /// Who answered.
        user_id: Uuid,
        /// The badges it earned, provisional until the saga ends.
        earned: Vec<BadgeRef>,
    }
    /// A badge was earned, provisionally until its answer's saga ends.
    AchievementEarned = "achievement.earned", from ["achievement"] {
        /// The answer that earned it.
        answer_id: Uuid,
        /// Who earned it.
        user_id: Uuid,
        /// The badge.
        badge: BadgeRef,
    }
    /// A badge is final and shown to others.
    AchievementUnlocked = "achievement.unlocked", from ["achievement"] {
        /// The answer that earned it.
        answer_id: Uuid,
        /// Who earned it.
        user_id: Uuid,
        /// The badge.
        badge: BadgeRef,
    }
    /// The badge rules could not be applied: the step is refused.
    AchievementCheckFailed = "achievement.check_failed", from ["achievement"] {
        /// The answer.
        answer_id: Uuid,
        /// Who answered.
        user_id: Uuid,
        /// Why.
        reason: String,
    }
    /// What an answer earned was taken back.
    AchievementRevoked = "achievement.revoked", from ["achievement"] {
        /// The answer.
        answer_id: Uuid,
        /// Who had answered.
        user_id: Uuid,
        /// The badges taken back.
        badges: Vec<BadgeRef>,
    }
    /// An answer's points were added to a leaderboard.
    LeaderboardEntryUpdated = "leaderboard.entry.updated", from ["leaderboard"] {
        /// The answer.
        answer_id: Uuid,
        /// Who answered.
        user_id: Uuid,
        /// Which board.
        quiz_mode: QuizMode,
        /// The player's score with it.
        score: i64,
        /// The player's place with it, from 1.
        position: i64,
    }
    /// An answer's points could not be added: the step is refused.
    LeaderboardUpdateFailed = "leaderboard.update_failed", from ["leaderboard"] {
        /// The answer.
        answer_id: Uuid,
        /// Who answered.
        user_id: Uuid,
        /// Why.
        reason: String,
    }
    /// An answer's points were taken off again.
    LeaderboardEntryReverted = "leaderboard.entry.reverted", from ["leaderboard"] {
        /// The answer.
        answer_id: Uuid,
        /// Who had answered.
        user_id: Uuid,
        /// Which board.
        quiz_mode: QuizMode,
        /// The player's score without it.
        score: i64,
    }
    /// A question was added.
    QuestionCreated = "question.created", from ["admin"] {
        /// The question.
        question_id: Uuid,
        /// What is asked.
        text: String,
        /// Its category.
        category: String,
        /// Its difficulty.
        difficulty: Difficulty,
        /// Four of them.
        choices: Vec<Choice>,
        /// The right one; for services only, never for players.
        correct_choice_id: String,
        /// Words to find it by, in alphabetical order.
        #[serde(default)]
        tags: Vec<String>,
        /// The question's version: from 1, or what the monolith had counted, rising with every
        /// edit. Not the stream's version, which counts where this is missing (0).
        #[serde(default)]
        version: i64,
    }
    /// A question was edited; carries all of it.
    QuestionUpdated = "question.updated", from ["admin"] {
        /// The question.
        question_id: Uuid,
        /// What is asked.
        text: String,
        /// Its category.
        category: String,
        /// Its difficulty.
        difficulty: Difficulty,
        /// Four of them.
        choices: Vec<Choice>,
        /// The right one; for services only, never for players.
        correct_choice_id: String,
        /// Words to find it by, in alphabetical order.
        #[serde(default)]
        tags: Vec<String>,
        /// The question's version: from 1, or what the monolith had counted, rising with every
        /// edit. Not the stream's version, which counts where this is missing (0).
        #[serde(default)]
        version: i64,
    }
    /// A question was removed.
    QuestionDeleted = "question.deleted", from ["admin"] {
        /// The question.
        question_id: Uuid,
        /// The question's version, one above that of its last edit. Where it is missing (0), the
        /// stream's version counts.
        #[serde(default)]
        version: i64,
    }
    /// The question service shows a question as of this version: players see the edit.
    QuestionApplied = "question.applied", from ["question"] {
        /// The question.
        question_id: Uuid,
        /// The version that players see, or that its removal had.
        version: i64,
    }
    /// An account or a guest came to be.
    UserCreated = "user.created", from ["auth"], upcast [may_be_sealed], personal ["/displayName"] of "/userId" {
        /// The user.
        user_id: Uuid,
        /// What others see. Personal.
        #[schema(schema_with = personal::text_schema)]
        display_name: Personal<String>,
        /// `user`, `guest`, `admin`.
        roles: Vec<String>,
    }
    /// A profile was edited.
    UserUpdated = "user.updated", from ["auth"], upcast [may_be_sealed], personal ["/displayName"] of "/userId" {
        /// The user.
        user_id: Uuid,
        /// What others see. Personal.
        #[schema(schema_with = personal::text_schema)]
        display_name: Personal<String>,
        /// `user`, `guest`, `admin`.
        roles: Vec<String>,
    }
    /// An account was deleted; every service forgets the user.
    UserDeleted = "user.deleted", from ["auth"] {
        /// The user.
        user_id: Uuid,
    }
    /// A user logged in.
    UserAuthenticated = "user.authenticated", from ["auth"] {
        /// The user.
        user_id: Uuid,
        /// `password`, `guest`, `refresh`, `oidc`.
        method: String,
    }
    /// A user's stats were set back to nothing.
    UserStatsReset = "user.stats.reset", from ["maintenance"] {
        /// The user.
        user_id: Uuid,
        /// Why.
        reason: String,
    }
    /// Somebody asks for a run of a maintenance job.
    MaintenanceRequested = "maintenance.requested", from [OUTSIDE] {
        /// The job's name.
        job: String,
        /// Who asks.
        actor: String,
        /// Why.
        reason: String,
        /// What the job is told; by its own rules.
        parameters: Value,
    }
    /// A maintenance job runs; every service that has a duty in it does a bounded portion of it
    /// and tells so.
    MaintenanceAsked = "maintenance.asked", from ["maintenance"] {
        /// The run.
        run_id: Uuid,
        /// The job's name.
        job: String,
        /// From 1; asked again while a service says that there is more.
        round: i64,
        /// What the job is told; by its own rules.
        parameters: Value,
    }
    /// A service did its portion of a maintenance job.
    MaintenanceDone = "maintenance.done", from EVERY_SERVICE {
        /// The run.
        run_id: Uuid,
        /// The job's name.
        job: String,
        /// The round that was asked.
        round: i64,
        /// The service.
        service: String,
        /// Whether there is more to do.
        more: bool,
        /// What it did or found, by the job's own rules.
        detail: Value,
        /// Why it could not, where it could not.
        error: Option<String>,
    }
    /// A maintenance run ended.
    MaintenanceEnded = "maintenance.ended", from ["maintenance"] {
        /// The run.
        run_id: Uuid,
        /// The job's name.
        job: String,
        /// `completed`, `failed`, `timed_out`.
        outcome: String,
        /// What it did, by the job's own account.
        detail: Value,
    }
    /// The state of a gateway's flag changed.
    FlagChanged = "flag.changed", from ["gateway"] {
        /// The flag.
        flag: String,
        /// The flag's version after the change.
        version: i64,
        /// Who changed it.
        actor: String,
        /// Why.
        reason: String,
        /// The whole state before; null for the first.
        before: Value,
        /// The whole state after.
        after: Value,
        /// What the decision was based on, where it was made on evidence.
        evidence: Option<Value>,
    }
    /// A gateway's route was added, changed or removed.
    RouteChanged = "route.changed", from ["gateway"] {
        /// The route.
        route: String,
        /// Who changed it.
        actor: String,
        /// Its declaration before; null when it was added.
        before: Value,
        /// Its declaration after; null when it was removed.
        after: Value,
    }
    /// An operator acted on a saga.
    SagaIntervened = "saga.intervened", from ["quiz"] {
        /// The saga.
        saga: Uuid,
        /// `retry_step`, `retry_compensation`, `resolve_step`, `force_compensation`, `abandon`.
        verb: String,
        /// The step acted on, where the verb names one.
        target: Option<String>,
        /// The outcome given to the step, where the verb gives one.
        outcome: Option<String>,
        /// Who acted.
        actor: String,
        /// Why.
        reason: String,
    }
    /// An operator changed what a timeout means for new sagas.
    SagaPolicyChanged = "saga.policy_changed", from ["quiz"] {
        /// The definition's name.
        definition: String,
        /// The step.
        target: String,
        /// `compensate`, `proceed`, `park`.
        on_timeout: String,
        /// Who changed it.
        actor: String,
        /// Why.
        reason: String,
    }
    /// A person's key was erased: no personal field of theirs can be read any more, in any event, and
    /// whoever kept such a field elsewhere forgets it.
    PersonalErased = "personal.erased", from ["log"] {
        /// Whom the fields named.
        subject: String,
        /// Who erased it.
        actor: String,
        /// Why.
        reason: String,
    }
}
