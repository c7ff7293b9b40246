//! The distributed form, each part twice, with a proxy in every link between any two of them.
//!
//! Invariant: everything ends with the value: processes by their own ids, servers, proxies, and the
//! folder with the files. What dies without having been killed here is started again, as whoever runs
//! such a system does, and noted.

mod configuration;
mod part;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use contracts::Event;
use database::{Database, Options, params};
use event_store::{Log, LogOptions, log::Append};
use futures::future::try_join_all;
use load::site::Site;
use testkit::{Nats, NatsCluster, Postgres, Process, TempDir};
use time::OffsetDateTime;
use tokio::{sync::Mutex, task::JoinSet};
use uuid::Uuid;

pub use self::part::{End, Part};
use self::{configuration::Ground, part::Links};
use crate::{
    facts::reading::Databases,
    plan::{SERVICES, Whom},
};

/// Who has a database beside the log.
const WITH_DATABASE: [&str; 5] = ["quiz", "achievement", "leaderboard", "auth", "question"];
const LOG: &str = "log";
const LEGACY: &str = "legacy";

/// A start on a busy machine; nothing takes this long when all is well.
const READY_WITHIN: Duration = Duration::from_secs(240);

/// A past of the log, so that its table is larger than what a full disk of PostgreSQL leaves to the
/// segments of the write-ahead log.
const PAST_EVENTS: usize = 1_800;
const PAST_EVENT_BYTES: usize = 900;
const PAST_BATCH: usize = 300;

/// Everything that runs.
pub struct System {
    parts: BTreeMap<String, Arc<Part>>,
    /// What starts again that which ended by itself.
    _keepers: JoinSet<()>,
    /// PostgreSQL.
    pub postgres: Mutex<Postgres>,
    /// The servers of NATS.
    pub brokers: Vec<Mutex<Nats>>,
    /// All databases, past the proxies.
    pub databases: Databases,
    /// The number of the log's database.
    log_oid: u32,
    _folder: TempDir,
}

impl System {
    /// Starts everything; `outputs` is where the parts' lines go when they end.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(banyan: &Path, outputs: &Path) -> anyhow::Result<Self> {
        let folder = testkit::temp_dir();
        let postgres = Postgres::start().await?;
        let cluster = NatsCluster::start_discreet().await?;
        let mut urls = BTreeMap::new();
        for name in WITH_DATABASE.into_iter().chain([LOG, LEGACY]) {
            urls.insert(name, postgres.named(name).await?);
        }
        let mut links = BTreeMap::new();
        for (service, _) in SERVICES {
            for replica in [1, 2] {
                let name = format!("{service}-{replica}");
                links.insert(name, Links::of(&postgres, &cluster.servers).await?);
            }
        }
        let ground = Ground {
            folder: folder.path().to_owned(),
            urls,
        };
        let mut parts = BTreeMap::new();
        for (name, text) in ground.files(&links)? {
            let file = folder.path().join(format!("{name}.toml"));
            std::fs::write(&file, text)?;
            let links = links.remove(&name).context("a part without links")?;
            let part = Part::new(&name, banyan, file, outputs, links);
            parts.insert(name, Arc::new(part));
        }
        let databases = open(&ground.urls).await?;
        start_all(&parts, &ground, banyan).await?;
        let mut keepers = JoinSet::new();
        for part in parts.values() {
            keepers.spawn(Arc::clone(part).keep());
        }
        past(&ground.urls[LOG]).await?;
        let sql = "SELECT oid::BIGINT FROM pg_database WHERE datname = current_database()";
        let (oid,): (i64,) = databases.log.fetch_one(sql, params![]).await?;
        Ok(Self {
            parts,
            _keepers: keepers,
            postgres: Mutex::new(postgres),
            brokers: cluster.servers.into_iter().map(Mutex::new).collect(),
            databases,
            log_oid: u32::try_from(oid)?,
            _folder: folder,
        })
    }

    /// The parts that a fault is about.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(&self, whom: Whom) -> anyhow::Result<Vec<Arc<Part>>> {
        let replicas = whom.replica.map_or(vec![1, 2], |one| vec![one]);
        let names = replicas
            .iter()
            .map(|replica| format!("{}-{replica}", whom.service));
        names
            .map(|name| {
                let part = self.parts.get(&name).cloned();
                part.with_context(|| format!("there is no {name}"))
            })
            .collect()
    }

    /// All parts.
    pub fn parts(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.parts.values()
    }

    /// What clients call: both gateways.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn sites(&self) -> anyhow::Result<[Site; 2]> {
        let site = |name: &str| Site::new(&format!("http://{}", self.parts[name].links.front()));
        Ok([site("gateway-1")?, site("gateway-2")?])
    }

    /// Where the log's database keeps its files: what [`Postgres::fill_disk`] takes.
    pub fn log_database(&self) -> u32 {
        self.log_oid
    }

    /// Waits until every part can serve.
    ///
    /// # Errors
    /// When one cannot within the time.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let all = self.parts.values().map(|part| part.ready(READY_WITHIN));
        try_join_all(all).await.map(|_| ())
    }
}

