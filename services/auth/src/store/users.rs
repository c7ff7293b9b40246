//! The `users` table.
//!
//! Every change made here marks an imported row as changed, so that no later import overwrites it.

use database::{Database, Json, Result, Sql, Timestamp, Tx, params};
use serde_json::json;
use uuid::Uuid;

use crate::domain::{DisplayName, Email, PasswordHash, User};

/// An account as it is stored.
#[derive(Clone, Debug)]
pub struct Account {
    /// Who it is.
    pub user: User,
    /// As typed; none for guests and users taken in by their token.
    pub email: Option<String>,
    /// None where there is no password.
    pub password_hash: Option<PasswordHash>,
}

#[derive(database::Record)]
struct Row {
    id: Uuid,
    email: Option<String>,
    password_hash: Option<String>,
    display_name: String,
    roles: Json<Vec<String>>,
}

impl From<Row> for Account {
    fn from(row: Row) -> Self {
        let user = User {
            id: row.id,
            display_name: row.display_name,
            roles: row.roles.0,
        };
        let password_hash = row.password_hash.map(PasswordHash::stored);
        Self {
            user,
            email: row.email,
            password_hash,
        }
    }
}

/// The account with that e-mail address; `key` is [`Email::key_of`].
///
/// # Errors
/// As the database says.
pub async fn by_email(db: &Database, key: &str) -> Result<Option<Account>> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT id, email, password_hash, display_name, roles FROM users WHERE email_key = $1",
            params![key],
        )
        .await?;
    Ok(row.map(Account::from))
}

/// The account with that id.
///
/// # Errors
/// As the database says.
pub async fn by_id(db: &Database, id: Uuid) -> Result<Option<Account>> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT id, email, password_hash, display_name, roles FROM users WHERE id = $1",
            params![id],
        )
        .await?;
    Ok(row.map(Account::from))
}

/// The same, locked until the transaction ends: everybody who is about to change anything of a
/// user comes by here first.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Account>> {
    let row: Option<Row> = tx
        .fetch_optional(
            // A writing transaction on SQLite is alone anyway.
            Sql::by_dialect(
                "SELECT id, email, password_hash, display_name, roles FROM users
                 WHERE id = $1 FOR UPDATE",
                "SELECT id, email, password_hash, display_name, roles FROM users WHERE id = $1",
            ),
            params![id],
        )
        .await?;
    Ok(row.map(Account::from))
}

/// Whether the row was inserted, or the id or address existed before.
///
/// # Errors
/// As the database says.
pub async fn insert(
    tx: &mut Tx,
    user: &User,
    email: Option<&Email>,
    hash: Option<&PasswordHash>,
    now: Timestamp,
) -> Result<bool> {
    let inserted = tx
        .execute(
            "INSERT INTO users
                 (id, email, email_key, password_hash, display_name, roles, created_at, updated_at,
                  guest_seen_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)
             ON CONFLICT DO NOTHING",
            params![
                user.id,
                email.map(Email::as_str),
                email.map(Email::key),
                hash.map(PasswordHash::as_str),
                &user.display_name,
                json!(user.roles),
                now,
                user.is_guest().then_some(now)
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Notes a user whose token is good and who is not known yet: somebody of the monolith's whom the
/// last import did not see. The row counts as imported long ago, so the next import completes it.
///
/// # Errors
/// As the database says.
pub async fn take_in(tx: &mut Tx, user: &User, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO users
             (id, display_name, roles, created_at, updated_at, legacy_updated_at, guest_seen_at)
         VALUES ($1, $2, $3, $4, $4, $5, $6)
         ON CONFLICT DO NOTHING",
        params![
            user.id,
            &user.display_name,
            json!(user.roles),
            now,
            Timestamp::from_micros(0),
            user.is_guest().then_some(now)
        ],
    )
    .await?;
    Ok(())
}

/// Changes the name that others see.
///
/// # Errors
/// As the database says.
pub async fn rename(tx: &mut Tx, id: Uuid, name: &DisplayName, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE users SET display_name = $2, updated_at = $3, changed_here_at = $3 WHERE id = $1",
        params![id, name.as_str(), now],
    )
    .await?;
    Ok(())
}

/// Changes the password, whatever it was before. The caller holds the lock.
///
/// # Errors
/// As the database says.
pub async fn set_password(
    tx: &mut Tx,
    id: Uuid,
    hash: &PasswordHash,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE users SET password_hash = $2, updated_at = $3, changed_here_at = $3 WHERE id = $1",
        params![id, hash.as_str(), now],
    )
    .await?;
    Ok(())
}

/// Makes a guest a user with credentials.
///
/// # Errors
/// A unique violation when somebody has the address; else as the database says.
pub async fn upgrade(
    tx: &mut Tx,
    user: &User,
    email: &Email,
    hash: &PasswordHash,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE users SET email = $2, email_key = $3, password_hash = $4, display_name = $5,
             roles = $6, updated_at = $7, changed_here_at = $7, guest_seen_at = NULL
         WHERE id = $1",
        params![
            user.id,
            email.as_str(),
            email.key(),
            hash.as_str(),
            &user.display_name,
            json!(user.roles),
            now
        ],
    )
    .await?;
    Ok(())
}

/// Changes the roles.
///
/// # Errors
/// As the database says.
pub async fn set_roles(tx: &mut Tx, user: &User, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE users SET roles = $2, updated_at = $3, changed_here_at = $3 WHERE id = $1",
        params![user.id, json!(user.roles), now],
    )
    .await?;
    Ok(())
}

/// Notes that a guest is here, which the clean-up of guests goes by; of others nothing is noted.
///
/// # Errors
/// As the database says.
pub async fn seen(tx: &mut Tx, user: &User, now: Timestamp) -> Result<()> {
    if user.is_guest() {
        tx.execute(
            "UPDATE users SET guest_seen_at = $2 WHERE id = $1",
            params![user.id, now],
        )
        .await?;
    }
    Ok(())
}

/// Removes the account and everything that hangs on it; its id is kept, so that no import brings
/// it back. The caller holds the lock.
///
/// # Errors
/// As the database says.
pub async fn delete(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<()> {
    tx.execute("DELETE FROM refresh_tokens WHERE user_id = $1", params![id])
        .await?;
    tx.execute("DELETE FROM users WHERE id = $1", params![id])
        .await?;
    tx.execute(
        "INSERT INTO deleted_accounts (user_id, deleted_at) VALUES ($1, $2)
         ON CONFLICT (user_id) DO NOTHING",
        params![id, now],
    )
    .await?;
    Ok(())
}

/// Whether an account with that id was deleted here.
///
/// # Errors
/// As the database says.
pub async fn was_deleted(tx: &mut Tx, id: Uuid) -> Result<bool> {
    let row: Option<(i64,)> = tx.fetch_optional(DELETED, params![id]).await?;
    Ok(row.is_some())
}

/// The same, outside a transaction.
///
/// # Errors
/// As the database says.
pub async fn is_deleted(db: &Database, id: Uuid) -> Result<bool> {
    let row: Option<(i64,)> = db.fetch_optional(DELETED, params![id]).await?;
    Ok(row.is_some())
}

const DELETED: &str = "SELECT CAST(1 AS BIGINT) FROM deleted_accounts WHERE user_id = $1";
