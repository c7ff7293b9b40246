//! The auth service: accounts, guests, and the tokens that say who somebody is.
//!
//! Invariants: a password is stored as an argon2id hash only; a refresh token is good once; an
//! access token is signed with the key that legacy signs with, so each side takes the other's; no
//! event carries an e-mail address, a hash or a token.

pub mod accounts;
pub mod config;
pub mod departures;
pub mod domain;
pub mod duties;
pub mod error;
pub mod hashing;
pub mod http;
pub mod import;
pub mod keys;
pub mod limits;
pub mod mail;
pub mod oidc;
pub mod store;

use std::time::Duration;

use anyhow::Context;
use chassis::Shutdown;
use database::Migrations;
use service::{Frame, People, Plan, Service, Settings, Shared, import::Importer};

pub use config::Config;

use crate::{
    accounts::Accounts,
    departures::Departures,
    duties::{ExpiredTokens, GuestCleanup},
    import::FromLegacy,
    keys::Keys,
    limits::Proxies,
    mail::{Courier, Post},
    oidc::{Oidc, Providers},
};

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let post = config.mail.as_ref().map(Post::new).transpose()?;
    let providers = Providers::open(&config.oidc, &config.public_url)?;
    let mut frame = Frame::open(Plan::of(&config)?, shared, shutdown).await?;
    let keys = Keys::open(&config.signing_key).context("setting `signing_key`")?;
    frame.spawn("keys", keys.clone().follow(frame.shutdown.clone()));
    let accounts = Accounts::new(frame.database.clone(), keys.clone(), frame.outbox.clone())
        .limited(config.limits);
    if let Some(administrator) = &config.administrator {
        let made = accounts
            .ensure_administrator(&administrator.registration())
            .await;
        if made.context("setting `administrator`")? {
            tracing::info!("made the administrator");
        }
    }
    let importer = Importer::new(FromLegacy, frame.database.clone(), config.legacy_database);
    frame.spawn(
        "import",
        importer.clone().run_at_start(frame.shutdown.clone()),
    );
    frame.consume(Departures::new(frame.log.clone()));
    frame.duty(ExpiredTokens);
    frame.duty(GuestCleanup {
        lifetime: Duration::from_secs(config.guest_lifetime_seconds),
    });
    let mail_verbs = mail::verbs(frame.database.clone(), post.is_some());
    let courier = Courier::new(frame.database.clone(), post);
    frame.spawn("mails", courier.run(frame.shutdown.clone()));
    let lead = Duration::from_millis(config.key_lead_ms);
    let verbs = importer
        .verbs()
        .merge(http::verbs(keys.clone(), lead))
        .merge(mail_verbs);
    let oidc = Oidc::new(providers, accounts.clone(), frame.database.clone());
    let proxies = Proxies::new(&config.trusted_proxies);
    let api = http::router(accounts, keys, oidc, proxies);
    frame.serve(api, verbs).await
}

impl Service for Config {
    const NAME: &'static str = accounts::SERVICE;
    const ABOUT: &'static str = "Accounts, guests, sessions and the keys that sign their tokens.";

    fn settings(&self) -> Settings<'_> {
        service::settings!(self)
    }

    fn people(&self) -> People<'_> {
        People::Named(self.personal_keys.as_deref())
    }

    fn faults(&self) -> Vec<String> {
        let providers = Providers::open(&self.oidc, &self.public_url);
        let mut faults = self.mail.as_ref().map(mail::faults).unwrap_or_default();
        faults.extend(providers.err().into_iter().flat_map(|faults| faults.0));
        faults
    }

    fn migrations() -> Vec<Migrations> {
        vec![store::migrations()]
    }

    async fn run(self, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
        run(self, shared, shutdown).await
    }
}
