//! One interface over the two databases that Banyan runs on: PostgreSQL and SQLite.
//!
//! A statement is written once, with `$1` placeholders, and runs on both wherever the dialects
//! agree; where they do not, [`Sql::by_dialect`] holds the two texts side by side. Values go in
//! through [`params!`] and come out through `#[derive(database::Record)]` or tuples.
//!
//! Invariants:
//! - A write transaction on SQLite begins IMMEDIATE on the file's only writing connection, so it
//!   never fails halfway for want of the lock. Holding a [`Tx`] while writing through the
//!   [`Database`] it came from therefore waits for itself: write through the `Tx`.
//! - Times are [`Timestamp`]s: microseconds since the Unix epoch, `TIMESTAMPTZ` in PostgreSQL and
//!   `INTEGER` in SQLite, where text times would not sort.
//! - Transactions of SQLite that come close together share a commit ([`Tx::commit`]): a transaction
//!   must not wait for the commit of another one on the same file.
//! - SQLite runs in WAL mode with `synchronous = FULL`: a commit that returned survives `kill -9`
//!   and a power cut.

mod clock;
mod connect;
mod deferred;
mod error;
mod migrate;
mod postgres;
mod record;
mod room;
mod signal;
mod sql;
mod sqlite;
mod timestamp;
mod tx;

pub use clock::Clock;
pub use connect::{Database, Dialect, Options, PoolState};
pub use database_derive::Record;
pub use deferred::{Deferred, Writing};
pub use error::{Cause, Constraint, Error, Result};
pub use migrate::Migrations;
pub use record::{Column, Field, Record, Row};
pub use room::FULL_REMEMBERED;
pub use sql::{Sql, Value};
pub use sqlx::types::Json;
pub use timestamp::Timestamp;
pub use tx::{CommitHook, Tx};

/// Builds the `Vec<Value>` for a statement: `params![id, "text", 7_i64, None::<String>]`.
#[macro_export]
macro_rules! params {
    () => { ::std::vec::Vec::<$crate::Value>::new() };
    ($($value:expr),+ $(,)?) => { ::std::vec![$($crate::Value::from($value)),+] };
}
