//! The log as flags see it: changes go in with the version they expect, and come out in order.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::Change;
use crate::id::{FlagId, RouteId};

/// How long the log may take for one call. A kill has taken effect before; other changes and the
/// operator who waits for them learn within this that the log is not there.
pub(super) const JOURNAL_TIMEOUT: Duration = Duration::from_secs(2);
/// How many entries are read at once.
pub(super) const PAGE: usize = 500;

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The log's identity.
    pub epoch: Uuid,
    /// The position read up to.
    pub position: i64,
}

/// What the journal holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A flag changed.
    Flag(FlagId, Box<Change>),
    /// A route's declaration changed.
    Route(RouteChange),
}

/// A route was added, changed or removed.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteChange {
    /// The route.
    pub route: RouteId,
    /// The version of the route's stream.
    pub version: u64,
    /// Who.
    pub actor: String,
    /// Its declaration before; absent when it was added.
    pub before: Option<Value>,
    /// Its declaration after; absent when it was removed.
    pub after: Option<Value>,
}

/// Entries after a place, and the place up to which everything was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In the order of their positions.
    pub entries: Vec<Entry>,
    /// Where to go on.
    pub next: Cursor,
    /// Whether there was nothing after it.
    pub is_last: bool,
}

/// Why the journal did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Somebody else wrote that version first: read on, and think again.
    #[error("somebody else changed it first")]
    Conflict,
    /// The place lies in another log, or beyond this one's end: read from the start.
    #[error("the log is another one than before")]
    AnotherLog,
    /// It does not take the entry, now or later.
    #[error("the log refuses the change: {0}")]
    Refused(String),
    /// It does not answer.
    #[error("the log is not available: {0}")]
    Unavailable(String),
}

/// The log as flags see it. The production one is the event store; tests have one that fails.
#[async_trait]
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// Appends one entry; its version must be the next one of its stream. The append is the commit.
    async fn append(&self, entry: &Entry) -> Result<(), JournalError>;

    /// Reads on, at most [`PAGE`] entries. A default cursor reads from the start.
    async fn read(&self, after: Cursor) -> Result<Page, JournalError>;

    /// Returns when there may be something new, or after a pause: the caller reads in a loop.
    async fn changed(&self);
}
