//! Scheduled work and its history.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

bodies! {
    /// One run of a job: the answer to `POST /api/admin/maintenance/{job}`, and its history.
    MaintenanceRun {
        /// The run.
        id: Uuid,
        /// The job's name.
        job: String,
        /// What started it.
        trigger: RunTrigger,
        /// Where it stands.
        status: RunStatus,
        /// The due time that it stands for, RFC 3339; null where nothing was due.
        #[schema(format = "date-time")]
        scheduled_for: Option<String>,
        /// RFC 3339; of one that is queued or was skipped, when it was noted.
        #[schema(format = "date-time")]
        started_at: String,
        /// RFC 3339; null while it runs.
        #[schema(format = "date-time")]
        finished_at: Option<String>,
        /// What it did, by the job's own account.
        #[schema(value_type = Object)]
        detail: Value,
        /// Why it failed, where it did.
        error: Option<String>,
    }
    /// A page of a job's history, newest first.
    MaintenanceRunPage {
        /// The runs.
        items: Vec<MaintenanceRun>,
        /// Where the next page begins; null on the last one.
        next_cursor: Option<String>,
    }
    /// A job and when it runs.
    MaintenanceJob {
        /// Its name.
        name: String,
        /// What it does.
        description: String,
        /// A cron expression of five fields; null for a job that runs only when asked for.
        schedule: Option<String>,
        /// The IANA time zone that the schedule is read in.
        time_zone: String,
        /// Whether it runs by its schedule and by events; it can always be asked for.
        enabled: bool,
        /// RFC 3339; null where nothing is planned.
        #[schema(format = "date-time")]
        next_run_at: Option<String>,
        /// The newest run; null when it never ran.
        last_run: Option<MaintenanceRun>,
    }
    /// All jobs.
    MaintenanceJobs {
        /// In the order of their names.
        items: Vec<MaintenanceJob>,
    }
    /// What happened on one UTC day.
    DailyReport {
        /// The day, as `2026-03-29`.
        #[schema(format = "date")]
        day: String,
        /// Answers.
        answers: AnswerCounts,
        /// The same by quiz mode.
        by_mode: AnswerModes,
        /// Accounts that came to be.
        new_users: i64,
        /// Guests that came to be.
        new_guests: i64,
        /// Accounts and guests that were deleted.
        deleted_users: i64,
        /// Badges that became final.
        badges_unlocked: i64,
        /// Questions added, edited and removed.
        question_edits: i64,
    }
    /// Answers of one day.
    AnswerCounts {
        /// Taken in.
        submitted: i64,
        /// Counting everywhere.
        completed: i64,
        /// Taken back.
        failed: i64,
        /// Right ones among the completed.
        correct: i64,
    }
    /// Answers of one day by quiz mode.
    AnswerModes {
        /// No clock, no lives.
        classic: AnswerCounts,
        /// Against the clock.
        timed: AnswerCounts,
        /// Until the first mistake.
        survival: AnswerCounts,
    }
}

/// What `POST /api/admin/maintenance/{job}` may be told; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartMaintenance {
    /// What the job is told; by its own rules.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// Why, for the record.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub reason: Option<String>,
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunTrigger {
    /// It was due.
    Schedule,
    /// It had been due while nobody ran.
    Missed,
    /// An administrator.
    Request,
    /// An event.
    Event,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It begins when the one before it has ended.
    Queued,
    /// Somebody is at it.
    Running,
    /// Done.
    Completed,
    /// It ended with an error.
    Failed,
    /// It did not end in the time that the job allows.
    TimedOut,
    /// It was due while the one before still ran, and the job's rule is to skip.
    Skipped,
}
