//! What every service that speaks through events is made of, put together once: its port, its
//! database, the log and the bus, relay and consumers, `/ops`, health, metrics, and the order in
//! which they start and stop.
//!
//! A service's `run` opens a [`Frame`], adds its consumers and tasks, and serves its router. The
//! port is bound first and served last: a taken port is told before anything else is touched, and
//! the process is ready only when everything behind it is.

pub mod audit;
pub mod departed;
pub mod duties;
pub mod import;
mod start;

use std::{future::Future, net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{Router, routing::get};
use bus::{Bus, Memory};
use chassis::{
    Health, Metrics, Shutdown,
    config::Faults,
    http::{self, openapi},
    net, ops,
    tasks::Supervisor,
};
use database::{Database, Migrations, Options};
use event_store::{
    BusMetrics, Consumers, Handler, Log, LogOptions, MasterKeys, Outbox, relay::RelayOptions,
};
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;

pub use start::{People, Service, Settings, check, load, main, perform};

use crate::duties::{Duties, Duty};

/// The log and the bus: opened by `main` from the configuration, or shared in one process.
#[derive(Clone)]
pub struct Shared {
    /// The log.
    pub log: Log,
    /// The bus; without one, consumers poll the log.
    pub bus: Option<Arc<dyn Bus>>,
}

impl Shared {
    /// Opens the log (setting `log`), with the keys of the people whom its events name (setting
    /// `personal_keys`), and connects to the bus (setting `bus`), where one is given.
    ///
    /// # Errors
    /// One line that names the setting. An absent broker is no error: the log is the truth, and the
    /// connection comes up by itself.
    pub async fn connect(
        log: &str,
        bus: Option<&str>,
        personal_keys: Option<&str>,
    ) -> anyhow::Result<Self> {
        let personal = personal_keys.map(MasterKeys::parse).transpose();
        let options = LogOptions {
            notified: bus.is_none(),
            personal: personal.context("setting `personal_keys`")?,
            ..LogOptions::default()
        };
        let log = Log::open(log, options)
            .await
            .context("cannot open the log (setting `log`)")?;
        let bus = match bus {
            Some(url) => {
                // The log's own process makes the stream, with the copies that it is told.
                let connected = bus::connect(url, 1).await;
                Some(connected.context("cannot use the bus (setting `bus`)")?)
            }
            None => None,
        };
        Ok(Self { log, bus })
    }
}

/// What a [`Frame`] is opened with.
pub struct Plan<'a> {
    /// The service's name: the events' `serviceId`, and in logs.
    pub name: &'static str,
    /// One sentence about it, for its `/openapi.json`.
    pub about: &'static str,
    /// Setting `listen`.
    pub listen: SocketAddr,
    /// Setting `database`.
    pub database: &'a str,
    /// Setting `ops_token`.
    pub ops_token: Option<String>,
    /// The service's own migration sets; the outbox's are added.
    pub migrations: Vec<Migrations>,
}

impl<'a> Plan<'a> {
    /// The plan of a service.
    ///
    /// # Errors
    /// Everything that is wrong with its configuration.
    pub fn of<S: Service>(config: &'a S) -> Result<Self, Faults> {
        check(config)?;
        let settings = config.settings();
        Ok(Self {
            name: S::NAME,
            about: S::ABOUT,
            listen: settings.listen,
            database: settings.database,
            ops_token: settings.ops_token.map(ToOwned::to_owned),
            migrations: S::migrations(),
        })
    }
}

/// A service being put together.
pub struct Frame {
    name: &'static str,
    about: &'static str,
    listener: TcpListener,
    ops_token: Option<String>,
    /// The service's own database.
    pub database: Database,
    /// The log.
    pub log: Log,
    /// Where the service's own events go.
    pub outbox: Outbox,
    /// Readiness checks; the database's, the log's and the consumers' are there.
    pub health: Health,
    /// The service's metrics.
    pub metrics: Metrics,
    /// The end of this service.
    pub shutdown: Shutdown,
    bus: Option<Arc<dyn Bus>>,
    consumers: Consumers,
    duties: Vec<Arc<dyn Duty>>,
    tasks: Supervisor,
}

impl Frame {
    /// Binds the port, opens the database and brings its tables up to date.
    ///
    /// # Errors
    /// One line that names the setting at fault.
    pub async fn open(plan: Plan<'_>, shared: Shared, shutdown: Shutdown) -> anyhow::Result<Self> {
        Self::open_with(Options::default(), plan, shared, shutdown).await
    }

    /// As [`Frame::open`], with other options for the database; tests break commits with them.
    ///
    /// # Errors
    /// One line that names the setting at fault.
    pub async fn open_with(
        options: Options,
        plan: Plan<'_>,
        shared: Shared,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        ops::check(plan.listen, plan.ops_token.as_deref())?;
        let listener = net::bind(plan.listen, "listen").await?;
        let database = migrated(plan.name, plan.database, options, plan.migrations).await?;
        let Shared { log, bus } = shared;
        let health = Health::new(shutdown.clone());
        let probed = database.clone();
        health.check("database", move || ping(probed.clone())).await;
        let probed = log.clone();
        health.check("log", move || ping_log(probed.clone())).await;
        warn_of_full_disks(&health, &database, &log).await;
        if let Some(bus) = bus.clone() {
            // Without it events flow by polling the log, only slower.
            let reachable = move || std::future::ready(bus.reachable());
            health.warning("bus", reachable).await;
        }
        let metrics = Metrics::new();
        metrics.register(|registry| log.metrics().register(registry));
        metrics.watch_databases(&[("own", &database), ("log", log.database())]);
        // Each process has a connection of its own; the one within a process is the publisher's.
        if let Some(bus) = bus.as_ref().filter(|bus| bus.memory() == Memory::Durable) {
            let connection = BusMetrics::of(Arc::clone(bus));
            metrics.register(|registry| registry.register_collector(Box::new(connection)));
        }
        Ok(Self {
            name: plan.name,
            about: plan.about,
            listener,
            ops_token: plan.ops_token,
            consumers: Consumers::new(database.clone(), log.clone()).of(plan.name),
            duties: Vec::new(),
            outbox: Outbox::new(plan.name).sealing(&log),
            health,
            metrics,
            tasks: Supervisor::new(shutdown.clone()),
            database,
            log,
            shutdown,
            bus,
        })
    }

