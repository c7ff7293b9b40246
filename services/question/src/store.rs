//! All SQL of this service: reading questions, projecting events, importing rows.

pub mod confirmations;
pub mod counts;
pub mod draws;
pub mod imports;
pub mod index;
pub mod projection;
pub mod questions;
pub mod revision;

use std::str::FromStr;

use database::Migrations;

/// The service's own tables.
pub fn migrations() -> Migrations {
    Migrations::new(
        "question",
        sqlx::migrate!("../../migrations/question/postgres"),
        sqlx::migrate!("../../migrations/question/sqlite"),
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
