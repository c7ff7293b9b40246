//! The auth service: accounts, guests, and the tokens that say who somebody is.
//!
//! Invariants: a password is stored as an argon2id hash only; a refresh token is good once; an
//! access token is signed with the key that legacy signs with, so each side takes the other's; no
//! event carries an e-mail address, a hash or a token.

pub mod accounts;
pub mod config;
pub mod domain;
pub mod error;
pub mod hashing;
pub mod http;
pub mod import;
pub mod keys;
pub mod store;

use anyhow::Context;
use chassis::Shutdown;
use service::{Frame, Plan, Shared, import::Importer};

pub use config::Config;

use crate::{accounts::Accounts, import::FromLegacy, keys::SigningKey};

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let plan = Plan {
        name: accounts::SERVICE,
        about: "Accounts, guests, sessions and the keys that sign their tokens.",
        listen: config.listen,
        database: &config.database,
        ops_token: config.ops_token,
        migrations: vec![store::migrations()],
    };
    let mut frame = Frame::open(plan, shared, shutdown).await?;
    let key = SigningKey::load_or_create(&config.signing_key).context("setting `signing_key`")?;
    let accounts = Accounts::new(frame.database.clone(), key.clone());
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
    frame
        .serve(http::router(accounts, &key), importer.verbs())
        .await
}
