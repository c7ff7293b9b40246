//! The `maintenance_runs` and `maintenance_reports` tables, and what maintenance reads and removes
//! of the others.

use std::time::Duration;

use contracts::http::{DailyReport, MaintenanceRun, RunStatus, RunTrigger};
use database::{Database, Json, Result, Sql, Timestamp, Tx, params};
use maintenance::domain::{Count, Day, Orders, Place};
use serde_json::{Value, json};
use uuid::Uuid;

/// A run as it is stored.
#[derive(Clone, Debug, database::Record)]
pub struct Run {
    /// The run.
    pub id: Uuid,
    job: String,
    status: String,
    parameters: Json<Value>,
    reason: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    finished_at: Option<Timestamp>,
    detail: Json<Value>,
    error: Option<String>,
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
            "SELECT id, job, status, parameters, reason, started_at, finished_at, detail, error
             FROM maintenance_runs ",
            $rest
        )
    };
}

impl Run {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Whether it was told the same.
    pub fn is_told(&self, orders: &Orders) -> bool {
        self.parameters.0 == orders.parameters && self.reason == orders.reason
    }

    /// The run as clients see it. Nothing but requests starts runs here.
    pub fn body(self) -> MaintenanceRun {
        MaintenanceRun {
            id: self.id,
            job: self.job,
            trigger: RunTrigger::Request,
            status: match self.status.as_str() {
                "running" => RunStatus::Running,
                "completed" => RunStatus::Completed,
                "timed_out" => RunStatus::TimedOut,
                _ => RunStatus::Failed,
            },
            scheduled_for: None,
            started_at: self.started_at.to_string(),
            finished_at: self.finished_at.map(|at| at.to_string()),
            detail: self.detail.0,
            error: self.error,
        }
    }
}

/// Notes that a run begins; false while another of the job runs, or when the key was used.
///
/// # Errors
/// As the database says.
pub async fn begin(
    tx: &mut Tx,
    id: Uuid,
    job: &str,
    actor: Uuid,
    orders: &Orders,
    key: Option<&str>,
) -> Result<bool> {
    let now = tx.now().await?;
    let begun = tx
        .execute(
            "INSERT INTO maintenance_runs
                 (id, job, status, parameters, actor, reason, request_key, started_at, detail)
             VALUES ($1, $2, 'running', $3, $4, $5, $6, $7, $8)
             ON CONFLICT DO NOTHING",
            params![
                id,
                job,
                orders.parameters.clone(),
                actor,
                orders.reason.clone(),
                key,
                now,
                json!({})
            ],
        )
        .await?;
    Ok(begun == 1)
}

/// Ends a run that runs.
///
/// # Errors
/// As the database says.
pub async fn end(db: &Database, id: Uuid, end: &End) -> Result<()> {
    let mut tx = db.begin().await?;
    let now = tx.now().await?;
    let status = maintenance::store::runs::status_name(end.status);
    tx.execute(
        "UPDATE maintenance_runs SET status = $2, finished_at = $3, detail = $4, error = $5
         WHERE id = $1 AND status = 'running'",
        params![id, status, now, end.detail.clone(), end.error.clone()],
    )
    .await?;
    tx.commit().await
}

/// Ends runs that run for longer than `lost`: their process is gone.
///
/// # Errors
/// As the database says.
pub async fn end_lost(db: &Database, lost: Duration) -> Result<()> {
    let now = db.now().await?;
    let ended = db
        .execute(
            "UPDATE maintenance_runs SET status = 'timed_out', finished_at = $2,
                 error = 'the process ended before the run did'
             WHERE status = 'running' AND started_at < $1",
            params![now - lost, now],
        )
        .await?;
    if ended > 0 {
        tracing::warn!(ended, "runs whose process is gone were ended");
    }
    Ok(())
}

