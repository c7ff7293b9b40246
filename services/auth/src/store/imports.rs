//! Rows of the monolith, and how far an import of them came.

use database::{Database, Json, Result, Timestamp, Tx, params};
use serde_json::json;
use uuid::Uuid;

use super::users;
use crate::domain::role;

/// What the rows come from, in `import_progress`.
const SOURCE: &str = "legacy.users";

/// A user as the monolith stores it.
#[derive(Clone, Debug, database::Record)]
pub struct LegacyUser {
    /// The same on both sides.
    pub id: Uuid,
    email: Option<String>,
    email_key: Option<String>,
    password_hash: Option<String>,
    display_name: String,
    roles: Json<Vec<String>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was not here.
    Inserted,
    /// It was here, as an earlier import had left it, and the monolith's is newer.
    Updated,
    /// It is known, or was changed here, or its e-mail address belongs to somebody else here.
    Skipped,
}

/// Reads the next rows of the monolith's table, by id.
///
/// # Errors
/// As the monolith's database says.
pub async fn read_legacy(legacy: &Database, after: Uuid, limit: i64) -> Result<Vec<LegacyUser>> {
    legacy
        .fetch_all(
            "SELECT id, email, email_key, password_hash, display_name, roles, created_at, updated_at
             FROM users WHERE id > $1 ORDER BY id LIMIT $2",
            params![after, limit],
        )
        .await
}

/// Takes one row over. A row that was born or changed here stays as it is, except that a user who
/// was only known by a token gets the credentials. Whoever was deleted here stays away. A guest who
/// became a user there is none here any more, so the clean-up of guests forgets when it was seen.
///
/// # Errors
/// As the database says.
pub async fn take_over(tx: &mut Tx, row: &LegacyUser) -> Result<Taken> {
    let values = || {
        params![
            row.id,
            row.email.as_deref(),
            row.email_key.as_deref(),
            row.password_hash.as_deref(),
            &row.display_name,
            json!(row.roles.0),
            row.created_at,
            row.updated_at
        ]
    };
    let inserted = tx
        .execute(
            "INSERT INTO users (id, email, email_key, password_hash, display_name, roles,
                                created_at, updated_at, legacy_updated_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $8
             WHERE NOT EXISTS (SELECT 1 FROM deleted_accounts WHERE user_id = $1)
             ON CONFLICT DO NOTHING",
            values(),
        )
        .await?;
    if inserted == 1 {
        // It may have waited for a deletion that was under way, which only this look sees.
        if users::was_deleted(tx, row.id).await? {
            tx.execute("DELETE FROM users WHERE id = $1", params![row.id])
                .await?;
            return Ok(Taken::Skipped);
        }
        return Ok(Taken::Inserted);
    }
    let mut values = values();
    values.push(row.roles.0.iter().any(|held| held == role::GUEST).into());
    let updated = tx
        .execute(
            "UPDATE users SET
                 email = $2, email_key = $3, password_hash = $4, legacy_updated_at = $8,
                 roles = CASE WHEN changed_here_at IS NULL
                                OR CAST(roles AS TEXT) LIKE '%\"guest\"%'
                         THEN $6 ELSE roles END,
                 guest_seen_at = CASE WHEN $9 THEN guest_seen_at END,
                 display_name =
                     CASE WHEN changed_here_at IS NULL THEN $5 ELSE display_name END,
                 created_at = CASE WHEN created_at < $7 THEN created_at ELSE $7 END,
                 updated_at = CASE WHEN updated_at > $8 THEN updated_at ELSE $8 END
             WHERE id = $1 AND legacy_updated_at < $8
               AND (changed_here_at IS NULL OR email_key IS NULL)
               AND NOT EXISTS (SELECT 1 FROM users other
                               WHERE other.email_key = $3 AND other.id <> $1)",
            values,
        )
        .await?;
    Ok(if updated == 1 {
        Taken::Updated
    } else {
        Taken::Skipped
    })
}

/// Whether the row's address belongs to another user here: somebody registered on both sides.
///
/// # Errors
/// As the database says.
pub async fn is_address_taken(tx: &mut Tx, row: &LegacyUser) -> Result<bool> {
    let other: Option<(Uuid,)> = tx
        .fetch_optional(
            "SELECT id FROM users WHERE email_key = $1 AND id <> $2",
            params![row.email_key.as_deref(), row.id],
        )
        .await?;
    Ok(other.is_some())
}

/// After which row an interrupted import goes on; none: at the beginning.
///
/// # Errors
/// As the database says.
pub async fn progress(db: &Database) -> Result<Option<Uuid>> {
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
pub async fn note_progress(tx: &mut Tx, after: Uuid) -> Result<()> {
    tx.execute(
        "INSERT INTO import_progress (source, after_id) VALUES ($1, $2)
         ON CONFLICT (source) DO UPDATE SET after_id = excluded.after_id",
        params![SOURCE, after],
    )
    .await?;
    Ok(())
}

/// The import came to its end: the next one begins at the beginning.
///
/// # Errors
/// As the database says.
pub async fn finish(db: &Database) -> Result<()> {
    db.execute(
        "DELETE FROM import_progress WHERE source = $1",
        params![SOURCE],
    )
    .await?;
    Ok(())
}
