//! Which request an Idempotency-Key stood for.

use database::{Database, Dialect, Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

/// A key as the client sent it, with whose it is and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The caller.
    pub subject: Uuid,
    /// The path that was called.
    pub path: &'static str,
    /// The header's value.
    pub key: String,
    /// SHA-256 of the body's meaning.
    pub fingerprint: Vec<u8>,
}

/// What a key stood for before.
#[derive(Clone, Debug, PartialEq, Eq, database::Record)]
pub struct Used {
    /// SHA-256 of the body that it came with.
    pub fingerprint: Vec<u8>,
    /// What it led to.
    pub answer_id: Uuid,
}

/// What the key stands for now.
///
/// # Errors
/// As the database says.
pub async fn find(db: &Database, key: &Key) -> Result<Option<Used>> {
    // PostgreSQL compares with its own clock; SQLite's is this machine's.
    const FIND_NOW: Sql = Sql::by_dialect(
        "SELECT fingerprint, answer_id FROM idempotency_keys
         WHERE subject = $1 AND path = $2 AND key = $3
           AND expires_at > COALESCE($4, clock_timestamp())",
        FIND,
    );
    let now = (db.dialect() == Dialect::Sqlite).then(Timestamp::system);
    db.fetch_optional(FIND_NOW, params![key.subject, key.path, &key.key, now])
        .await
}

/// What the key stood for, unless that was too long ago; while the player's row is held.
///
/// # Errors
/// As the database says.
pub async fn find_within(tx: &mut Tx, key: &Key, now: Timestamp) -> Result<Option<Used>> {
    tx.fetch_optional(FIND, params![key.subject, key.path, &key.key, now])
        .await
}

const FIND: &str = "SELECT fingerprint, answer_id FROM idempotency_keys
     WHERE subject = $1 AND path = $2 AND key = $3 AND expires_at > $4";

/// Remembers what the key stands for.
///
/// # Errors
/// As the database says.
pub async fn remember(tx: &mut Tx, key: &Key, answer_id: Uuid, until: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO idempotency_keys (subject, path, key, fingerprint, answer_id, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (subject, path, key) DO UPDATE SET
             fingerprint = excluded.fingerprint, answer_id = excluded.answer_id,
             expires_at = excluded.expires_at",
        params![
            key.subject,
            key.path,
            &key.key,
            key.fingerprint.clone(),
            answer_id,
            until
        ],
    )
    .await
    .map(|_| ())
}

/// Forgets a user's keys.
///
/// # Errors
/// As the database says.
pub async fn forget(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.execute(
        "DELETE FROM idempotency_keys WHERE subject = $1",
        params![user_id],
    )
    .await
    .map(|_| ())
}

/// Forgets at most `limit` keys of users who left; how many.
///
/// # Errors
/// As the database says.
pub async fn expel(tx: &mut Tx, limit: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM idempotency_keys WHERE (subject, path, key) IN (
             SELECT k.subject, k.path, k.key FROM idempotency_keys k
             JOIN departed_users d ON d.user_id = k.subject LIMIT $1)",
        params![limit],
    )
    .await
}

/// Deletes at most `limit` keys that have expired; how many there were.
///
/// # Errors
/// As the database says.
pub async fn prune(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM idempotency_keys WHERE (subject, path, key) IN (
             SELECT subject, path, key FROM idempotency_keys
             WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        params![now, limit],
    )
    .await
}
