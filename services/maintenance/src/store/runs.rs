//! The `runs` table: what runs, what waits, and the history.

use contracts::http::{MaintenanceRun, RunStatus, RunTrigger};
use database::{Database, Json, Result, Timestamp, Tx, Value as Bound, params};
use serde_json::Value;
use uuid::Uuid;

use super::holds::Hold;

/// A run as it is stored.
#[derive(Clone, Debug, database::Record)]
pub struct Run {
    /// The run.
    pub id: Uuid,
    /// Its job.
    pub job: String,
    trigger_kind: String,
    status: String,
    /// The due time that it stands for.
    pub scheduled_for: Option<Timestamp>,
    /// What the job is told.
    pub parameters: Json<Value>,
    /// Why it runs.
    pub reason: Option<String>,
    /// When it was noted.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it is too late.
    pub deadline: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Of what services were asked last; 0 for local work.
    pub round: i64,
    /// What it did.
    pub detail: Json<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Answers that came when it had ended, or for a round that was over.
    pub late_replies: i64,
}

/// A run to be noted.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    /// The run.
    pub id: Uuid,
    /// Its job.
    pub job: &'static str,
    /// What started it.
    pub trigger: RunTrigger,
    /// How it begins.
    pub status: RunStatus,
    /// The due time that it stands for.
    pub scheduled_for: Option<Timestamp>,
    /// What the job is told.
    pub parameters: &'a Value,
    /// Who asked.
    pub actor: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The asker's Idempotency-Key, with who it is.
    pub request_key: Option<&'a str>,
    /// What is to say of it already.
    pub detail: Value,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// The outcome.
    pub status: RunStatus,
    /// What it did.
    pub detail: Value,
    /// Why it failed.
    pub error: Option<String>,
}

/// A statement that reads whole runs.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, job, trigger_kind, status, scheduled_for, parameters, reason, created_at,
                    started_at, deadline, finished_at, round, detail, error, late_replies
             FROM runs ",
            $rest
        )
    };
}

impl Run {
    /// Where it stands.
    pub fn status(&self) -> RunStatus {
        match self.status.as_str() {
            "queued" => RunStatus::Queued,
            "running" => RunStatus::Running,
            "completed" => RunStatus::Completed,
            "timed_out" => RunStatus::TimedOut,
            "skipped" => RunStatus::Skipped,
            _ => RunStatus::Failed,
        }
    }

    /// What started it.
    pub fn trigger(&self) -> RunTrigger {
        match self.trigger_kind.as_str() {
            "schedule" => RunTrigger::Schedule,
            "missed" => RunTrigger::Missed,
            "event" => RunTrigger::Event,
            _ => RunTrigger::Request,
        }
    }

    /// Whether it has ended, or never began.
    pub fn is_over(&self) -> bool {
        !matches!(self.status(), RunStatus::Queued | RunStatus::Running)
    }

    /// The run as clients see it.
    pub fn body(self) -> MaintenanceRun {
        MaintenanceRun {
            id: self.id,
            trigger: self.trigger(),
            status: self.status(),
            scheduled_for: self.scheduled_for.map(|at| at.to_string()),
            started_at: self.started_at.unwrap_or(self.created_at).to_string(),
            finished_at: self.finished_at.map(|at| at.to_string()),
            detail: self.detail.0,
            error: self.error,
            job: self.job,
        }
    }
}

/// A status as the table and events name it.
pub const fn status_name(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "queued",
        RunStatus::Running => "running",
        RunStatus::Completed => "completed",
        RunStatus::Failed => "failed",
        RunStatus::TimedOut => "timed_out",
        RunStatus::Skipped => "skipped",
    }
}

const fn trigger_name(trigger: RunTrigger) -> &'static str {
    match trigger {
        RunTrigger::Schedule => "schedule",
        RunTrigger::Missed => "missed",
        RunTrigger::Request => "request",
        RunTrigger::Event => "event",
    }
}

/// Notes a run; false when its due time, its key or its id already is one.
///
/// # Errors
/// As the database says.
pub async fn insert(tx: &mut Tx, new: &NewRun<'_>, now: Timestamp) -> Result<bool> {
    let is_over = matches!(new.status, RunStatus::Skipped | RunStatus::Failed);
    let finished_at = is_over.then_some(now);
    let inserted = tx
        .execute(
            "INSERT INTO runs (id, job, trigger_kind, status, scheduled_for, parameters, actor,
                 reason, request_key, created_at, finished_at, round, detail, late_replies, token)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, 0, 0)
             ON CONFLICT DO NOTHING",
            params![
                new.id,
                new.job,
                trigger_name(new.trigger),
                status_name(new.status),
                Bound::Time(new.scheduled_for),
                new.parameters.clone(),
                new.actor,
                new.reason,
                new.request_key,
                now,
                Bound::Time(finished_at),
                new.detail.clone()
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Notes that a run begins, and how long it may take.
///
/// # Errors
/// As the database says.
pub async fn begin(
    tx: &mut Tx,
    id: Uuid,
    round: i64,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE runs SET status = 'running', started_at = $2, deadline = $3, round = $4
         WHERE id = $1",
        params![id, now, deadline, round],
    )
    .await?;
    Ok(())
}

