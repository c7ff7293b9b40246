//! Takes over the monolith's users, straight from its database.
//!
//! Invariants: a row that was born or changed here is never overwritten; an import that was
//! interrupted goes on where it stopped, because its place is committed with the rows.

use async_trait::async_trait;
use database::{Database, Result, Tx};
use serde::Serialize;
use service::import::{BATCH, Import};
use uuid::Uuid;

use crate::store::imports::{self, LegacyUser, Taken};

/// Imports users from the monolith.
#[derive(Clone, Copy, Debug)]
pub struct FromLegacy;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Users who were not here.
    pub inserted: u64,
    /// Users who were here and older.
    pub updated: u64,
    /// Users who stayed as they are.
    pub skipped: u64,
}

#[async_trait]
impl Import for FromLegacy {
    type Report = Counts;

    async fn run(&self, own: &Database, legacy: &Database) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut after = imports::progress(own).await?.unwrap_or(Uuid::nil());
        loop {
            let rows = imports::read_legacy(legacy, after, BATCH).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            let mut tx = own.begin().await?;
            for row in &rows {
                counts.take_over(&mut tx, row).await?;
            }
            imports::note_progress(&mut tx, after).await?;
            tx.commit().await?;
        }
        imports::finish(own).await?;
        Ok(counts)
    }
}

impl Counts {
    async fn take_over(&mut self, tx: &mut Tx, row: &LegacyUser) -> Result<()> {
        match imports::take_over(tx, row).await? {
            Taken::Inserted => self.inserted += 1,
            Taken::Updated => self.updated += 1,
            Taken::Skipped => {
                self.skipped += 1;
                if imports::is_address_taken(tx, row).await? {
                    tracing::warn!(
                        user_id = %row.id,
                        "registered on both sides with one address; this side's account stays"
                    );
                }
            }
        }
        Ok(())
    }
}
