//! The `archives` table: which folder is the archive.

use database::{Database, Result, params};
use uuid::Uuid;

/// The archive's id, once one is known.
///
/// # Errors
/// As the database says.
pub async fn known(db: &Database) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = db
        .fetch_optional(
            "SELECT archive_id FROM archives WHERE singleton = 1",
            params![],
        )
        .await?;
    Ok(row.map(|(id,)| id))
}

/// Notes the archive's id, unless another is known; which it is.
///
/// # Errors
/// As the database says.
pub async fn adopt(db: &Database, id: Uuid) -> Result<Option<Uuid>> {
    db.execute(
        "INSERT INTO archives (singleton, archive_id) VALUES (1, $1) ON CONFLICT (singleton) DO NOTHING",
        params![id],
    )
    .await?;
    known(db).await
}
