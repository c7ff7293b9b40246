//! Taking over the monolith's questions.
//!
//! The first import is silent: every service that keeps questions imports them itself, and the log
//! would only repeat to it what it has. From then on the monolith's edits become events, where
//! following is on (see [`crate::follow`]), also those that are made while the import runs; without it a repeated import is silent, too, and the
//! other services repeat theirs.
//!
//! Invariants: a question that was edited here is never overwritten; an import that was interrupted
//! goes on where it stopped, because its place is committed with the rows.

use async_trait::async_trait;
use database::{Database, Result, Tx};
use serde::Serialize;
use service::import::{BATCH, Import};
use uuid::Uuid;

use crate::{
    follow::Follower,
    store::{
        legacy::{self, LegacyQuestion},
        progress,
    },
};

/// Imports questions from the monolith.
#[derive(Clone)]
pub struct FromLegacy {
    /// Takes a repeated import over, where following is on.
    pub follower: Option<Follower>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Questions that were not here.
    pub inserted: u64,
    /// Questions that were here and older.
    pub updated: u64,
    /// Questions that stayed as they are.
    pub skipped: u64,
}

#[async_trait]
impl Import for FromLegacy {
    type Report = Counts;

    async fn run(&self, own: &Database, legacy: &Database) -> Result<Counts> {
        if let (Some(follower), Some(_)) = (&self.follower, progress::watermark(own).await?) {
            return follower.catch_up(legacy).await;
        }
        let tags = legacy::tags_in(legacy).await?;
        let begun = progress::begin(own, legacy::last_write(legacy).await?).await?;
        // Where following is on, what is written since is news, and told as such.
        let until = self.follower.is_some().then_some(begun);
        let mut counts = Counts::default();
        let mut after = progress::imported(own).await?.unwrap_or(Uuid::nil());
        loop {
            let rows = legacy::read(legacy, tags, after, BATCH).await?;
            let Some(last) = rows.last() else { break };
            after = last.stored.question.id;
            let mut tx = own.begin().await?;
            for row in &rows {
                if until.is_some_and(|until| row.updated_at > until) {
                    counts.skipped += 1;
                    continue;
                }
                take_over(&mut tx, row, &mut counts).await?;
            }
            progress::note_imported(&mut tx, after).await?;
            tx.commit().await?;
        }
        progress::finish(own, begun).await?;
        Ok(counts)
    }
}

async fn take_over(tx: &mut Tx, row: &LegacyQuestion, counts: &mut Counts) -> Result<()> {
    let version = row.stored.question.version;
    if legacy::insert(tx, row, version).await? {
        counts.inserted += 1;
    } else if legacy::update(tx, row, version).await? {
        counts.updated += 1;
    } else {
        counts.skipped += 1;
    }
    Ok(())
}
