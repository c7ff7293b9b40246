//! What is counted of each day, and the reports made of it.

use std::collections::{BTreeMap, HashMap};

use contracts::{QuizMode, http::DailyReport};
use database::{Database, Dialect, Json, Result, Sql, Timestamp, Tx, params};
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

/// What is counted: a day, what happened, and the quiz mode; empty where it has none.
pub type Counted = (Day, Count, String);

/// Adds to the counts.
///
/// # Errors
/// As the database says.
pub async fn add(tx: &mut Tx, edition: Edition, counts: &BTreeMap<Counted, i64>) -> Result<()> {
    let sql = of_edition!(
        edition,
        "INSERT INTO ",
        "day_counts",
        " AS kept (day, kind, quiz_mode, count) VALUES ($1, $2, $3, $4)
         ON CONFLICT (day, kind, quiz_mode) DO UPDATE SET count = kept.count + excluded.count"
    );
    let row = |((day, count, mode), more): (&Counted, &i64)| {
        params![day.to_string(), count.as_str(), mode, *more]
    };
    // Few, however many events: a day has some kinds in some modes.
    let rows = counts.iter().map(row).collect();
    tx.execute_each(sql, rows).await.map(|_| ())
}

/// An answer whose saga has not ended.
#[derive(Clone, Debug)]
pub struct Open {
    /// The answer.
    pub answer_id: Uuid,
    /// How it was played.
    pub mode: QuizMode,
    /// Whether it was right.
    pub is_correct: bool,
    /// When it was submitted.
    pub at: Timestamp,
}

/// Keeps in mind how answers were played until their sagas end.
///
/// # Errors
/// As the database says.
pub async fn open(tx: &mut Tx, edition: Edition, answers: Vec<Open>) -> Result<()> {
    let Some(newest) = answers.iter().map(|answer| answer.at).max() else {
        return Ok(());
    };
    let forget = of_edition!(
        edition,
        "DELETE FROM ",
        "open_answers",
        " WHERE submitted_at < $1"
    );
    tx.execute(forget, params![newest - OPEN_FOR]).await?;
    if tx.dialect() == Dialect::Sqlite {
        let sql = of_edition!(
            edition,
            "INSERT INTO ",
            "open_answers",
            " (answer_id, quiz_mode, is_correct, submitted_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (answer_id) DO NOTHING"
        );
        let row = |open: &Open| {
            let Open {
                answer_id,
                mode,
                is_correct,
                at,
            } = *open;
            params![answer_id, mode.as_str(), is_correct, at]
        };
        let rows = answers.iter().map(row).collect();
        return tx.execute_each(sql, rows).await.map(|_| ());
    }
    let sql = of_edition!(
        edition,
        "INSERT INTO ",
        "open_answers",
        " (answer_id, quiz_mode, is_correct, submitted_at)
         SELECT answer_id, quiz_mode, is_correct <> 0, submitted_at
         FROM unnest($1::UUID[], $2::TEXT[], $3::BIGINT[], $4::TIMESTAMPTZ[])
             AS given (answer_id, quiz_mode, is_correct, submitted_at)
         ON CONFLICT (answer_id) DO NOTHING"
    );
    let ids: Vec<Uuid> = answers.iter().map(|open| open.answer_id).collect();
    let modes = answers.iter().map(|open| open.mode.as_str().to_owned());
    let modes: Vec<String> = modes.collect();
    let correct: Vec<i64> = answers
        .iter()
        .map(|open| i64::from(open.is_correct))
        .collect();
    let times: Vec<Timestamp> = answers.iter().map(|open| open.at).collect();
    tx.execute(sql, params![ids, modes, correct, times])
        .await
        .map(|_| ())
}

/// How answers were played and whether they were right, as far as that is known; they are no longer
/// kept in mind.
///
/// # Errors
/// As the database says.
pub async fn close(
    tx: &mut Tx,
    edition: Edition,
    answers: Vec<Uuid>,
) -> Result<HashMap<Uuid, (String, bool)>> {
    if answers.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = Sql::by_dialect(
        of_edition!(
            edition,
            "DELETE FROM ",
            "open_answers",
            " WHERE answer_id = ANY($1) RETURNING answer_id, quiz_mode, is_correct"
        ),
        of_edition!(
            edition,
            "DELETE FROM ",
            "open_answers",
            " WHERE answer_id IN (SELECT unhex(value) FROM json_each($1))
             RETURNING answer_id, quiz_mode, is_correct"
        ),
    );
    let rows: Vec<(Uuid, String, bool)> = tx.fetch_all(sql, params![answers]).await?;
    let by_id = |(id, mode, is_correct)| (id, (mode, is_correct));
    Ok(rows.into_iter().map(by_id).collect())
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
