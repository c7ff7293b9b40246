//! Scheduled work and its history.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

bodies! {
    /// One run of a job: the answer to `POST /api/admin/maintenance/{job}`, and its history.
    MaintenanceRun {
        /// The run.
        id: Uuid,
        /// The job's name.
        job: String,
        /// What started it: `schedule`, `request`, `event`, `missed`.
        trigger: String,
        /// Where it stands.
        status: RunStatus,
        /// RFC 3339.
        started_at: String,
        /// RFC 3339; null while it runs.
        finished_at: Option<String>,
        /// What it did, by the job's own account.
        #[schema(value_type = Object)]
        detail: Value,
        /// Why it failed, where it did.
        error: Option<String>,
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
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
