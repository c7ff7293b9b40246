//! A service as its process sees it: the settings that all have, what is wrong with them, and the
//! tasks that it can be started for.

use std::{future::Future, net::SocketAddr, path::Path, process::ExitCode};

use chassis::{
    Shutdown,
    config::{self, Faults, database_fault},
    ops,
    start::{self, Part, Task},
};
use database::{Migrations, Options};
use event_store::MasterKeys;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Shared, migrated};

/// A service that speaks through events, made from its configuration; its variables begin with
/// `BANYAN_`, its name and two underscores.
pub trait Service: Default + Serialize + DeserializeOwned {
    /// Its name: the events' `serviceId`, and in logs.
    const NAME: &'static str;
    /// One sentence about it, for its `/openapi.json` and its `--help`.
    const ABOUT: &'static str;

    /// The settings that all services have.
    fn settings(&self) -> Settings<'_>;

    /// What is wrong with the settings that it has alone, each with its key.
    fn faults(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether events that it writes or reads name people, and what their keys are sealed under then:
    /// the setting `personal_keys`. Without it they are written as they are.
    fn people(&self) -> People<'_> {
        People::Unnamed
    }

    /// What its database is made of, beside the outbox.
    fn migrations() -> Vec<Migrations>;

    /// Runs until the shutdown.
    ///
    /// # Errors
    /// What it could not start with, naming the setting; or the first of its parts that failed.
    fn run(self, shared: Shared, shutdown: Shutdown) -> impl Future<Output = anyhow::Result<()>>;
}

/// Whom a service's events name, as far as it has to know.
#[derive(Clone, Copy)]
pub enum People<'a> {
    /// Nobody, or it does not look at their names.
    Unnamed,
    /// Somebody; the setting `personal_keys`.
    Named(Option<&'a str>),
}

impl<'a> People<'a> {
    const fn keys(self) -> Option<&'a str> {
        match self {
            Self::Unnamed => None,
            Self::Named(keys) => keys,
        }
    }
}

/// The settings that all services have, by their keys.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// `listen`
    pub listen: SocketAddr,
    /// `database`
    pub database: &'a str,
    /// `log`
    pub log: &'a str,
    /// `bus`
    pub bus: Option<&'a str>,
    /// `legacy_database`, where the service imports from the monolith.
    pub legacy_database: Option<&'a str>,
    /// `ops_token`
    pub ops_token: Option<&'a str>,
}

/// The settings that all services have, of a configuration that has each in a field named as its key:
/// one that takes over from the monolith.
#[macro_export]
macro_rules! settings {
    ($config:expr) => {
        $crate::Settings {
            listen: $config.listen,
            database: &$config.database,
            log: &$config.log,
            bus: $config.bus.as_deref(),
            legacy_database: $config.legacy_database.as_deref(),
            ops_token: $config.ops_token.as_deref(),
        }
    };
}

/// Reads a service's configuration: defaults, over them the file, over it the variables.
///
/// # Errors
/// Everything that is wrong with it, be it unreadable or unusable.
pub fn load<S: Service>(file: Option<&Path>) -> Result<S, Faults> {
    let prefix = format!("BANYAN_{}__", S::NAME.to_uppercase());
    config::load_checked(&prefix, file, S::default(), faults)
}

/// Says what a service does without keys; within another process the log comes with them.
fn tell_of_keys<S: Service>(config: &S) {
    if matches!(config.people(), People::Named(None)) {
        let service = S::NAME;
        tracing::warn!(
            service,
            "personal_keys is not set: names in the events of this service are written as they are and \
             cannot be erased; `banyan personal new-key` makes one"
        );
    }
}

/// Finds what a service would refuse about a configuration, without reaching anybody.
///
/// # Errors
/// All of it.
pub fn check<S: Service>(config: &S) -> Result<(), Faults> {
    Faults::found(faults(config))
}

fn faults<S: Service>(config: &S) -> Vec<String> {
    let settings = config.settings();
    let databases = [
        ("database", Some(settings.database)),
        ("log", Some(settings.log)),
        ("legacy_database", settings.legacy_database),
    ];
    let databases = databases.into_iter();
    let databases = databases.filter_map(|(key, url)| database_fault(key, url?));
    let bus = settings.bus.and_then(|url| bus::check(url).err());
    let mut faults: Vec<String> = databases.collect();
    faults.extend(bus.map(|fault| format!("bus: {fault}")));
    let keys = config.people().keys().map(MasterKeys::parse);
    faults.extend(
        keys.and_then(Result::err)
            .map(|fault| format!("personal_keys: {fault}")),
    );
    faults.extend(ops::fault(settings.listen, settings.ops_token));
    faults.extend(config.faults());
    faults
}

/// Does what the task says with a service.
///
/// # Errors
/// All faults of the configuration, whatever the task; else that the task failed.
pub async fn perform<S: Service>(
    task: Task,
    config: Option<&Path>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    start::perform::<OfEvents<S>>(task, config, shutdown).await
}

/// The whole life of a service's own process.
pub fn main<S: Service>() -> ExitCode {
    start::main::<OfEvents<S>>()
}

/// A service that finds the log and the bus by its own configuration.
struct OfEvents<S>(S);

impl<S: Service> Part for OfEvents<S> {
    const NAME: &'static str = S::NAME;
    const ABOUT: &'static str = S::ABOUT;

    fn load(file: Option<&Path>) -> Result<Self, Faults> {
        load(file).map(Self)
    }

    fn listen(&self) -> SocketAddr {
        self.0.settings().listen
    }

    async fn migrate(&self) -> anyhow::Result<()> {
        let database = self.0.settings().database;
        migrated(S::NAME, database, Options::default(), S::migrations()).await?;
        tracing::info!(service = S::NAME, "the tables are up to date");
        Ok(())
    }

    async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        tell_of_keys(&self.0);
        let settings = self.0.settings();
        let keys = self.0.people().keys();
        let shared = Shared::connect(settings.log, settings.bus, keys).await?;
        self.0.run(shared, shutdown).await
    }
}
