//! Takes over edits of the configuration file while the gateway runs.
//!
//! Invariants: a file is applied only when two reads, a moment apart, agree, so that one that is
//! being written is not; a faulty file changes nothing and is reported once.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chassis::{Shutdown, shutdown::Slept};

use crate::{
    config::{self, Config, Faults, Language},
    control::Control,
};

/// How often the file is looked at. It is read, not watched: what a ConfigMap, an editor or a
/// network file system does to a file is seen by reading it, and not always by watching it.
const POLL: Duration = Duration::from_millis(500);
/// Two reads must agree over this long.
const SETTLED: Duration = Duration::from_millis(200);

/// A configuration on its way into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Before the table changes: make what is new, keep what is old.
    Prepare,
    /// After the table has changed: take it over, and let go what is gone. Requests that are under
    /// way hold what they began with.
    Settle,
}

/// Watches the file until the shutdown. `follow` makes what the new table needs and takes it over;
/// with [`Step::Prepare`] it gets a configuration that holds the upstreams of both tables.
pub async fn watch(
    path: PathBuf,
    control: Arc<Control>,
    follow: impl Fn(&Config, Step),
    shutdown: Shutdown,
) {
    // Nothing was seen yet: an edit between the start's read and this one must not be missed.
    let mut seen: Option<String> = None;
    let mut was_unreadable = false;
    while shutdown.sleep(POLL).await == Slept::Whole {
        control.apply_flag_edits().await;
        let text = match settled(&path, seen.as_deref(), &shutdown).await {
            Ok(Some(text)) => text,
            Ok(None) => continue,
            Err(fault) => {
                if !was_unreadable {
                    refuse(&control, fault);
                }
                was_unreadable = true;
                // When it is back, it is judged anew, even if it is the same.
                seen = None;
                continue;
            }
        };
        was_unreadable = false;
        let parsed = Language::of(&path).and_then(|it| Config::from_file_text(&text, it));
        seen = Some(text);
        match parsed {
            Ok(config) => apply(&control, config, &follow).await,
            Err(faults) => refuse(&control, faults),
        }
    }
}

/// The file's text when it differs from what was seen and has stopped changing.
async fn settled(
    path: &Path,
    seen: Option<&str>,
    shutdown: &Shutdown,
) -> Result<Option<String>, Faults> {
    let first = read(path).await;
    if let (Ok(first), Some(seen)) = (&first, seen)
        && first == seen
    {
        return Ok(None);
    }
    shutdown.sleep(SETTLED).await;
    let second = read(path).await;
    match (first, second) {
        (Ok(first), Ok(second)) if first == second => Ok(Some(second)),
        // Gone twice: not between an editor's two steps.
        (Err(_), Err(fault)) => Err(fault),
        _ => Ok(None),
    }
}

/// The file may lie on a network: a read that hangs must not hold up the admin API.
async fn read(path: &Path) -> Result<String, Faults> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || config::read(&path)).await;
    read.unwrap_or_else(|error| {
        let message = format!("cannot be read: {error}");
        Err(Faults(vec![config::Fault {
            key: String::new(),
            message,
        }]))
    })
}

async fn apply(control: &Control, config: Config, follow: &impl Fn(&Config, Step)) {
    if config == **control.config() {
        return control.set_fault(None);
    }
    let mut both = config.clone();
    for (id, upstream) in &control.config().upstreams {
        both.upstreams
            .entry(id.clone())
            .or_insert_with(|| upstream.clone());
    }
    follow(&both, Step::Prepare);
    control.apply(config).await;
    let in_force = Arc::clone(&control.config());
    follow(&in_force, Step::Settle);
    control.set_fault(None);
    // Last, since it may wait for the log.
    control.apply_flag_edits().await;
}

fn refuse(control: &Control, faults: Faults) {
    for fault in &faults.0 {
        tracing::error!(
            key = fault.key,
            fault = fault.message,
            "the edited configuration is refused"
        );
    }
    control.set_fault(Some(faults));
}
