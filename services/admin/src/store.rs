//! All SQL of this service: questions as curators see and write them, what was confirmed of them,
//! and what comes from the monolith.

pub mod confirmations;
pub mod conflicts;
pub mod legacy;
pub mod progress;
pub mod questions;

use std::str::FromStr;

use database::Migrations;

/// The service's own tables.
pub fn migrations() -> Migrations {
    Migrations::new(
        "admin",
        sqlx::migrate!("../../migrations/admin/postgres"),
        sqlx::migrate!("../../migrations/admin/sqlite"),
    )
}

/// Reads a name of a closed set from a text column.
fn named<T>(text: &str) -> database::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .map_err(|error| database::Error::Query(Box::new(error)))
}
