//! The tables `oidc_identities`, `oidc_sign_ins` and `oidc_codes`.

use database::{Result, Sql, Timestamp, Tx, params};
use serde_json::json;
use uuid::Uuid;

use crate::domain::User;

/// Expired rows that each new one takes with it: more than one, so that they never pile up.
const SWEPT: i64 = 8;

/// A sign-in that is at the provider's.
#[derive(Clone, Debug, PartialEq, Eq, database::Record)]
pub struct SignIn {
    /// SHA-256 of the cookie of the browser that began it.
    pub browser_hash: Vec<u8>,
    /// The provider's name in the configuration.
    pub provider: String,
    /// What the ID token must repeat.
    pub nonce: String,
    /// The PKCE verifier.
    pub verifier: String,
    /// Where the browser goes afterwards.
    pub return_to: Option<String>,
    /// Whom the identity is linked to.
    pub link_user: Option<Uuid>,
    /// After this instant it is over.
    pub expires_at: Timestamp,
}

/// A code that stands for a session.
#[derive(Clone, Debug, PartialEq, Eq, database::Record)]
pub struct Code {
    /// SHA-256 of the cookie of the browser that it was made for.
    pub browser_hash: Vec<u8>,
    /// Whose session it will be.
    pub user_id: Uuid,
    /// After this instant it is no good.
    pub expires_at: Timestamp,
}

/// Notes a sign-in that begins.
///
/// # Errors
/// As the database says.
pub async fn begin(
    tx: &mut Tx,
    state_hash: Vec<u8>,
    sign_in: SignIn,
    now: Timestamp,
) -> Result<()> {
    tx.execute(SWEEP_SIGN_INS, params![now, SWEPT]).await?;
    tx.execute(
        "INSERT INTO oidc_sign_ins
             (state_hash, browser_hash, provider, nonce, verifier, return_to, link_user, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            state_hash,
            sign_in.browser_hash,
            sign_in.provider,
            sign_in.nonce,
            sign_in.verifier,
            sign_in.return_to,
            sign_in.link_user,
            sign_in.expires_at
        ],
    )
    .await?;
    Ok(())
}

/// Takes a sign-in: of two who ask, one gets it.
///
/// # Errors
/// As the database says.
pub async fn take(tx: &mut Tx, state_hash: Vec<u8>) -> Result<Option<SignIn>> {
    tx.fetch_optional(
        "DELETE FROM oidc_sign_ins WHERE state_hash = $1
         RETURNING browser_hash, provider, nonce, verifier, return_to, link_user, expires_at",
        params![state_hash],
    )
    .await
}

/// Whose identity it is.
///
/// # Errors
/// As the database says.
pub async fn owner(tx: &mut Tx, issuer: &str, subject: &str) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = tx
        .fetch_optional(
            "SELECT user_id FROM oidc_identities WHERE issuer = $1 AND subject = $2",
            params![issuer, subject],
        )
        .await?;
    Ok(row.map(|(user_id,)| user_id))
}

/// Links an identity; whether nobody had it.
///
/// # Errors
/// As the database says.
pub async fn link(
    tx: &mut Tx,
    issuer: &str,
    subject: &str,
    user_id: Uuid,
    now: Timestamp,
) -> Result<bool> {
    let linked = tx
        .execute(
            "INSERT INTO oidc_identities (issuer, subject, user_id, linked_at)
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            params![issuer, subject, user_id, now],
        )
        .await?;
    Ok(linked == 1)
}

/// Takes a password and all identities from an account that somebody else may have made with an
/// address that is not theirs.
///
/// # Errors
/// As the database says.
pub async fn disown(tx: &mut Tx, user_id: Uuid, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE users SET password_hash = NULL, updated_at = $2, changed_here_at = $2
         WHERE id = $1",
        params![user_id, now],
    )
    .await?;
    tx.execute(
        "DELETE FROM oidc_identities WHERE user_id = $1",
        params![user_id],
    )
    .await?;
    abandon(tx, user_id).await
}

/// Ends what was begun for a user and is not finished: links that are at a provider's, and codes
/// that stand for a session. Goes with the user's logins, since it would become one.
///
/// # Errors
/// As the database says.
pub async fn abandon(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    for sql in [
        "DELETE FROM oidc_sign_ins WHERE link_user = $1",
        "DELETE FROM oidc_codes WHERE user_id = $1",
    ] {
        tx.execute(sql, params![user_id]).await?;
    }
    Ok(())
}

/// Makes a guest a user without credentials of ours.
///
/// # Errors
/// As the database says.
pub async fn upgrade(tx: &mut Tx, user: &User, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE users SET display_name = $2, roles = $3, updated_at = $4, changed_here_at = $4,
             guest_seen_at = NULL
         WHERE id = $1",
        params![user.id, &user.display_name, json!(user.roles), now],
    )
    .await?;
    Ok(())
}

/// Notes a code that stands for a session.
///
/// # Errors
/// As the database says.
pub async fn issue(tx: &mut Tx, code_hash: Vec<u8>, code: Code, now: Timestamp) -> Result<()> {
    tx.execute(SWEEP_CODES, params![now, SWEPT]).await?;
    tx.execute(
        "INSERT INTO oidc_codes (code_hash, browser_hash, user_id, expires_at)
         VALUES ($1, $2, $3, $4)",
        params![code_hash, code.browser_hash, code.user_id, code.expires_at],
    )
    .await?;
    Ok(())
}

/// For whom a code was made.
///
/// # Errors
/// As the database says.
pub async fn holder(tx: &mut Tx, code_hash: Vec<u8>) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = tx
        .fetch_optional(
            "SELECT user_id FROM oidc_codes WHERE code_hash = $1",
            params![code_hash],
        )
        .await?;
    Ok(row.map(|(user_id,)| user_id))
}

/// Takes a code: of two who ask, one gets it.
///
/// # Errors
/// As the database says.
pub async fn redeem(tx: &mut Tx, code_hash: Vec<u8>) -> Result<Option<Code>> {
    tx.fetch_optional(
        "DELETE FROM oidc_codes WHERE code_hash = $1 RETURNING browser_hash, user_id, expires_at",
        params![code_hash],
    )
    .await
}

/// Removes what is over, a portion at a time; how much.
///
/// # Errors
/// As the database says.
pub async fn sweep(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<u64> {
    let sign_ins = tx.execute(SWEEP_SIGN_INS, params![now, limit]).await?;
    let codes = tx.execute(SWEEP_CODES, params![now, limit]).await?;
    Ok(sign_ins + codes)
}

const SWEEP_SIGN_INS: Sql = Sql::by_dialect(
    "DELETE FROM oidc_sign_ins WHERE state_hash IN (
         SELECT state_hash FROM oidc_sign_ins WHERE expires_at < $1
         ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM oidc_sign_ins WHERE state_hash IN (
         SELECT state_hash FROM oidc_sign_ins WHERE expires_at < $1
         ORDER BY expires_at LIMIT $2)",
);

const SWEEP_CODES: Sql = Sql::by_dialect(
    "DELETE FROM oidc_codes WHERE code_hash IN (
         SELECT code_hash FROM oidc_codes WHERE expires_at < $1
         ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM oidc_codes WHERE code_hash IN (
         SELECT code_hash FROM oidc_codes WHERE expires_at < $1
         ORDER BY expires_at LIMIT $2)",
);
