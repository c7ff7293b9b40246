//! The `mails` table: what is to be sent, and what became of it.
//!
//! A crash between two of the steps below leaves: a waiting row (it is sent later), or a row that
//! is being sent and whose end nobody knows (it ends as `unknown` and is not sent again).

use std::time::Duration;

use database::{Database, Result, Sql, Timestamp, Tx, params};
use serde::Serialize;
use uuid::Uuid;

use super::{resets, users};
use crate::domain::ResetToken;

/// The signal that a commit with a new row raises; the courier waits for it.
pub const SIGNAL: &str = "mails";

/// A mail that waited this long for a server is given up: nobody expects it any more.
const WAITS: Duration = Duration::from_hours(24);

/// How long operators can see what became of a mail.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Old mails that each new one takes with it: more than one, so that they never pile up.
const SWEPT: i64 = 8;

/// Characters of an error that are kept: enough for a server's reply.
const ERROR_MAX: usize = 300;

/// Times that a mail which another replica took first is passed over before the next look.
const CLAIM_TRIES: usize = 4;

/// A mail that is about to be sent, by us alone.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The row.
    pub id: Uuid,
    /// Attempts with this one.
    pub attempts: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Where it goes.
    pub recipient: String,
    /// What it brings. Made for this attempt; older ones are no good any more.
    pub token: ResetToken,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A server took it.
    Sent,
    /// It was refused, or given up.
    Failed(String),
    /// It may have been taken: it is not sent again.
    Unknown(String),
    /// No server has it: again, then.
    Again(String, Timestamp),
}

/// How many rows are in a state, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, database::Record)]
pub struct Count {
    /// `waiting`, `sending`, `sent`, `failed`, `unknown`.
    pub state: String,
    /// That many.
    pub mails: i64,
}

/// A mail that was not sent yet, or will never be, for operators.
#[derive(Clone, Debug, Serialize, database::Record)]
#[serde(rename_all = "camelCase")]
pub struct Unsent {
    /// The row.
    pub id: Uuid,
    /// Whom it is for.
    pub user_id: Uuid,
    /// As above.
    pub state: String,
    /// So far.
    pub attempts: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Of the last attempt.
    pub error: Option<String>,
}

/// Asks for a mail with a reset token to whoever has this address. One waiting mail is enough. The
/// statement is the same whether somebody has the address or not.
///
/// # Errors
/// As the database says.
pub async fn ask(tx: &mut Tx, email_key: &str, now: Timestamp) -> Result<()> {
    sweep(tx, now, SWEPT).await?;
    tx.execute(
        "INSERT INTO mails (id, user_id, kind, state, attempts, due_at, created_at)
         SELECT $1, id, 'password_reset', 'waiting', 0, $3, $3 FROM users WHERE email_key = $2
         ON CONFLICT DO NOTHING",
        params![Uuid::now_v7(), email_key, now],
    )
    .await?;
    tx.signal(SIGNAL);
    Ok(())
}

/// Takes the next mail that is due: from the commit on it is ours for the `lease`, and the token
/// that it brings is the user's only one.
///
/// # Errors
/// As the database says.
pub async fn claim(db: &Database, lease: Duration) -> Result<Option<Claimed>> {
    for _ in 0..CLAIM_TRIES {
        let mut tx = db.begin().await?;
        let now = tx.now().await?;
        let due: Option<(Uuid, Uuid)> = tx
            .fetch_optional(
                "SELECT id, user_id FROM mails WHERE state = 'waiting' AND due_at <= $1
                 ORDER BY due_at, id LIMIT 1",
                params![now],
            )
            .await?;
        let Some((id, user_id)) = due else {
            return Ok(None);
        };
        // Another replica may be faster, or the user leave: then there is another one to take.
        let Some(account) = users::lock(&mut tx, user_id).await? else {
            continue;
        };
        let claimed: Option<(i64, Timestamp)> = tx
            .fetch_optional(
                "UPDATE mails SET state = 'sending', attempts = attempts + 1, due_at = $2
                 WHERE id = $1 AND state = 'waiting' RETURNING attempts, created_at",
                params![id, now + lease],
            )
            .await?;
        let Some((attempts, created_at)) = claimed else {
            continue;
        };
        let token = ResetToken::from_random(&rand::random());
        resets::put(&mut tx, user_id, &token, now).await?;
        tx.commit().await?;
        return Ok(Some(Claimed {
            id,
            attempts,
            created_at,
            recipient: account.email.unwrap_or_default(),
            token,
        }));
    }
    Ok(None)
}

