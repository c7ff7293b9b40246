//! The connection with what lies open on it: a group of units whose commit is one.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::{pace::Pace, statement};
use crate::{
    Result,
    error::{Failure, lost},
    signal::Signals,
};

/// Units that share a commit at most: what an error of it takes back at once.
const GROUP: usize = 256;

/// How long a group takes more units once its first is done, so that nobody's commit waits for ever
/// new ones; far below what anybody waits for an answer, and what a commit takes on a slow disk.
const GROUP_FOR: Duration = Duration::from_millis(10);

/// The connection, with the group whose transaction is open on it.
pub(super) struct Lent {
    connection: Connection,
    done: Vec<Done>,
    /// When the first of them was done.
    since: Instant,
    pace: Pace,
}

/// A unit that is part of the open transaction and waits for its commit.
struct Done {
    signals: Vec<&'static str>,
    outcome: oneshot::Sender<std::result::Result<(), Failure>>,
}

impl Lent {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            done: Vec::new(),
            since: Instant::now(),
            pace: Pace::default(),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether a transaction is open.
    pub(super) fn is_open(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Whether no unit waits for a commit.
    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Whether the group, if there is one, takes another unit.
    pub(super) fn may_grow(&self) -> bool {
        self.done.is_empty()
            || (self.is_open() && self.done.len() < GROUP && self.since.elapsed() < GROUP_FOR)
    }

    /// Adds a unit that is done; what becomes of it.
    pub(super) fn add(
        &mut self,
        signals: Vec<&'static str>,
    ) -> oneshot::Receiver<std::result::Result<(), Failure>> {
        let (outcome, told) = oneshot::channel();
        if self.done.is_empty() {
            self.since = Instant::now();
        }
        self.done.push(Done { signals, outcome });
        told
    }

    /// Ends the open transaction, and tells those whose units it has.
    pub(super) fn settle(&mut self, signals: &Signals) {
        let done = std::mem::take(&mut self.done);
        let ended = if done.is_empty() {
            Ok(())
        } else if self.is_open() {
            self.commit()
        } else {
            // It was taken back by SQLite itself, which has told the unit that met the reason.
            Err(lost())
        };
        if self.is_open()
            && let Err(error) = statement::execute(&self.connection, "ROLLBACK", &[])
        {
            tracing::error!(%error, "a transaction cannot be taken back");
        }
        let failure = ended.err().map(Failure::from);
        for unit in done {
            if failure.is_none() {
                for name in unit.signals {
                    signals.raise(name);
                }
            }
            // Nobody is there any more who wants to know.
            let _ = unit.outcome.send(failure.clone().map_or(Ok(()), Err));
        }
    }

    fn commit(&mut self) -> Result<()> {
        let began = Instant::now();
        let committed = statement::execute(&self.connection, "COMMIT", &[]);
        self.pace.took(began.elapsed());
        committed.map(|_| ())
    }

    /// Whether whoever asks for a commit may wait for it.
    pub(super) fn commits_quickly(&self) -> bool {
        self.pace.is_quick()
    }

    /// Whether much was written ahead of the file.
    pub(super) fn is_much_ahead(&self) -> bool {
        self.pace.is_much_ahead()
    }

    /// Copies what was written ahead into the file. What readers still need of it stays, and is copied
    /// another time.
    pub(super) fn copy(&mut self) {
        const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";
        if let Err(error) = statement::execute(&self.connection, COPY, &[]) {
            tracing::warn!(%error, "what was written ahead is not copied into the file");
        }
        self.pace.copied();
    }
}
