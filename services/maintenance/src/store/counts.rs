//! What is counted of each day, and the reports made of it.

use contracts::{QuizMode, http::DailyReport};
use database::{Database, Json, Result, Timestamp, Tx, params};
use uuid::Uuid;

use crate::domain::{Count, Day};

/// Undecided answers older than this are forgotten: their end will not be counted by mode.
const OPEN_FOR: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);

/// Which copy of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// The one that reports are made of.
    InUse,
    /// The one that is built beside it.
    Beside,
}

/// A statement on a table of the copy.
macro_rules! of_edition {
    ($edition:expr, $before:literal, $table:literal, $after:literal) => {
        match $edition {
            Edition::InUse => concat!($before, $table, $after),
            Edition::Beside => concat!($before, $table, "_beside", $after),
        }
    };
}

/// Counts one more; `mode` where it has one.
///
/// # Errors
/// As the database says.
pub async fn add(tx: &mut Tx, edition: Edition, day: Day, count: Count, mode: &str) -> Result<()> {
    tx.execute(
        of_edition!(
            edition,
            "INSERT INTO ",
            "day_counts",
            " AS kept (day, kind, quiz_mode, count) VALUES ($1, $2, $3, 1)
             ON CONFLICT (day, kind, quiz_mode) DO UPDATE SET count = kept.count + 1"
        ),
        params![day.to_string(), count.as_str(), mode],
    )
    .await?;
    Ok(())
}

/// Keeps in mind how an answer was played until its saga ends.
///
/// # Errors
/// As the database says.
pub async fn open(
    tx: &mut Tx,
    edition: Edition,
    answer_id: Uuid,
    mode: QuizMode,
    is_correct: bool,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        of_edition!(
            edition,
            "DELETE FROM ",
            "open_answers",
            " WHERE submitted_at < $1"
        ),
        params![at - OPEN_FOR],
    )
    .await?;
    tx.execute(
        of_edition!(
            edition,
            "INSERT INTO ",
            "open_answers",
            " (answer_id, quiz_mode, is_correct, submitted_at)
             VALUES ($1, $2, $3, $4) ON CONFLICT (answer_id) DO NOTHING"
        ),
        params![answer_id, mode.as_str(), is_correct, at],
    )
    .await?;
    Ok(())
}

/// How an answer was played and whether it was right; it is no longer kept in mind.
///
/// # Errors
/// As the database says.
pub async fn close(
    tx: &mut Tx,
    edition: Edition,
    answer_id: Uuid,
) -> Result<Option<(String, bool)>> {
    tx.fetch_optional(
        of_edition!(
            edition,
            "DELETE FROM ",
            "open_answers",
            " WHERE answer_id = $1 RETURNING quiz_mode, is_correct"
        ),
        params![answer_id],
    )
    .await
}

/// Forgets all counts of a copy.
///
/// # Errors
/// As the database says.
pub async fn clear(tx: &mut Tx, edition: Edition) -> Result<()> {
    let counts = of_edition!(edition, "DELETE FROM ", "day_counts", "");
    tx.execute(counts, params![]).await?;
    let answers = of_edition!(edition, "DELETE FROM ", "open_answers", "");
    tx.execute(answers, params![]).await?;
    Ok(())
}

/// Puts what was built beside in the place of what is in use.
///
/// # Errors
/// As the database says.
pub async fn swap(tx: &mut Tx) -> Result<()> {
    clear(tx, Edition::InUse).await?;
    for sql in [
        "INSERT INTO day_counts (day, kind, quiz_mode, count)
         SELECT day, kind, quiz_mode, count FROM day_counts_beside",
        "INSERT INTO open_answers (answer_id, quiz_mode, is_correct, submitted_at)
         SELECT answer_id, quiz_mode, is_correct, submitted_at FROM open_answers_beside",
    ] {
        tx.execute(sql, params![]).await?;
    }
    clear(tx, Edition::Beside).await
}

/// The counts of a day: kind, quiz mode, count.
///
/// # Errors
/// As the database says.
pub async fn of_day(db: &Database, day: Day) -> Result<Vec<(String, String, i64)>> {
    db.fetch_all(
        "SELECT kind, quiz_mode, count FROM day_counts WHERE day = $1",
        params![day.to_string()],
    )
    .await
}

/// Stores a day's report in place of an older one.
///
/// # Errors
/// As the database says.
pub async fn store_report(db: &Database, report: &DailyReport, now: Timestamp) -> Result<()> {
    let body =
        serde_json::to_value(report).map_err(|error| database::Error::Query(Box::new(error)))?;
    db.execute(
        "INSERT INTO reports (day, body, made_at) VALUES ($1, $2, $3)
         ON CONFLICT (day) DO UPDATE SET body = excluded.body, made_at = excluded.made_at",
        params![&report.day, body, now],
    )
    .await?;
    Ok(())
}

/// The stored report of a day.
///
/// # Errors
/// As the database says.
pub async fn report(db: &Database, day: Day) -> Result<Option<DailyReport>> {
    let row: Option<(Json<DailyReport>,)> = db
        .fetch_optional(
            "SELECT body FROM reports WHERE day = $1",
            params![day.to_string()],
        )
        .await?;
    Ok(row.map(|(body,)| body.0))
}

/// The newest day up to `until` that has a report.
///
/// # Errors
/// As the database says.
pub async fn last_reported(db: &Database, until: Day) -> Result<Option<String>> {
    let (day,): (Option<String>,) = db
        .fetch_one(
            "SELECT MAX(day) FROM reports WHERE day <= $1",
            params![until.to_string()],
        )
        .await?;
    Ok(day)
}
