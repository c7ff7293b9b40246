//! The parts of the system in one process, and the order in which they start.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use auth::config::Administrator;
use bus::InProcessBus;
use chassis::{Shutdown, net::BindError, tasks::Supervisor, telemetry};
use database::{Database, Options};
use event_store::{Log, LogOptions, MasterKeys, log_process, retention::Keeping};
use service::Shared;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::{ADMINISTRATOR, folder::Folder, ready, routing};
use crate::{
    arguments::Up,
    client::Client,
    endpoints::{Endpoints, Replicas},
    parts::gateway_config,
    verbs::sync,
};

/// What a taken port is told with.
const OTHER_PORTS: &str = "try another --port-offset";

/// How often the admin service looks for what curators wrote on the monolith.
const FOLLOW: &str = "1s";

/// Everything that `up` starts, prepared.
pub(super) struct System {
    folder: Folder,
    endpoints: Endpoints,
    offset: u16,
    keep: Option<Duration>,
    shared: Shared,
    shutdown: Shutdown,
}

impl System {
    pub(super) async fn prepare(
        folder: Folder,
        up: &Up,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let keys = format!("up:{}", folder.secret("personal.key")?);
        let options = LogOptions {
            personal: Some(MasterKeys::parse(&keys)?),
            archive_dir: Some(folder.file("archive")),
            ..LogOptions::default()
        };
        let log = Log::open(&folder.database("log"), options)
            .instrument(telemetry::part("log"))
            .await
            .context("cannot open the log (--data-dir)")?;
        let bus = Some(Arc::new(InProcessBus::new()) as _);
        let endpoints = Endpoints {
            pid: Some(std::process::id()),
            ..Endpoints::with_offset(up.port_offset)
        };
        Ok(Self {
            folder,
            endpoints,
            offset: up.port_offset,
            keep: up.retention,
            shared: Shared { log, bus },
            shutdown,
        })
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Runs everything until the shutdown, and tells when all of it is ready. Whatever keeps it
    /// from starting ends what has started.
    pub(super) async fn run(self, ready: oneshot::Sender<()>) -> anyhow::Result<()> {
        let mut tasks = Supervisor::new(self.shutdown.clone());
        let started = self.start_all(&mut tasks).await;
        match started {
            // Whoever does not listen any more is on the way out.
            Ok(Begun::Yes) => drop(ready.send(())),
            Ok(Begun::No) => {}
            Err(_) => self.shutdown.trigger(),
        }
        let ended = tasks.join().await;
        started.and(ended)
    }

    /// Starts each part when what it asks first is there: the services import what legacy has, and
    /// the gateway fetches the keys of auth.
    async fn start_all(&self, tasks: &mut Supervisor) -> anyhow::Result<Begun> {
        // Ports are taken before anything starts, so that a second system does nothing.
        let config = self.gateway_config()?;
        let ports = gateway::Ports::bind(&config).await.context(OTHER_PORTS)?;
        self.start_log(tasks).await?;
        self.start_legacy(tasks).await?;
        if self.ready(&["legacy"]).await? == Begun::No {
            return Ok(Begun::No);
        }
        self.start_services(tasks)?;
        let services = [
            "auth",
            "question",
            "quiz",
            "achievement",
            "leaderboard",
            "admin",
            "maintenance",
            "log",
        ];
        if self.ready(&services).await? == Begun::No {
            return Ok(Begun::No);
        }
        // What is not imported now is imported by the next one; it does not keep players out.
        if let Err(error) = sync::backfill(&Client::new(self.endpoints.clone(), "up")?).await {
            tracing::warn!(error = format!("{error:#}"), "the import did not finish");
        }
        let (file, log) = (self.folder.file("gateway.toml"), self.shared.log.clone());
        let gateway = gateway::run(config, Some(file), Some(log), ports, &self.shutdown)
            .instrument(telemetry::part("gateway"))
            .await?;
        self.start(tasks, "gateway", gateway.ended());
        self.until(ready::wait([self.endpoints.admin.as_str()]))
            .await
    }

    /// Waits until these parts are ready, or the shutdown has begun since one of them failed.
    async fn ready(&self, parts: &[&str]) -> anyhow::Result<Begun> {
        let bases: anyhow::Result<Vec<_>> = parts
            .iter()
            .map(|part| self.endpoints.service(part).map(Replicas::first))
            .collect();
        self.until(ready::wait(bases?)).await
    }

    /// Waits for something, or for the shutdown that a failing part begins.
    async fn until(
        &self,
        waited_for: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Begun> {
        tokio::select! {
            waited = waited_for => waited.map(|()| Begun::Yes),
            () = self.shutdown.cancelled() => Ok(Begun::No),
        }
    }

    async fn start_log(&self, tasks: &mut Supervisor) -> anyhow::Result<()> {
        let listener = chassis::net::bind(self.listen(9010), "listen")
            .await
            .context(OTHER_PORTS)?;
        let Shared { log, bus } = self.shared.clone();
        let keeping = self.keep.map(|keep| Keeping {
            archive_dir: self.folder.file("archive"),
            keep,
        });
        let log = log_process::serve(log, bus, keeping, None, listener, self.shutdown.clone());
        self.start(tasks, "log", log);
        Ok(())
    }

    async fn start_legacy(&self, tasks: &mut Supervisor) -> anyhow::Result<()> {
        let database = self.folder.database("legacy");
        // Importers open this file too. It must have its journal mode by then: changing that needs
        // the file alone.
        Database::connect(&database, Options::default())
            .await?
            .close()
            .await;
        let config = legacy::Config {
            listen: self.listen(9000),
            database,
            signing_key: self.folder.file("keys/signing.pem"),
            administrator: Some(self.administrator()?),
            ..legacy::Config::default()
        };
        self.start(tasks, "legacy", legacy::run(config, self.shutdown.clone()));
        Ok(())
    }

    fn start_services(&self, tasks: &mut Supervisor) -> anyhow::Result<()> {
        let legacy_database = Some(self.folder.database("legacy"));
        let auth = self.endpoints.service("auth")?.first();
        let jwks_url = format!("{auth}/.well-known/jwks.json");

        /// A service with its own settings over those that all have.
        macro_rules! service {
            ($name:ident, $port:literal $(, $setting:ident: $value:expr)*) => {{
                let config = $name::Config {
                    listen: self.listen($port),
                    database: self.folder.database(stringify!($name)),
                    $($setting: $value,)*
                    ..$name::Config::default()
                };
                let run = $name::run(config, self.shared_apart(), self.shutdown.clone());
                self.start(tasks, stringify!($name), run);
            }};
        }
        /// One that takes over what the monolith has, and verifies its tokens.
        macro_rules! strangling {
            ($name:ident, $port:literal $(, $setting:ident: $value:expr)*) => {
                service!($name, $port, legacy_database: legacy_database.clone(),
                    jwks_url: jwks_url.clone() $(, $setting: $value)*)
            };
        }
        service!(auth, 9001, legacy_database: legacy_database.clone(),
            signing_key: self.folder.file("keys/signing.pem"));
        strangling!(question, 9002);
        strangling!(quiz, 9003);
        strangling!(achievement, 9004);
        strangling!(leaderboard, 9005);
        let follow = FOLLOW.to_owned().try_into().map_err(anyhow::Error::msg)?;
        strangling!(admin, 9006, legacy_follow: Some(follow));
        service!(maintenance, 9007, jwks_url: jwks_url,
            archive_dir: self.folder.file("archive"));
        Ok(())
    }

    /// The log and the bus, for a part that counts what it does with them for itself.
    fn shared_apart(&self) -> Shared {
        Shared {
            log: self.shared.log.apart(),
            bus: self.shared.bus.clone(),
        }
    }

    /// The folder's own configuration, written at the first start.
    fn gateway_config(&self) -> anyhow::Result<gateway::Config> {
        let file = self.folder.file("gateway.toml");
        let cookie_key = self.folder.secret("cookie.key")?;
        let fresh = routing::text(self.offset, &self.folder.file("flags.json"), &cookie_key);
        routing::ensure(&file, self.offset, &fresh)?;
        Ok(gateway_config(&file)?)
    }

    /// Who may curate questions; the password is made at the first start and kept in the folder.
    fn administrator(&self) -> anyhow::Result<Administrator> {
        Ok(Administrator {
            email: ADMINISTRATOR.to_owned(),
            password: self.folder.secret("administrator.password")?,
            display_name: "Administrator".to_owned(),
        })
    }

    fn listen(&self, port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port + self.offset).into()
    }

    /// Runs a part. One that fails ends the others, also while they still start.
    fn start(
        &self,
        tasks: &mut Supervisor,
        name: &'static str,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let shutdown = self.shutdown.clone();
        let part = part.instrument(telemetry::part(name));
        tasks.spawn(name, async move {
            let ended = part.await;
            if ended.is_err() {
                shutdown.trigger();
            }
            ended.map_err(|error| {
                let taken = error.chain().any(|cause| cause.is::<BindError>());
                if taken {
                    error.context(OTHER_PORTS)
                } else {
                    error
                }
            })
        });
    }
}

/// Whether what was waited for has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Yes,
    No,
}