/// Removes runs of the job that began before `old`.
///
/// # Errors
/// As the database says.
pub async fn prune(tx: &mut Tx, job: &str, old: Timestamp) -> Result<()> {
    tx.execute(
        "DELETE FROM maintenance_runs WHERE job = $1 AND status <> 'running' AND started_at < $2",
        params![job, old],
    )
    .await?;
    Ok(())
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

/// The run of the job that runs.
///
/// # Errors
/// As the database says.
pub async fn running(tx: &mut Tx, job: &str) -> Result<Option<Run>> {
    tx.fetch_optional(
        select!("WHERE job = $1 AND status = 'running'"),
        params![job],
    )
    .await
}

/// A run.
///
/// # Errors
/// As the database says.
pub async fn find(db: &Database, id: Uuid) -> Result<Option<Run>> {
    db.fetch_optional(select!("WHERE id = $1"), params![id])
        .await
}

/// A page of a job's runs, newest first.
///
/// # Errors
/// As the database says.
pub async fn page(db: &Database, job: &str, behind: Place, limit: i64) -> Result<Vec<Run>> {
    db.fetch_all(
        select!(
            "WHERE job = $1 AND (started_at < $2 OR (started_at = $2 AND id < $3))
             ORDER BY started_at DESC, id DESC LIMIT $4"
        ),
        params![job, behind.0, behind.1, limit],
    )
    .await
}

/// Guests who were not here since `before`, locked until the transaction ends.
///
/// # Errors
/// As the database says.
pub async fn idle_guests(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = tx
        .fetch_all(
            Sql::by_dialect(
                r#"SELECT u.id FROM users u
                   WHERE u.roles @> '["guest"]'::jsonb AND u.updated_at < $1
                     AND NOT EXISTS (SELECT 1 FROM refresh_tokens t
                                     WHERE t.user_id = u.id AND t.issued_at >= $1)
                     AND NOT EXISTS (SELECT 1 FROM answers a
                                     WHERE a.user_id = u.id AND a.answered_at >= $1)
                   ORDER BY u.id LIMIT $2 FOR UPDATE OF u SKIP LOCKED"#,
                r#"SELECT u.id FROM users u
                   WHERE instr(u.roles, '"guest"') > 0 AND u.updated_at < $1
                     AND NOT EXISTS (SELECT 1 FROM refresh_tokens t
                                     WHERE t.user_id = u.id AND t.issued_at >= $1)
                     AND NOT EXISTS (SELECT 1 FROM answers a
                                     WHERE a.user_id = u.id AND a.answered_at >= $1)
                   ORDER BY u.id LIMIT $2"#,
            ),
            params![before, limit],
        )
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Sets the player's stats, counters and scores back to nothing; badges stay.
///
/// # Errors
/// As the database says.
pub async fn reset_stats(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    for sql in [
        "DELETE FROM leaderboard WHERE user_id = $1",
        "DELETE FROM players WHERE user_id = $1",
        "DELETE FROM mode_stats WHERE user_id = $1",
        "DELETE FROM stats WHERE user_id = $1",
        "UPDATE answers SET counted = FALSE WHERE user_id = $1",
    ] {
        tx.execute(sql, params![user_id]).await?;
    }
    Ok(())
}

/// Removes keys older than `keys_until` and draws older than `draws_until`; how many of each.
///
/// # Errors
/// As the database says.
pub async fn retire(
    tx: &mut Tx,
    keys_until: Timestamp,
    draws_until: Timestamp,
    limit: i64,
) -> Result<(u64, u64)> {
    let keys = tx
        .execute(
            "DELETE FROM idempotency_keys WHERE (user_id, path, key) IN (
                 SELECT user_id, path, key FROM idempotency_keys WHERE created_at < $1
                 ORDER BY created_at LIMIT $2)",
            params![keys_until, limit],
        )
        .await?;
    let draws = tx
        .execute(
            "DELETE FROM draws WHERE (user_id, pool) IN (
                 SELECT user_id, pool FROM draws WHERE drawn_at < $1
                 ORDER BY drawn_at LIMIT $2)",
            params![draws_until, limit],
        )
        .await?;
    Ok((keys, draws))
}

