//! Takes over the monolith's questions, straight from its database.
//!
//! Invariants: a row that an event wrote is never overwritten; an import that was interrupted goes
//! on where it stopped, because its place is committed with the rows, and then looks once more from
//! the beginning, because what lies before its place may have changed since it was there.

use async_trait::async_trait;
use database::{Database, Result};
use serde::Serialize;
use service::import::{BATCH, Import};
use uuid::Uuid;

use crate::store::imports::{self, Tags, Taken};

/// Imports questions from the monolith.
#[derive(Clone, Copy, Debug)]
pub struct FromLegacy;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Questions that were not here.
    pub inserted: u64,
    /// Questions that were here and older.
    pub updated: u64,
    /// Questions that stayed as they are; counted again by an import that went on and then looked
    /// once more.
    pub skipped: u64,
}

#[async_trait]
impl Import for FromLegacy {
    type Report = Counts;

    async fn run(&self, own: &Database, legacy: &Database) -> Result<Counts> {
        let mut counts = Counts::default();
        let tags = imports::tags_in(legacy).await?;
        if let Some(after) = imports::progress(own).await? {
            go_on(own, legacy, tags, after, &mut counts).await?;
        }
        go_on(own, legacy, tags, Uuid::nil(), &mut counts).await?;
        imports::finish(own).await?;
        Ok(counts)
    }
}

/// Takes over everything behind a row, batch by batch.
async fn go_on(
    own: &Database,
    legacy: &Database,
    tags: Tags,
    mut after: Uuid,
    counts: &mut Counts,
) -> Result<()> {
    loop {
        let rows = imports::read_legacy(legacy, tags, after, BATCH).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.id;
        let mut tx = own.begin().await?;
        imports::begin(&mut tx).await?;
        for row in &rows {
            match imports::take_over(&mut tx, row).await? {
                Taken::Inserted => counts.inserted += 1,
                Taken::Updated => counts.updated += 1,
                Taken::Skipped => counts.skipped += 1,
            }
        }
        imports::note_progress(&mut tx, after).await?;
        tx.commit().await?;
    }
}
