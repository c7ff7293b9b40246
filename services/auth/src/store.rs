//! All SQL of this service: accounts, refresh and reset tokens, mails to send, counted attempts,
//! and what an import may write.
//!
//! Invariant: whoever changes anything of a user locks the user's row first ([`users::lock`]), so
//! that no two acts on one user wait for each other.

pub mod attempts;
pub mod directory;
pub mod imports;
pub mod mails;
pub mod oidc;
pub mod resets;
pub mod tokens;
pub mod users;

use database::Migrations;

/// The service's own tables.
pub fn migrations() -> Migrations {
    Migrations::new(
        "auth",
        sqlx::migrate!("../../migrations/auth/postgres"),
        sqlx::migrate!("../../migrations/auth/sqlite"),
    )
}