/// Notes how an attempt ended. A mail that a newer one waits beside is not tried again.
///
/// # Errors
/// As the database says.
pub async fn settle(db: &Database, id: Uuid, ended: &Ended) -> Result<()> {
    let (state, error, due) = match ended {
        Ended::Sent => ("sent", None, None),
        Ended::Failed(error) => ("failed", Some(shortened(error)), None),
        Ended::Unknown(error) => ("unknown", Some(shortened(error)), None),
        Ended::Again(error, due) => ("waiting", Some(shortened(error)), Some(*due)),
    };
    let mut tx = db.begin().await?;
    let now = tx.now().await?;
    if let Some(due) = due {
        let waits = tx
            .execute(
                "UPDATE mails SET state = 'waiting', error = $2, due_at = $3
                 WHERE id = $1 AND state = 'sending' AND NOT EXISTS (
                     SELECT 1 FROM mails newer WHERE newer.user_id = mails.user_id
                         AND newer.kind = mails.kind AND newer.state = 'waiting')",
                params![id, error.as_deref(), due],
            )
            .await?;
        if waits == 1 {
            return tx.commit().await;
        }
    }
    let state = if due.is_some() { "failed" } else { state };
    tx.execute(
        "UPDATE mails SET state = $2, error = $3, ended_at = $4
         WHERE id = $1 AND state = 'sending'",
        params![id, state, error.as_deref(), now],
    )
    .await?;
    tx.commit().await
}

/// Ends what was being sent by somebody who did not come back: nobody knows whether it was.
///
/// # Errors
/// As the database says.
pub async fn end_lost(db: &Database) -> Result<u64> {
    let mut tx = db.begin().await?;
    let now = tx.now().await?;
    let ended = tx
        .execute(
            "UPDATE mails SET state = 'unknown', ended_at = $1,
                 error = 'whoever was sending it did not come back'
             WHERE state = 'sending' AND due_at < $1",
            params![now],
        )
        .await?;
    tx.commit().await?;
    Ok(ended)
}

/// Gives up mails that waited too long, and removes those that ended long ago, a portion at a
/// time; how many.
///
/// # Errors
/// As the database says.
pub async fn sweep(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<u64> {
    let given_up = tx
        .execute(
            Sql::by_dialect(
                "UPDATE mails SET state = 'failed', ended_at = $2, error = 'nobody sent it in time'
                 WHERE id IN (SELECT id FROM mails WHERE state = 'waiting' AND created_at < $1
                              ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)",
                "UPDATE mails SET state = 'failed', ended_at = $2, error = 'nobody sent it in time'
                 WHERE id IN (SELECT id FROM mails WHERE state = 'waiting' AND created_at < $1
                              ORDER BY due_at LIMIT $3)",
            ),
            params![now - WAITS, now, limit],
        )
        .await?;
    let removed = tx
        .execute(
            Sql::by_dialect(
                "DELETE FROM mails WHERE id IN (
                     SELECT id FROM mails WHERE ended_at < $1
                     ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
                "DELETE FROM mails WHERE id IN (
                     SELECT id FROM mails WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)",
            ),
            params![now - KEPT, limit],
        )
        .await?;
    Ok(given_up.max(removed))
}

/// How many mails are in which state.
///
/// # Errors
/// As the database says.
pub async fn counts(db: &Database) -> Result<Vec<Count>> {
    db.fetch_all(
        "SELECT state, CAST(COUNT(*) AS BIGINT) AS mails FROM mails GROUP BY state ORDER BY state",
        params![],
    )
    .await
}

/// The newest mails that were not sent.
///
/// # Errors
/// As the database says.
pub async fn unsent(db: &Database, limit: i64) -> Result<Vec<Unsent>> {
    db.fetch_all(
        "SELECT id, user_id, state, attempts, created_at, error FROM mails
         WHERE state <> 'sent' ORDER BY id DESC LIMIT $1",
        params![limit],
    )
    .await
}

fn shortened(error: &str) -> String {
    error
        .chars()
        .filter(|letter| !letter.is_control())
        .take(ERROR_MAX)
        .collect()
}