/// Notes that services are asked once more.
///
/// # Errors
/// As the database says.
pub async fn set_round(tx: &mut Tx, id: Uuid, round: i64) -> Result<()> {
    tx.execute(
        "UPDATE runs SET round = $2 WHERE id = $1",
        params![id, round],
    )
    .await?;
    Ok(())
}

/// Ends a run that runs; with a hold only while the hold is the newest. Whether it did.
///
/// # Errors
/// As the database says.
pub async fn end(
    tx: &mut Tx,
    id: Uuid,
    hold: Option<Hold>,
    end: &End,
    now: Timestamp,
) -> Result<bool> {
    let ended = tx
        .execute(
            "UPDATE runs SET status = $2, finished_at = $3, detail = $4, error = $5,
                 holder = NULL, held_until = NULL
             WHERE id = $1 AND status = 'running' AND ($6 < 0 OR token = $6)",
            params![
                id,
                status_name(end.status),
                now,
                end.detail.clone(),
                end.error.clone(),
                hold.map_or(-1, |hold| hold.token)
            ],
        )
        .await?;
    Ok(ended == 1)
}

/// Notes an answer that came too late to change anything.
///
/// # Errors
/// As the database says.
pub async fn note_late(tx: &mut Tx, id: Uuid) -> Result<()> {
    tx.execute(
        "UPDATE runs SET late_replies = late_replies + 1 WHERE id = $1",
        params![id],
    )
    .await?;
    Ok(())
}

/// A run.
///
/// # Errors
/// As the database says.
pub async fn find(db: &Database, id: Uuid) -> Result<Option<Run>> {
    db.fetch_optional(select!("WHERE id = $1"), params![id])
        .await
}

/// The same, inside a transaction.
///
/// # Errors
/// As the database says.
pub async fn find_in(tx: &mut Tx, id: Uuid) -> Result<Option<Run>> {
    tx.fetch_optional(select!("WHERE id = $1"), params![id])
        .await
}

/// The run of a job with this status: `running` or `queued`, of which there is one at most.
///
/// # Errors
/// As the database says.
pub async fn with_status(tx: &mut Tx, job: &str, status: RunStatus) -> Result<Option<Run>> {
    tx.fetch_optional(
        select!("WHERE job = $1 AND status = $2"),
        params![job, status_name(status)],
    )
    .await
}

/// The run that was asked for with this key.
///
/// # Errors
/// As the database says.
pub async fn by_key(tx: &mut Tx, job: &str, key: &str) -> Result<Option<Run>> {
    tx.fetch_optional(
        select!("WHERE job = $1 AND request_key = $2"),
        params![job, key],
    )
    .await
}

/// Runs whose time is over.
///
/// # Errors
/// As the database says.
pub async fn overdue(db: &Database, now: Timestamp) -> Result<Vec<Run>> {
    db.fetch_all(
        select!("WHERE status = 'running' AND deadline <= $1 ORDER BY deadline LIMIT 100"),
        params![now],
    )
    .await
}

/// A page of a job's runs, newest first, behind the place (`created_at`, `id`).
///
/// # Errors
/// As the database says.
pub async fn page(
    db: &Database,
    job: &str,
    behind: (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<Run>> {
    db.fetch_all(
        select!(
            "WHERE job = $1 AND (created_at < $2 OR (created_at = $2 AND id < $3))
             ORDER BY created_at DESC, id DESC LIMIT $4"
        ),
        params![job, behind.0, behind.1, limit],
    )
    .await
}

/// The newest run of a job, with this status where one is named.
///
/// # Errors
/// As the database says.
pub async fn newest(db: &Database, job: &str, status: Option<RunStatus>) -> Result<Option<Run>> {
    db.fetch_optional(
        select!(
            "WHERE job = $1 AND ($2 = '' OR status = $2)
             ORDER BY created_at DESC, id DESC LIMIT 1"
        ),
        params![job, status.map_or("", status_name)],
    )
    .await
}

/// Runs that one [`prune`] removes at most: a short transaction.
pub const PRUNED: u64 = 1_000;

/// Removes runs of a job that are older than `old` or more than `keep`, [`PRUNED`] at most; the
/// newest stays.
///
/// # Errors
/// As the database says.
pub async fn prune(db: &Database, job: &str, old: Timestamp, keep: i64) -> Result<u64> {
    db.execute(
        "DELETE FROM runs WHERE id IN (
             SELECT id FROM runs
             WHERE job = $1 AND status NOT IN ('queued', 'running')
               AND id <> (SELECT id FROM runs WHERE job = $1
                          ORDER BY created_at DESC, id DESC LIMIT 1)
               AND (created_at < $2
                    OR created_at < (SELECT created_at FROM runs WHERE job = $1
                                     ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET $3))
             ORDER BY created_at LIMIT $4)",
        params![job, old, keep, i64::try_from(PRUNED).unwrap_or(i64::MAX)],
    )
    .await
}
