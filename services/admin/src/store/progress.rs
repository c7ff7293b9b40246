//! How far the import from the monolith and the following of its edits came.

use std::time::Duration;

use database::{Database, Result, Timestamp, Tx, params};
use uuid::Uuid;

/// What the rows come from, in `import_progress` and `follow_progress`.
const SOURCE: &str = "legacy.questions";

/// Up to when the monolith's writes are the first import's, noted when that begins.
const BEGUN: &str = "legacy.questions.begun";

/// A transaction of the monolith may commit this much later than the time it wrote: what is younger
/// is looked at again.
pub const OVERLAP: Duration = Duration::from_secs(60);

/// After which row an interrupted import goes on; none: at the beginning.
///
/// # Errors
/// As the database says.
pub async fn imported(db: &Database) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = db
        .fetch_optional(
            "SELECT after_id FROM import_progress WHERE source = $1",
            params![SOURCE],
        )
        .await?;
    Ok(row.map(|(after,)| after))
}

/// Notes how far the import came, with the rows themselves.
///
/// # Errors
/// As the database says.
pub async fn note_imported(tx: &mut Tx, after: Uuid) -> Result<()> {
    tx.execute(
        "INSERT INTO import_progress (source, after_id) VALUES ($1, $2)
         ON CONFLICT (source) DO UPDATE SET after_id = excluded.after_id",
        params![SOURCE, after],
    )
    .await?;
    Ok(())
}

/// The first import begins: whatever the monolith writes after `at` is for following. An import
/// that was interrupted keeps its first beginning, which is returned.
///
/// # Errors
/// As the database says.
pub async fn begin(db: &Database, at: Timestamp) -> Result<Timestamp> {
    db.execute(
        "INSERT INTO follow_progress (source, watermark) VALUES ($1, $2)
         ON CONFLICT (source) DO NOTHING",
        params![BEGUN, at],
    )
    .await?;
    Ok(place(db, BEGUN).await?.unwrap_or(at))
}

/// The import came to its end: the next one begins at the beginning, and following may begin where
/// this one did.
///
/// # Errors
/// As the database says.
pub async fn finish(db: &Database, begun: Timestamp) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.execute(
        "DELETE FROM import_progress WHERE source = $1",
        params![SOURCE],
    )
    .await?;
    tx.execute(
        "INSERT INTO follow_progress (source, watermark)
         VALUES ($1, $2)
         ON CONFLICT (source) DO NOTHING",
        params![SOURCE, begun - OVERLAP],
    )
    .await?;
    tx.commit().await
}

/// Up to when all of the monolith's changes are known; none before the first import has ended.
///
/// # Errors
/// As the database says.
pub async fn watermark(db: &Database) -> Result<Option<Timestamp>> {
    place(db, SOURCE).await
}

async fn place(db: &Database, source: &str) -> Result<Option<Timestamp>> {
    let row: Option<(Timestamp,)> = db
        .fetch_optional(
            "SELECT watermark FROM follow_progress WHERE source = $1",
            params![source],
        )
        .await?;
    Ok(row.map(|(at,)| at))
}

/// Moves the watermark, never back.
///
/// # Errors
/// As the database says.
pub async fn advance(db: &Database, at: Timestamp) -> Result<()> {
    db.execute(
        "UPDATE follow_progress SET watermark = $2 WHERE source = $1 AND watermark < $2",
        params![SOURCE, at],
    )
    .await?;
    Ok(())
}
