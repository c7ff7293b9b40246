//! All SQL of the quiz service, by table.
//!
//! Invariant: whoever changes a player's answers or stats holds the player's row of `stats` first
//! ([`stats::lock`]), so that two requests of one player cannot interleave and never deadlock.

pub mod answers;
pub mod keys;
pub mod questions;
pub mod recording;
pub mod stats;

use std::str::FromStr;

use database::Migrations;

/// The service's own tables.
pub fn migrations() -> Migrations {
    Migrations::new(
        "quiz",
        sqlx::migrate!("../../migrations/quiz/postgres"),
        sqlx::migrate!("../../migrations/quiz/sqlite"),
    )
}

/// Reads a name of a closed set from a text column.
pub(crate) fn named<T>(text: &str) -> database::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .map_err(|error| database::Error::Query(Box::new(error)))
}

/// A value for a JSON column.
pub(crate) fn json(value: &impl serde::Serialize) -> database::Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| database::Error::Query(Box::new(error)))
}