    /// The address that the service listens on.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Adds a consumer.
    pub fn consume(&mut self, handler: impl Handler) {
        self.consumers = self.consumers.clone().add(handler);
    }

    /// Adds what this service does in a maintenance job; `health` is there.
    pub fn duty(&mut self, duty: impl Duty) {
        self.duties.push(Arc::new(duty));
    }

    /// The consumers added so far.
    pub fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// Adds a task that lives as long as the service; when it ends early, the service ends.
    pub fn spawn(
        &mut self,
        name: &str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(format!("{}/{name}", self.name), task);
    }

    /// Starts relay, consumers and the port, and runs until the shutdown. `api` is the public
    /// router, which documents itself under `/openapi.json` and `/docs`, the events under
    /// `/asyncapi.json`; `verbs` what the service adds to `/ops`.
    ///
    /// # Errors
    /// The first part that failed, by name.
    pub async fn serve(
        mut self,
        api: impl Into<OpenApiRouter>,
        verbs: Router,
    ) -> anyhow::Result<()> {
        let running = duties::Running::default();
        self.duty(duties::Health::new(self.log.clone(), Arc::clone(&running)));
        let duties = std::mem::take(&mut self.duties);
        self.consume(Duties::new(self.name, duties));
        running.get_or_init(|| self.consumers.all_progress());
        let about = openapi::About {
            name: self.name,
            description: self.about,
        };
        let events = bus::asyncapi::document(bus::asyncapi::Described {
            name: self.name,
            about: self.about,
            consumers: &self.consumers.interests(),
        });
        let api = openapi::documented(api.into(), about).route(
            "/asyncapi.json",
            get(async move || http::Json(events.clone())),
        );
        let consumers = self.consumers.clone();
        self.metrics
            .register(|registry| consumers.register(registry));
        let watched = consumers.clone();
        self.health
            .check("consumers", move || std::future::ready(watched.readiness()))
            .await;
        let service = http::Service {
            name: self.name,
            health: self.health.clone(),
            metrics: self.metrics.clone(),
        };
        let own = event_store::ops::service(consumers.clone(), self.name, self.database.clone());
        let verbs = verbs.merge(own);
        let router = http::stack(
            api.merge(ops::router(self.ops_token.take(), verbs)),
            &service,
        );

        let (database, log, end) = (
            self.database.clone(),
            self.log.clone(),
            self.shutdown.clone(),
        );
        let options = RelayOptions::new(self.name);
        self.spawn("relay", async move {
            event_store::relay::run(database, log, options, end).await;
            Ok(())
        });
        let watch = event_store::watch::run(
            self.name,
            self.database.clone(),
            self.log.metrics().clone(),
            consumers.clone(),
            self.shutdown.clone(),
        );
        self.spawn("watch", async move {
            watch.await;
            Ok(())
        });
        let (bus, end) = (self.bus.clone(), self.shutdown.clone());
        self.spawn("consumers", async move {
            consumers.run(bus, end.clone()).await;
            // A service that consumes nothing has nothing to run, which is no early end.
            if consumers.all_progress().is_empty() {
                end.cancelled().await;
            }
            Ok(())
        });
        let address = self.address()?;
        let (listener, end) = (self.listener, self.shutdown.clone());
        self.tasks.spawn(format!("{}/http", self.name), async move {
            Ok(http::serve(listener, router, end).await?)
        });
        tracing::info!(service = self.name, %address, "serving");
        self.tasks.join().await
    }
}

/// A database on a full disk still answers and reads, so the service stays ready and says so.
async fn warn_of_full_disks(health: &Health, database: &Database, log: &Log) {
    let watched = database.clone();
    let check = move || room(watched.clone());
    health.warning("database_disk", check).await;
    let watched = log.clone();
    let check = move || room(watched.database().clone());
    health.warning("log_disk", check).await;
}

/// Opens a service's database and brings its tables up to date. Safe to repeat and to run from several
/// processes at once; `migrations` are the service's own sets.
async fn migrated(
    name: &str,
    url: &str,
    options: Options,
    migrations: Vec<Migrations>,
) -> anyhow::Result<Database> {
    let database = Database::connect(url, options)
        .await
        .with_context(|| format!("{name}: cannot open its database (setting `database`)"))?;
    database.migrate(event_store::outbox::migrations()).await?;
    for migrations in migrations {
        database.migrate(migrations).await?;
    }
    Ok(database)
}

async fn ping(database: Database) -> Result<(), String> {
    database.ping().await.map_err(|error| error.to_string())
}

async fn room(database: Database) -> Result<(), String> {
    database.room().await
}

async fn ping_log(log: Log) -> Result<(), String> {
    log.ping().await.map_err(|error| error.to_string())
}
