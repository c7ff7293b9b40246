//! Takes events out of the log's database as soon as files have them, which is as early as can be, and drops
//! the partitions that they leave empty.

use std::{path::Path, time::Duration};

use chassis::{Shutdown, shutdown::Slept};
use event_store::{
    Log,
    archive::{Archive, Watch},
    partitions::Partitions,
    retention::{Keeping, Retention},
};

/// Events of a file: a run makes several.
const SEGMENT: u32 = 8;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(50);

/// Archives and removes until the shutdown.
pub(crate) async fn run(log: Log, folder: std::path::PathBuf, shutdown: Shutdown) {
    let archive = Archive::new(folder.clone(), SEGMENT, 1, Watch::default());
    let keeping = Keeping {
        archive_dir: folder,
        keep: Duration::ZERO,
    };
    let retention = Retention::new(log.clone(), keeping);
    loop {
        // What fails now is tried again at once, as everything here is.
        if archive.extend(&log).await.is_ok() {
            let _tried_again = retention.pass().await;
            let _looked_again = Partitions::default().look(&log).await;
        }
        if shutdown.sleep(EVERY).await == Slept::ShutDown {
            return;
        }
    }
}

/// Waits until all that the log had by now lies in files alone, and no partition is kept that held only that.
pub(crate) async fn all_is_archived(log: &Log, folder: Option<&Path>) -> anyhow::Result<()> {
    if folder.is_none() {
        return Ok(());
    }
    let head = log.head().await?.position;
    while log.archived_to().await? < head {
        tokio::time::sleep(EVERY).await;
    }
    loop {
        let looked = Partitions::default().look(log).await?;
        if looked.dropped == 0 && !looked.is_one_left {
            return Ok(());
        }
    }
}
