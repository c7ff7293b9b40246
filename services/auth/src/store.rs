//! All SQL of this service: accounts, refresh tokens, and what an import may write.

pub mod imports;
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
