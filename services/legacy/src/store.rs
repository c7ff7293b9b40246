//! All SQL of the monolith, by table.

pub mod answers;
pub mod audit;
pub mod boards;
pub mod curation;
pub mod departures;
pub mod directory;
pub mod maintenance;
pub mod players;
pub mod questions;
pub mod tokens;
pub mod users;

use std::str::FromStr;

use database::Migrations;

/// The monolith's own tables.
pub fn migrations() -> Migrations {
    Migrations::new(
        "legacy",
        sqlx::migrate!("../../migrations/legacy/postgres"),
        sqlx::migrate!("../../migrations/legacy/sqlite"),
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

/// A value for a JSON column.
fn json(value: &impl serde::Serialize) -> database::Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| database::Error::Query(Box::new(error)))
}
