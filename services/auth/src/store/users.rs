//! The `users` table.
//!
//! Every change made here marks an imported row as changed, so that no later import overwrites it.

use database::{Database, Result, Timestamp, Tx, params};
use serde_json::json;
use sqlx::types::Json;
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

#[derive(sqlx::FromRow)]
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

/// The same, inside a transaction that is about to change it.
///
/// # Errors
/// As the database says.
pub async fn by_id_in(tx: &mut Tx, id: Uuid) -> Result<Option<Account>> {
    let row: Option<Row> = tx
        .fetch_optional(
            "SELECT id, email, password_hash, display_name, roles FROM users WHERE id = $1",
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
                 (id, email, email_key, password_hash, display_name, roles, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
             ON CONFLICT DO NOTHING",
            params![
                user.id,
                email.map(Email::as_str),
                email.map(Email::key),
                hash.map(PasswordHash::as_str),
                &user.display_name,
                json!(user.roles),
                now
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
             (id, display_name, roles, created_at, updated_at, legacy_updated_at)
         VALUES ($1, $2, $3, $4, $4, $5)
         ON CONFLICT DO NOTHING",
        params![
            user.id,
            &user.display_name,
            json!(user.roles),
            now,
            Timestamp::from_micros(0)
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

/// Changes the password, unless it was changed since `known` was read; whether it was done.
///
/// # Errors
/// As the database says.
pub async fn set_password(
    tx: &mut Tx,
    id: Uuid,
    known: &PasswordHash,
    hash: &PasswordHash,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE users SET password_hash = $3, updated_at = $4, changed_here_at = $4
             WHERE id = $1 AND password_hash = $2",
            params![id, known.as_str(), hash.as_str(), now],
        )
        .await?;
    Ok(changed == 1)
}
