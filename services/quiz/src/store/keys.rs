//! Which request an Idempotency-Key stood for.

use database::{Database, Dialect, Result, Sql, Timestamp, Tx, Value, params};
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

const FIND: &str = "SELECT fingerprint, answer_id FROM idempotency_keys
     WHERE subject = $1 AND path = $2 AND key = $3 AND expires_at > $4";

/// What each of the keys stood for, in their order, unless that was too long ago; while the players' rows
/// are held.
///
/// # Errors
/// As the database says.
pub async fn find_within(tx: &mut Tx, keys: &[&Key], now: Timestamp) -> Result<Vec<Option<Used>>> {
    let mut found = Vec::with_capacity(keys.len());
    if tx.dialect() == Dialect::Sqlite {
        for key in keys {
            let values = params![key.subject, key.path, &key.key, now];
            found.push(tx.fetch_optional(FIND, values).await?);
        }
        return Ok(found);
    }
    const FIND_ALL: &str = "SELECT given.number, used.fingerprint, used.answer_id
         FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[]) WITH ORDINALITY
             AS given (subject, path, key, number)
         CROSS JOIN LATERAL (
             SELECT fingerprint, answer_id FROM idempotency_keys AS used
             WHERE used.subject = given.subject AND used.path = given.path AND used.key = given.key
               AND used.expires_at > $4
             LIMIT 1) AS used";
    let mut values = columns(keys.iter().copied());
    values.extend(params![now]);
    let rows: Vec<(i64, Vec<u8>, Uuid)> = match keys {
        [] => Vec::new(),
        _ => tx.fetch_all(FIND_ALL, values).await?,
    };
    found.resize(keys.len(), None);
    for (number, fingerprint, answer_id) in rows {
        let place = usize::try_from(number - 1).ok();
        if let Some(place) = place.and_then(|place| found.get_mut(place)) {
            *place = Some(Used {
                fingerprint,
                answer_id,
            });
        }
    }
    Ok(found)
}

/// Remembers what each of the keys stands for.
///
/// # Errors
/// As the database says.
pub async fn remember(tx: &mut Tx, keys: &[(&Key, Uuid)], until: Timestamp) -> Result<()> {
    const REMEMBER: &str =
        "INSERT INTO idempotency_keys (subject, path, key, fingerprint, answer_id, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (subject, path, key) DO UPDATE SET
             fingerprint = excluded.fingerprint, answer_id = excluded.answer_id,
             expires_at = excluded.expires_at";
    const REMEMBER_ALL: &str =
        "INSERT INTO idempotency_keys (subject, path, key, fingerprint, answer_id, expires_at)
         SELECT subject, path, key, decode(fingerprint, 'hex'), answer_id, $6
         FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::UUID[])
             AS given (subject, path, key, fingerprint, answer_id)
         ON CONFLICT (subject, path, key) DO UPDATE SET
             fingerprint = excluded.fingerprint, answer_id = excluded.answer_id,
             expires_at = excluded.expires_at";
    if keys.is_empty() {
        return Ok(());
    }
    if tx.dialect() == Dialect::Sqlite {
        let row = |(key, answer_id): &(&Key, Uuid)| {
            let fingerprint = key.fingerprint.clone();
            params![
                key.subject,
                key.path,
                &key.key,
                fingerprint,
                *answer_id,
                until
            ]
        };
        let rows = keys.iter().map(row).collect();
        return tx.execute_each(REMEMBER, rows).await.map(|_| ());
    }
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let fingerprints: Vec<String> = keys.iter().map(|(key, _)| hex(&key.fingerprint)).collect();
    let answers: Vec<Uuid> = keys.iter().map(|(_, answer)| *answer).collect();
    let mut values = columns(keys.iter().map(|(key, _)| *key));
    values.extend(params![fingerprints, answers, until]);
    tx.execute(REMEMBER_ALL, values).await.map(|_| ())
}

/// Keys as arrays, one for each column that identifies them.
fn columns<'a>(keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<Value> {
    let subjects: Vec<Uuid> = keys.clone().map(|key| key.subject).collect();
    let paths: Vec<String> = keys.clone().map(|key| key.path.to_owned()).collect();
    let texts: Vec<String> = keys.map(|key| key.key.clone()).collect();
    params![subjects, paths, texts]
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
