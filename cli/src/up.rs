//! `banyan up`: every part in one process, on SQLite files and the in-process bus.

mod folder;
mod ready;
mod routing;

use std::{future::Future, io::Write, net::SocketAddr, sync::Arc, time::Instant};

use anyhow::Context;
use bus::InProcessBus;
use chassis::{Shutdown, tasks::Supervisor};
use database::{Database, Options};
use event_store::{Log, LogOptions, log_process};
use service::Shared;

use self::folder::Folder;
use crate::{
    arguments::{Global, Up},
    endpoints::Endpoints,
    parts::gateway_config,
};

/// The administrator's e-mail address.
pub const ADMINISTRATOR: &str = "admin@node-learn.example";

/// Runs the whole system until the shutdown.
///
/// # Errors
/// One line that names the setting: a taken port, an unusable folder; or the part that failed.
pub async fn run(up: Up, global: &Global, shutdown: Shutdown) -> anyhow::Result<()> {
    let begun = Instant::now();
    let system = System::prepare(&up, global, shutdown.clone()).await?;
    let endpoints = system.endpoints.clone();
    let folder = system.folder.path().to_owned();
    let running = tokio::spawn(system.run());
    let ready = tokio::select! {
        ready = ready::wait(&endpoints) => ready,
        () = shutdown.cancelled() => Ok(()),
    };
    match ready {
        // A part that fails while starting begins the shutdown; its error is the one to show.
        Ok(()) if shutdown.is_cancelled() => {}
        Ok(()) => {
            endpoints.write(&folder)?;
            let banner = ready::banner(&endpoints, &folder, begun.elapsed());
            // Whoever closed standard output does not want the banner; the system runs all the same.
            writeln!(std::io::stdout(), "{banner}").ok();
        }
        Err(error) => {
            shutdown.trigger();
            running.await??;
            return Err(error);
        }
    }
    running.await?
}

/// Everything that `up` starts, prepared.
struct System {
    folder: Folder,
    endpoints: Endpoints,
    offset: u16,
    shared: Shared,
    shutdown: Shutdown,
}

impl System {
    async fn prepare(up: &Up, global: &Global, shutdown: Shutdown) -> anyhow::Result<Self> {
        let offset = up.port_offset;
        let folder = Folder::take(&global.data_dir)?;
        let log = Log::open(&folder.database("log"), LogOptions::default())
            .await
            .context("cannot open the log (--data-dir)")?;
        let shared = Shared {
            log,
            bus: Some(Arc::new(InProcessBus::new())),
        };
        let endpoints = Endpoints {
            pid: Some(std::process::id()),
            ..Endpoints::with_offset(offset)
        };
        Ok(Self {
            folder,
            endpoints,
            offset,
            shared,
            shutdown,
        })
    }

    async fn run(self) -> anyhow::Result<()> {
        let mut tasks = Supervisor::new(self.shutdown.clone());
        let gateway = self.gateway().await?;
        let listener = chassis::net::bind(self.listen(9010), "--port-offset").await?;
        let log = log_process::serve(
            self.shared.log.clone(),
            self.shared.bus.clone(),
            None,
            listener,
            self.shutdown.clone(),
        );
        self.start(&mut tasks, "log", log);
        self.start(&mut tasks, "gateway", gateway.ended());

        let legacy_url = self.folder.database("legacy");
        let legacy_database = Some(legacy_url.clone());
        // Importers open this file while legacy makes its tables. It must have its journal mode by
        // then: changing that needs the file alone.
        Database::connect(&legacy_url, Options::default())
            .await?
            .close()
            .await;
        let jwks_url = format!("{}/.well-known/jwks.json", self.endpoints.service("auth")?);
        let signing_key = self.folder.file("keys/signing.pem");

        let legacy = legacy::Config {
            listen: self.listen(9000),
            database: legacy_url,
            signing_key: signing_key.clone(),
            administrator: self.administrator()?,
            ..legacy::Config::default()
        };
        self.start(
            &mut tasks,
            "legacy",
            legacy::run(legacy, self.shutdown.clone()),
        );

        let auth = auth::Config {
            listen: self.listen(9001),
            database: self.folder.database("auth"),
            signing_key,
            legacy_database: legacy_database.clone(),
            ..auth::Config::default()
        };
        self.start(
            &mut tasks,
            "auth",
            auth::run(auth, self.shared.clone(), self.shutdown.clone()),
        );

        let question = question::Config {
            listen: self.listen(9002),
            database: self.folder.database("question"),
            legacy_database: legacy_database.clone(),
            ..question::Config::default()
        };
        let run = question::run(question, self.shared.clone(), self.shutdown.clone());
        self.start(&mut tasks, "question", run);

        let quiz = quiz::Config {
            listen: self.listen(9003),
            database: self.folder.database("quiz"),
            jwks_url: jwks_url.clone(),
            legacy_database: legacy_database.clone(),
            ..quiz::Config::default()
        };
        let run = quiz::run(quiz, self.shared.clone(), self.shutdown.clone());
        self.start(&mut tasks, "quiz", run);

        let achievement = achievement::Config {
            listen: self.listen(9004),
            database: self.folder.database("achievement"),
            jwks_url: jwks_url.clone(),
            legacy_database: legacy_database.clone(),
            ..achievement::Config::default()
        };
        let run = achievement::run(achievement, self.shared.clone(), self.shutdown.clone());
        self.start(&mut tasks, "achievement", run);

        let leaderboard = leaderboard::Config {
            listen: self.listen(9005),
            database: self.folder.database("leaderboard"),
            jwks_url,
            legacy_database,
            ..leaderboard::Config::default()
        };
        let run = leaderboard::run(leaderboard, self.shared.clone(), self.shutdown.clone());
        self.start(&mut tasks, "leaderboard", run);
        tasks.join().await
    }

    /// Starts the gateway on the folder's own configuration, written at the first start.
    async fn gateway(&self) -> anyhow::Result<gateway::Running> {
        let file = self.folder.file("gateway.toml");
        let cookie_key = self.folder.secret("cookie.key")?;
        let fresh = routing::text(self.offset, &self.folder.file("flags.json"), &cookie_key);
        routing::ensure(&file, self.offset, &fresh)?;
        let config = gateway_config(&file)?;
        let ports = gateway::Ports::bind(&config)
            .await
            .context("try another --port-offset")?;
        let log = Some(self.shared.log.clone());
        Ok(gateway::run(config, Some(file), log, ports, &self.shutdown).await?)
    }

    /// Who may curate questions; the password is made at the first start and kept in the folder.
    fn administrator(&self) -> anyhow::Result<Option<auth::config::Administrator>> {
        Ok(Some(auth::config::Administrator {
            email: ADMINISTRATOR.to_owned(),
            password: self.folder.secret("administrator.password")?,
            display_name: "Administrator".to_owned(),
        }))
    }

    fn listen(&self, port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port + self.offset).into()
    }

    /// A part's failure is told with the part's name, and with the setting that moves its port.
    fn start(
        &self,
        tasks: &mut Supervisor,
        name: &'static str,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        tasks.spawn(name, async move {
            part.await.map_err(|error| {
                let taken = error
                    .chain()
                    .any(|cause| cause.is::<chassis::net::BindError>());
                if taken {
                    error.context("try another --port-offset")
                } else {
                    error
                }
            })
        });
    }
}