/// What happened from `from` until before `until`, as the services count it: kind, quiz mode,
/// count.
///
/// # Errors
/// As the database says.
pub async fn counts(
    db: &Database,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<(String, String, i64)>> {
    let mut counts = Vec::new();
    let answers: Vec<(String, i64, i64)> = db
        .fetch_all(
            "SELECT quiz_mode, COUNT(*),
                    CAST(SUM(CASE WHEN is_correct THEN 1 ELSE 0 END) AS BIGINT)
             FROM answers WHERE answered_at >= $1 AND answered_at < $2 GROUP BY quiz_mode",
            params![from, until],
        )
        .await?;
    for (mode, answered, correct) in answers {
        // Here an answer counts at once, or not at all.
        for (count, number) in [
            (Count::Submitted, answered),
            (Count::Completed, answered),
            (Count::Correct, correct),
        ] {
            counts.push((count.as_str().to_owned(), mode.clone(), number));
        }
    }
    let guests = Sql::by_dialect(
        r#"SELECT COUNT(*) FROM users WHERE created_at >= $1 AND created_at < $2
             AND roles @> '["guest"]'::jsonb"#,
        r#"SELECT COUNT(*) FROM users WHERE created_at >= $1 AND created_at < $2
             AND instr(roles, '"guest"') > 0"#,
    );
    let users = Sql::by_dialect(
        r#"SELECT COUNT(*) FROM users WHERE created_at >= $1 AND created_at < $2
             AND NOT roles @> '["guest"]'::jsonb"#,
        r#"SELECT COUNT(*) FROM users WHERE created_at >= $1 AND created_at < $2
             AND instr(roles, '"guest"') = 0"#,
    );
    for (count, sql) in [
        (Count::NewGuest, guests),
        (Count::NewUser, users),
        (
            Count::DeletedUser,
            "SELECT COUNT(*) FROM deleted_accounts WHERE deleted_at >= $1 AND deleted_at < $2"
                .into(),
        ),
        (
            Count::Badge,
            "SELECT COUNT(*) FROM achievements WHERE unlocked_at >= $1 AND unlocked_at < $2".into(),
        ),
        (
            Count::QuestionEdit,
            "SELECT COUNT(*) FROM questions WHERE updated_at >= $1 AND updated_at < $2".into(),
        ),
    ] {
        let (number,): (i64,) = db.fetch_one(sql, params![from, until]).await?;
        counts.push((count.as_str().to_owned(), String::new(), number));
    }
    Ok(counts)
}

/// Stores a day's report in place of an older one.
///
/// # Errors
/// As the database says.
pub async fn store_report(db: &Database, report: &DailyReport) -> Result<()> {
    let mut tx = db.begin().await?;
    let now = tx.now().await?;
    tx.execute(
        "INSERT INTO maintenance_reports (day, body, made_at) VALUES ($1, $2, $3)
         ON CONFLICT (day) DO UPDATE SET body = excluded.body, made_at = excluded.made_at",
        params![&report.day, super::json(report)?, now],
    )
    .await?;
    tx.commit().await
}

/// The stored report of a day.
///
/// # Errors
/// As the database says.
pub async fn report(db: &Database, day: Day) -> Result<Option<DailyReport>> {
    let row: Option<(Json<DailyReport>,)> = db
        .fetch_optional(
            "SELECT body FROM maintenance_reports WHERE day = $1",
            params![day.to_string()],
        )
        .await?;
    Ok(row.map(|(body,)| body.0))
}

/// The newest run of a job.
///
/// # Errors
/// As the database says.
pub async fn newest(db: &Database, job: &str) -> Result<Option<Run>> {
    db.fetch_optional(
        select!("WHERE job = $1 ORDER BY started_at DESC, id DESC LIMIT 1"),
        params![job],
    )
    .await
}