async fn open(urls: &BTreeMap<&'static str, String>) -> anyhow::Result<Databases> {
    let options = || Options {
        max_connections: 2,
        ..Options::default()
    };
    let mut services = BTreeMap::new();
    for name in WITH_DATABASE {
        services.insert(name, Database::connect(&urls[name], options()).await?);
    }
    Ok(Databases {
        log: Database::connect(&urls[LOG], options()).await?,
        services,
    })
}

/// The log first, whose tables all others use; the monolith for as long as it takes to bring its
/// questions; of each service the first replica, which imports them, before the second.
async fn start_all(
    parts: &BTreeMap<String, Arc<Part>>,
    ground: &Ground,
    banyan: &Path,
) -> anyhow::Result<()> {
    let ready = |part: Arc<Part>| async move { part.ready(READY_WITHIN).await };
    let log = &parts["log-1"];
    log.spawn(&[])?;
    ready(Arc::clone(log)).await?;
    let legacy = legacy(ground, banyan).await?;
    let is_first = |name: &str| name.ends_with("-1") && name != "log-1";
    let imports = [("LEGACY_DATABASE", ground.urls[LEGACY].clone())];
    for (name, part) in parts.iter().filter(|(name, _)| is_first(name)) {
        let imports: &[_] = if name.starts_with("gateway") {
            &[]
        } else {
            &imports
        };
        part.spawn(imports)?;
    }
    let first = parts.iter().filter(|(name, _)| is_first(name));
    try_join_all(first.map(|(_, part)| ready(Arc::clone(part)))).await?;
    drop(legacy);
    for (_, part) in parts.iter().filter(|(name, _)| name.ends_with("-2")) {
        part.spawn(&[])?;
    }
    try_join_all(parts.values().map(|part| ready(Arc::clone(part)))).await?;
    Ok(())
}

/// The monolith, whose database the first replicas import from.
async fn legacy(ground: &Ground, banyan: &Path) -> anyhow::Result<Process> {
    let port = testkit::free_port();
    let file = ground.folder.join("legacy.toml");
    std::fs::write(&file, ground.legacy(port))?;
    let mut command = std::process::Command::new(banyan);
    command.current_dir(&ground.folder);
    command.args(["service", LEGACY, "--config"]).arg(file);
    let process = Process::spawn_command(command)?;
    let url = format!("http://127.0.0.1:{port}/health/ready");
    part::ready(LEGACY, &url, READY_WITHIN).await?;
    Ok(process)
}

/// Events of nobody's, from before.
async fn past(log: &str) -> anyhow::Result<()> {
    let log = Log::open(log, LogOptions::default()).await?;
    let event = || Event {
        id: Uuid::now_v7(),
        event_type: "chaos.past".to_owned(),
        stream: "chaos-past".to_owned(),
        aggregate_id: "past".to_owned(),
        version: 0,
        schema_version: 1,
        payload: serde_json::json!({ "text": "x".repeat(PAST_EVENT_BYTES) }),
        timestamp: OffsetDateTime::now_utc(),
        correlation_id: Uuid::now_v7(),
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: "chaos".to_owned(),
        traceparent: None,
    };
    for _ in 0..PAST_EVENTS / PAST_BATCH {
        let batch = (0..PAST_BATCH).map(|_| Append::any(event())).collect();
        log.append(batch).await?;
    }
    Ok(())
}

/// A port of this machine.
fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A file beside others.
fn beside(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}
