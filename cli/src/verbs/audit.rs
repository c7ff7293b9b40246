//! `banyan audit`: holds the log, as of one position, against what the services say of themselves,
//! answer by answer and sum by sum, and prints what does not agree.
//!
//! How a moving system is judged: services answer once they have read the log up to the position,
//! so they can only be ahead of it. What the log says after the position names the answers and the
//! players that moved on meanwhile; these are left out and counted. A service's own commits that
//! have not reached the log yet show as disagreements that are gone at the next look; only what two
//! looks in a row agree on is reported.
//!
//! Of players whose account was deleted nothing may be anywhere; a participant may remember that an
//! answer was there, and not whose it was. Answers before a player's counts were set back stay as
//! history and count in no sum; bonus points of a board are in none either. What ended before a
//! participant's retention may be there no more, and its sums still hold it.

pub(crate) mod compare;
pub(crate) mod finding;
mod read;
mod report;
mod told;
pub(crate) mod view;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::bail;
use clap::Args;

use self::finding::Disagreement;
pub(crate) use self::report::Report;
use super::Context;
use crate::{
    client::Client,
    demo::ledger::{self, Told},
};

/// Looks at most: what is merely on its way (an outbox, a roll-back at a participant) is there
/// within a second or two.
const LOOKS: u32 = 6;
/// Between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(750);

/// `banyan audit`
#[derive(Debug, Args)]
pub struct Audit {
    /// Judge as of this position of the log; else its head.
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    position: Option<i64>,
    /// What a demo's clients were told, as `banyan demo` wrote it: held against both sides.
    #[arg(long, value_name = "FILE")]
    demo_ledger: Option<PathBuf>,
}

impl Audit {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let told = self.demo_ledger.as_deref().map(ledger::read).transpose()?;
        let report = examine(&context.client, self.position, told.as_deref()).await?;
        context.format.done(&report.to_string(), &report.json())?;
        match report.disagreements.len() {
            0 => Ok(()),
            1 => bail!("1 disagreement"),
            count => bail!("{count} disagreements"),
        }
    }
}

/// Reads and compares until there is nothing to report, or two looks in a row report the same.
///
/// # Errors
/// When something does not answer, or does not catch up with the log.
pub(crate) async fn examine(
    client: &Client,
    position: Option<i64>,
    told: Option<&[Told]>,
) -> anyhow::Result<Report> {
    let mut before: Option<BTreeSet<finding::Subject>> = None;
    let mut look = 1;
    loop {
        let mut report = read::once(client, position, told).await?;
        if report.disagreements.is_empty() {
            return Ok(report);
        }
        let now: BTreeSet<_> = report
            .disagreements
            .iter()
            .map(Disagreement::subject)
            .collect();
        if let Some(before) = before.replace(now) {
            let settled = report
                .disagreements
                .iter()
                .all(|one| before.contains(&one.subject()));
            if settled || look == LOOKS {
                report
                    .disagreements
                    .retain(|one| before.contains(&one.subject()));
                return Ok(report);
            }
        }
        look += 1;
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
