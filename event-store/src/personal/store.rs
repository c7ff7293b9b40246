//! The SQL of people's keys, in the log's database. On PostgreSQL services may only call functions.

use database::{Database, Dialect, Error, Sql, Timestamp, params};
use faults::Write;
use uuid::Uuid;

/// A row as far as keys go.
pub(super) enum Stored {
    Key { id: Uuid, sealed: String },
    Erased,
}

impl Stored {
    fn of(id: Option<Uuid>, sealed: Option<String>) -> Self {
        match (id, sealed) {
            (Some(id), Some(sealed)) => Self::Key { id, sealed },
            _ => Self::Erased,
        }
    }
}

type Row = (Option<Uuid>, Option<String>);

/// The person's key; the fresh one where there was none.
pub(super) async fn get_or_make(
    database: &Database,
    subject: &str,
    fresh_id: Uuid,
    fresh: &str,
) -> Result<Stored, Error> {
    let values = params![subject, fresh_id, fresh];
    let (id, sealed): Row = match database.dialect() {
        Dialect::Postgres => {
            let sql = "SELECT id, sealed FROM log_personal_key($1, $2, $3)";
            database.fetch_one(sql, values).await?
        }
        Dialect::Sqlite => {
            let read = "SELECT id, sealed FROM personal_keys WHERE subject = $1";
            let known: Option<Row> = database.fetch_optional(read, params![subject]).await?;
            if let Some(known) = known {
                known
            } else {
                let mut tx = database.begin().await?;
                let sql = "INSERT INTO personal_keys (subject, id, sealed) VALUES ($1, $2, $3)
                           ON CONFLICT (subject) DO NOTHING";
                tx.execute(sql, values).await?;
                let row = tx.fetch_one(read, params![subject]).await?;
                tx.commit().await?;
                row
            }
        }
    };
    Ok(Stored::of(id, sealed))
}

/// The keys of these people, as far as they ever had one.
pub(super) async fn read(
    database: &Database,
    subjects: Vec<String>,
) -> Result<Vec<(String, Stored)>, Error> {
    let sql = Sql::by_dialect(
        "SELECT subject, id, sealed FROM personal_keys WHERE subject = ANY($1)",
        "SELECT subject, id, sealed FROM personal_keys
         WHERE subject IN (SELECT value FROM json_each($1))",
    );
    let rows: Vec<(String, Option<Uuid>, Option<String>)> =
        database.fetch_all(sql, params![subjects]).await?;
    let stored = rows
        .into_iter()
        .map(|(subject, id, sealed)| (subject, Stored::of(id, sealed)));
    Ok(stored.collect())
}

/// What is noted of a person.
pub(super) struct Noted {
    pub(super) has_key: bool,
    pub(super) created_at: Timestamp,
    pub(super) erasure: Option<Tombstone>,
}

/// What is left of an erased key.
pub(super) struct Tombstone {
    pub(super) at: Timestamp,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) announced: bool,
}

pub(super) async fn noted(database: &Database, subject: &str) -> Result<Option<Noted>, Error> {
    type Row = (
        Option<String>,
        Timestamp,
        Option<Timestamp>,
        Option<String>,
        Option<String>,
        bool,
    );
    let sql = "SELECT sealed, created_at, erased_at, erased_by, reason, announced
               FROM personal_keys WHERE subject = $1";
    let row: Option<Row> = database.fetch_optional(sql, params![subject]).await?;
    let noted = |(sealed, created_at, at, by, reason, announced): Row| Noted {
        has_key: sealed.is_some(),
        created_at,
        erasure: at.map(|at| Tombstone {
            at,
            by: by.unwrap_or_default(),
            reason: reason.unwrap_or_default(),
            announced,
        }),
    };
    Ok(row.map(noted))
}

/// Erases the key; who was first to do so stays noted.
pub(super) async fn erase(
    database: &Database,
    subject: &str,
    by: &str,
    reason: &str,
) -> Result<(), Error> {
    let sql = Sql::by_dialect(
        "SELECT log_personal_erase($1, $2, $3)",
        "INSERT INTO personal_keys (subject, erased_at, erased_by, reason)
         VALUES ($1, CAST(unixepoch('subsec') * 1000000 AS INTEGER), $2, $3)
         ON CONFLICT (subject) DO UPDATE
         SET id = NULL, sealed = NULL, erased_at = excluded.erased_at,
             erased_by = excluded.erased_by, reason = excluded.reason
         WHERE personal_keys.erased_at IS NULL",
    );
    faults::before(Write::PersonalErase);
    database.execute(sql, params![subject, by, reason]).await?;
    faults::after(Write::PersonalErase);
    Ok(())
}

/// Notes that the log has the event.
pub(super) async fn announced(database: &Database, subject: &str) -> Result<(), Error> {
    let sql = Sql::by_dialect(
        "SELECT log_personal_announced($1)",
        "UPDATE personal_keys SET announced = 1
         WHERE subject = $1 AND erased_at IS NOT NULL AND announced = 0",
    );
    faults::before(Write::PersonalAnnounced);
    database.execute(sql, params![subject]).await?;
    faults::after(Write::PersonalAnnounced);
    Ok(())
}

/// People whose key was erased without the log being told.
pub(super) async fn unannounced(database: &Database, limit: u32) -> Result<Vec<String>, Error> {
    let sql = "SELECT subject FROM personal_keys
               WHERE erased_at IS NOT NULL AND announced = FALSE ORDER BY subject LIMIT $1";
    let rows: Vec<(String,)> = database.fetch_all(sql, params![limit]).await?;
    Ok(rows.into_iter().map(|(subject,)| subject).collect())
}

/// Keys that are not sealed under this master key, above a subject.
pub(super) async fn under_others(
    database: &Database,
    master: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<(String, Uuid, String)>, Error> {
    let sql = "SELECT subject, id, sealed FROM personal_keys
               WHERE subject > $1 AND sealed IS NOT NULL AND sealed NOT LIKE $2
               ORDER BY subject LIMIT $3";
    let sealed_so = format!("{master}.%");
    database
        .fetch_all(sql, params![after, sealed_so, limit])
        .await
}

/// Stores a key anew, unless it was erased or stored anew meanwhile.
pub(super) async fn replace(
    database: &Database,
    subject: &str,
    was: &str,
    sealed: &str,
) -> Result<u64, Error> {
    let sql = "UPDATE personal_keys SET sealed = $3 WHERE subject = $1 AND sealed = $2";
    database.execute(sql, params![subject, was, sealed]).await
}
