//! Node-Learn's monolith: every capability over one database, each request one transaction. It
//! knows nothing of events, the log, the bus or sagas; it is what gets strangled.
//!
//! Its rules are the services' own pure functions, so that both sides judge, count and reward
//! alike, and its answers have the same bodies, statuses and problem codes.

pub mod accounts;
pub mod config;
pub mod error;
pub mod http;
pub mod ops;
pub mod play;
pub mod seed;
pub mod store;

use std::{net::SocketAddr, path::Path};

use anyhow::Context;
use auth::{
    keys::Keys,
    limits::Proxies,
    mail::{Courier, Post},
};
use chassis::{Health, Metrics, Shutdown, config::Faults, http as serving, net, start::Part};
use database::{Database, Options};

pub use config::Config;

use crate::accounts::Accounts;

/// Runs the monolith until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or that its socket failed.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    Faults::found(config.faults())?;
    let post = config.mail.as_ref().map(Post::new).transpose()?;
    let listener = net::bind(config.listen, "listen").await?;
    let db = migrated(&config).await?;
    let keys = Keys::open(&config.signing_key).context("setting `signing_key`")?;
    tokio::spawn(keys.clone().follow(shutdown.clone()));
    let accounts = Accounts::new(db.clone(), keys.clone(), config.limits.clone());
    populate(&db, &accounts, &config).await?;
    tokio::spawn(store::questions::keep_indexed(db.clone(), shutdown.clone()));

    let health = Health::new(shutdown.clone());
    let probed = db.clone();
    let ping = move || {
        let probed = probed.clone();
        async move { probed.ping().await.map_err(|error| error.to_string()) }
    };
    health.check("database", ping).await;
    let metrics = Metrics::new();
    metrics.watch_databases(&[("own", &db)]);
    let service = serving::Service {
        name: "legacy",
        health,
        metrics,
    };
    let verbs = chassis::ops::router(config.ops_token, ops::verbs(db.clone()));
    let courier = Courier::new(db.clone(), post);
    tokio::spawn(courier.run(shutdown.clone()));
    let proxies = Proxies::new(&config.trusted_proxies);
    let router = serving::stack(
        http::router(db, accounts, keys, proxies, shutdown.clone()).merge(verbs),
        &service,
    );
    tracing::info!(service = "legacy", address = %listener.local_addr()?, "serving");
    serving::serve(listener, router, shutdown).await?;
    Ok(())
}

impl Part for Config {
    const NAME: &'static str = "legacy";
    const ABOUT: &'static str = "Node-Learn's monolith.";

    fn load(file: Option<&Path>) -> Result<Self, Faults> {
        Self::load(file)
    }

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    async fn migrate(&self) -> anyhow::Result<()> {
        migrated(self).await?;
        tracing::info!(service = "legacy", "the tables are up to date");
        Ok(())
    }

    async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        run(self, shutdown).await
    }
}

async fn migrated(config: &Config) -> anyhow::Result<Database> {
    let db = Database::connect(&config.database, Options::default())
        .await
        .context("legacy: cannot open its database (setting `database`)")?;
    db.migrate(store::migrations()).await?;
    Ok(db)
}

/// What a first start finds: the question bank and the administrator.
async fn populate(db: &Database, accounts: &Accounts, config: &Config) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    if store::curation::is_empty(&mut tx).await? {
        let now = tx.now().await?;
        let bank = seed::seed()?;
        for question in &bank {
            store::curation::insert(&mut tx, question, now).await?;
        }
        tx.commit().await?;
        tracing::info!(questions = bank.len(), "filled the question bank");
    } else {
        tx.rollback().await?;
    }
    if let Some(administrator) = &config.administrator {
        let made = accounts
            .ensure_administrator(&administrator.registration())
            .await;
        if made.context("setting `administrator`")? {
            tracing::info!("made the administrator");
        }
    }
    Ok(())
}
