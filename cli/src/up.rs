//! `banyan up`: every part in one process, on SQLite files and the in-process bus.

mod folder;
mod ready;
mod routing;
mod system;

use std::{io::Write, time::Instant};

use chassis::Shutdown;
use tokio::sync::oneshot;

use self::{folder::Folder, system::System};
use crate::arguments::{Global, Up};

/// The administrator's e-mail address.
pub const ADMINISTRATOR: &str = "admin@node-learn.example";

/// Runs the whole system until the shutdown.
///
/// # Errors
/// One line that names the setting: a taken port, an unusable folder; or the part that failed.
pub async fn run(up: Up, global: &Global, shutdown: Shutdown) -> anyhow::Result<()> {
    let begun = Instant::now();
    let folder = Folder::take(&global.data_dir)?;
    let path = folder.path().to_owned();
    let system = System::prepare(folder, &up, shutdown.clone()).await?;
    let endpoints = system.endpoints().clone();
    let (ready, is_ready) = oneshot::channel();
    let mut running = tokio::spawn(system.run(ready));
    let started = tokio::select! {
        ended = &mut running => return ended?,
        started = is_ready => started,
    };
    if started.is_err() {
        return running.await?;
    }
    if let Err(error) = endpoints.write(&path) {
        shutdown.trigger();
        running.await??;
        return Err(error);
    }
    let banner = ready::banner(&endpoints, &path, begun.elapsed());
    // Whoever closed standard output does not want the banner; the system runs all the same.
    writeln!(std::io::stdout(), "{banner}").ok();
    running.await?
}
