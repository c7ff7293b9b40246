//! A log whose database is lost, put together again so that every event has the position that it
//! had: from the archive, and beyond its end from the bus and the outboxes. Only then are the
//! services' checkpoints, which are newer than the archive, still right.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use bus::{Bus, NatsBus};
use clap::Args;
use database::{Database, Options};
use event_store::{
    Log, LogOptions,
    log::{Epoch, Refilled, Remains},
    publisher,
};
use serde_json::json;
use uuid::Uuid;

use crate::output::Format;

/// Events that are in memory at once.
const CHUNK: usize = 10_000;

/// How often the bus is asked before it counts as away, and how long between: five seconds.
const CONNECT_TRIES: u32 = 20;
const CONNECT_PAUSE: Duration = Duration::from_millis(250);

/// `banyan log restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// The new log's database, which is empty: postgres://… or sqlite:path.
    #[arg(long, value_name = "URL")]
    log: String,
    /// The archive's folder of the lost log: `archive_dir`/EPOCH of the maintenance service.
    #[arg(long, value_name = "DIR")]
    archive: PathBuf,
    /// The database of each service: what its outbox sent is kept until it is archived.
    #[arg(long = "outbox", value_name = "URL")]
    outboxes: Vec<String>,
    /// The bus (nats://… or amqp://…), where it has not lost its disk: it remembers a day, or its last
    /// 256 MiB.
    #[arg(long, visible_alias = "nats", value_name = "URL")]
    bus: Option<String>,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
}

/// What was put together.
struct Restored {
    archived: i64,
    head: i64,
    lost: Vec<i64>,
    epoch: Epoch,
}

impl Restore {
    pub(crate) async fn run(self, actor: &str, format: Format) -> anyhow::Result<()> {
        let restored = self.restore(actor).await?;
        let Restored {
            archived,
            head,
            lost,
            epoch,
        } = &restored;
        let mut sentence = format!(
            "The log has {head} events again: {archived} from the archive, {} from the bus and the \
             outboxes.\nIt is {} from here on; before, it was {}.",
            head - archived,
            epoch.epoch,
            epoch.predecessor,
        );
        if !lost.is_empty() {
            sentence += &format!(
                "\nNobody has the events at {lost:?} any more; what the gateway recorded can be among \
                 them. In their places stands that they are lost. What an outbox had not marked as sent \
                 comes again by itself, at the end."
            );
        }
        sentence += "\nNext: start the log and the services, then banyan consumers adopt --all";
        let answer = json!({
            "archivedTo": archived, "head": head, "lost": lost,
            "epoch": epoch.epoch, "predecessor": epoch.predecessor,
        });
        Ok(format.done(&sentence, &answer)?)
    }

    async fn restore(&self, actor: &str) -> anyhow::Result<Restored> {
        let log = Log::open(&self.log, LogOptions::default())
            .await
            .context("cannot open the new log (--log)")?;
        let (epoch, archived) = self.refill_from_archive(&log).await?;
        let mut remains = Remains::of(epoch);
        for url in &self.outboxes {
            let database = Database::connect(url, Options::default()).await;
            let database = database.context("cannot open a service's database (--outbox)")?;
            remains = remains.outbox(database);
        }
        let mut published = None;
        if let Some(url) = &self.bus {
            let bus = connected(url).await?;
            let newest = bus.newest().await.context("cannot read the bus (--bus)")?;
            published = Some((bus.name(), newest));
            remains = remains.bus(bus);
        }
        let Refilled { head, lost } = log.refill_from(&remains).await?;
        // Without a word about the bus it is the one that it was by default.
        let (bus, newest) = published.unwrap_or((NatsBus::NAME, None));
        publisher::go_on(&log, bus, newest.as_ref()).await?;
        let epoch = log.begin_epoch(&self.reason, actor).await?;
        Ok(Restored {
            archived,
            head,
            lost,
            epoch,
        })
    }

    /// Takes over the archive; the identity of the lost log, and the last position that was there.
    async fn refill_from_archive(&self, log: &Log) -> anyhow::Result<(Uuid, i64)> {
        let epoch = epoch_of(&self.archive)?;
        log.become_empty(epoch).await?;
        let (events, mut waiting) = tokio::sync::mpsc::channel(CHUNK);
        let folder = self.archive.clone();
        let reading = tokio::task::spawn_blocking(move || {
            maintenance::archive::read(&folder, |event| {
                // Who no longer listens has failed, and says so himself.
                let _ = events.blocking_send(event);
                Ok(())
            })
        });
        let mut archived = 0;
        let mut chunk = Vec::with_capacity(CHUNK);
        while waiting.recv_many(&mut chunk, CHUNK).await > 0 {
            if let Some(foreign) = chunk.iter().find(|event| event.epoch != epoch) {
                bail!("the archive holds an event of log {}", foreign.epoch);
            }
            archived = log.refill(std::mem::take(&mut chunk)).await?;
        }
        reading.await??;
        Ok((epoch, archived))
    }
}

/// The archive keeps each log in a folder of its name.
fn epoch_of(folder: &Path) -> anyhow::Result<Uuid> {
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if !folder.is_dir() {
        bail!("there is no folder {} (--archive)", folder.display());
    }
    name.parse().with_context(|| {
        format!("{name:?} is no log's identity: name the folder below `archive_dir` (--archive)")
    })
}

/// The bus, once it answers: the connection comes up in the background.
async fn connected(url: &str) -> anyhow::Result<Arc<dyn Bus>> {
    let bus = bus::connect(url, 1).await?;
    let mut tries = 0;
    while let Err(error) = bus.newest().await {
        tries += 1;
        if tries > CONNECT_TRIES {
            return Err(error).context("cannot read the bus (--bus)");
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
    Ok(bus)
}
