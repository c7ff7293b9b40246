//! The `log` process of the distributed form: forwards the log to the bus and shows it to the
//! operators. Appending needs no process: every service talks to the log's database itself.

mod config;

use std::sync::Arc;

use anyhow::Context;
use bus::Bus;
use chassis::{Health, Metrics, Shutdown, http::Service, tasks::Supervisor};
use tokio::{net::TcpListener, sync::watch};

pub use config::{Config, duration};

use crate::{
    BusMetrics, Log, LogOptions, MasterKeys,
    blocking::Blocking,
    ops,
    partitions::Partitions,
    personal,
    publisher::{Publisher, PublisherState},
    retention::{self, Keeping, Retention},
};

/// Opens the log and the bus, and runs the process until the shutdown, on a listener that is bound
/// already.
///
/// # Errors
/// When the log's database cannot be opened, the bus's address is unusable, or a task fails.
pub async fn run(config: Config, listener: TcpListener, shutdown: Shutdown) -> anyhow::Result<()> {
    let personal = config.personal_keys.as_deref().map(MasterKeys::parse);
    let options = LogOptions {
        personal: personal.transpose().context("setting `personal_keys`")?,
        archive_dir: config.archive_dir.clone(),
        ..LogOptions::default()
    };
    let log = Log::open(&config.log, options)
        .await
        .context("cannot open the log (setting `log`)")?;
    let keeping = config.keeping();
    let bus = match &config.bus {
        Some(url) => {
            let connected = bus::connect(url, config.nats_replicas).await;
            Some(connected.context("cannot use the bus (setting `bus`)")?)
        }
        None => None,
    };
    serve(log, bus, keeping, config.ops_token, listener, shutdown).await
}

/// Brings the log's tables up to date, as [`run`] does at its start, and nothing else. Safe to
/// repeat and to run from several processes at once.
///
/// # Errors
/// When the log's database cannot be reached, or a migration fails.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    Log::migrate(&config.log)
        .await
        .context("cannot open the log (setting `log`)")?;
    tracing::info!("the log's tables are up to date");
    Ok(())
}

/// Forwards an open log to a bus, where there is one, takes out what is no longer to be kept, and shows
/// it to the operators, until the shutdown.
///
/// # Errors
/// When a task fails.
pub async fn serve(
    log: Log,
    bus: Option<Arc<dyn Bus>>,
    keeping: Option<Keeping>,
    ops_token: Option<String>,
    listener: TcpListener,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let metrics = Metrics::new();
    metrics.register(|registry| log.metrics().register(registry));
    metrics.watch_databases(&[("log", log.database())]);
    let health = Health::new(shutdown.clone());
    let probed = log.clone();
    let probe = move || {
        let log = probed.clone();
        async move { log.ping().await.map_err(|error| error.to_string()) }
    };
    health.check("log", probe).await;

    let watched = log.clone();
    let has_room = move || {
        let log = watched.clone();
        async move { log.database().room().await }
    };
    health.warning("log_disk", has_room).await;

    let mut tasks = Supervisor::new(shutdown.clone());
    if let Some(bus) = bus {
        let noted = Arc::clone(&bus);
        let reachable = move || std::future::ready(noted.reachable());
        health.warning("bus", reachable).await;
        let connection = BusMetrics::of(Arc::clone(&bus));
        let publisher = Publisher::new(log.clone(), bus);
        metrics.register(|registry| {
            registry.register_collector(Box::new(connection));
            publisher.register(registry);
        });
        let state = publisher.state();
        health
            .check("publisher", move || std::future::ready(publishing(&state)))
            .await;
        let stop = shutdown.clone();
        tasks.spawn("publisher", async move {
            publisher.run(stop).await;
            Ok(())
        });
    }
    let (told, stop) = (log.clone(), shutdown.clone());
    tasks.spawn("erasures", async move {
        personal::announce(told, stop).await;
        Ok(())
    });
    let blocking = Blocking::default();
    metrics.register(|registry| registry.register_collector(Box::new(blocking.clone())));
    let looking = blocking.clone().run(log.clone(), shutdown.clone());
    tasks.spawn("blocking", async move {
        looking.await;
        Ok(())
    });
    make_partitions(&log, &metrics, &mut tasks, shutdown.clone());
    let removed = retention::Shown::default();
    metrics.register(|registry| removed.register(registry));
    if let Some(keeping) = keeping {
        let retention = Retention::counted(log.clone(), keeping, removed);
        let stop = shutdown.clone();
        tasks.spawn("retention", async move {
            retention.run(stop).await;
            Ok(())
        });
    }
    let service = Service {
        name: "log",
        health,
        metrics,
    };
    let address = listener.local_addr()?;
    let verbs = chassis::ops::router(ops_token, ops::log(log).merge(ops::blocking(blocking)));
    let router = chassis::http::stack(verbs, &service);
    let stop = shutdown.clone();
    tasks.spawn("http", async move {
        Ok(chassis::http::serve(listener, router, stop).await?)
    });
    tracing::info!(%address, "log process ready");
    tasks.join().await
}

/// Keeps partitions ahead of the log's head until the shutdown.
fn make_partitions(log: &Log, metrics: &Metrics, tasks: &mut Supervisor, shutdown: Shutdown) {
    let (partitions, log) = (Partitions::default(), log.clone());
    metrics.register(|registry| partitions.register(&log, registry));
    tasks.spawn("partitions", async move {
        partitions.run(log, shutdown).await;
        Ok(())
    });
}

/// A bus that is away does not make the log unusable: events still flow, by polling, only slower.
/// A cursor that does not fit the log needs an operator.
fn publishing(state: &watch::Receiver<PublisherState>) -> Result<(), String> {
    match &*state.borrow() {
        PublisherState::Refused(reason) => Err(reason.clone()),
        PublisherState::Stopped
        | PublisherState::Standby
        | PublisherState::Forwarding(_)
        | PublisherState::Failing(_) => Ok(()),
    }
}
