//! The keys that access tokens are signed with: a set of Ed25519 keys in a file that auth and
//! legacy share, so that a token of either is good at both.
//!
//! Every process reads the file again when it has changed, and takes from the set and the clock
//! which key signs and which ones verify. A rotation is one replacement of the file; see [`set`]
//! for what follows from it and [`file`] for what a crash leaves.

mod file;
mod set;
mod signing;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use chassis::{Problem, Shutdown, shutdown::Slept};
use contracts::Claims;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use thiserror::Error;
use time::OffsetDateTime;

pub use set::{Compromised, Entry, KeySet, Role};
pub use signing::SigningKey;

use self::file::Stamp;

/// How long verifiers may keep the published keys; a token with an unknown key makes ours ask at
/// once.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);

/// How long a new key is published before it signs, unless the configuration says otherwise: the
/// time that others may keep the keys, and a minute for the clocks and caches between.
pub const LEAD: Duration = Duration::from_secs(360);

/// How often the file is looked at: the time that replicas may disagree after an emergency.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// An unknown key id looks at the file again at most this often, so that forged ids cost nothing.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The keys in one file. Clones share them.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    path: PathBuf,
    held: RwLock<(Arc<KeySet>, Stamp)>,
    looked: Mutex<Instant>,
}

/// Why there is no key to sign with, or why the keys stay as they are.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file or its folder cannot be read or written.
    #[error("the key file {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds no Ed25519 keys in PKCS#8 PEM.
    #[error("the key file {path} holds no Ed25519 keys in PKCS#8 PEM: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A key or a token could not be put into its wire form.
    #[error("signing: {0}")]
    Signing(String),
    /// The last rotation has not come to its end.
    #[error("there is a next key already, which does not sign yet")]
    RotationPending,
    /// Somebody else is changing the keys right now.
    #[error("the keys are being changed at this moment")]
    RotationRunning,
    /// There is no key with that id.
    #[error("there is no such key")]
    UnknownKey,
}

impl Keys {
    /// The keys in the file at `path`; makes it, and its folder, when there is none.
    ///
    /// # Errors
    /// When the file cannot be read, written or understood.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let (set, stamp) = file::load_or_create(path)?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            held: RwLock::new((Arc::new(set), stamp)),
            looked: Mutex::new(Instant::now()),
        })))
    }

    /// The token that says `claims`, signed with the key whose time it is.
    ///
    /// # Errors
    /// When the claims cannot be written as JSON; never in practice.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        self.set().signer(OffsetDateTime::now_utc()).sign(claims)
    }

    /// The published keys: `GET /.well-known/jwks.json`.
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        self.set().jwks(OffsetDateTime::now_utc())
    }

    /// The published key with that id. One that is not known may have come into the file just now.
    #[must_use]
    pub fn public(&self, id: &str) -> Option<Jwk> {
        let find = || self.set().public(id, OffsetDateTime::now_utc()).cloned();
        find().or_else(|| {
            let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.elapsed() < LOOK_AGAIN_AFTER {
                return None;
            }
            *looked = Instant::now();
            self.look();
            find()
        })
    }

    /// All keys that are good for something.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.set().entries(OffsetDateTime::now_utc())
    }

    /// Adds a key that signs `lead` from now on.
    ///
    /// # Errors
    /// [`KeyError::RotationPending`], [`KeyError::RotationRunning`], or the file's.
    pub async fn rotate(&self, lead: Duration) -> Result<(), KeyError> {
        let lead = time::Duration::try_from(lead).unwrap_or(time::Duration::MAX);
        self.change(move |set, now| set.rotated(now, lead)).await
    }

    /// Takes away one key, or all without an id, at once; tokens that it signed are good no more.
    ///
    /// # Errors
    /// [`KeyError::UnknownKey`], [`KeyError::RotationRunning`], or the file's.
    pub async fn purge(&self, id: Option<String>) -> Result<(), KeyError> {
        self.change(move |set, now| {
            let what = id.as_deref().map_or(Compromised::All, Compromised::Key);
            set.purged(now, what)
        })
        .await
    }

    /// Reads the file whenever it has changed, until the shutdown.
    ///
    /// # Errors
    /// Never; the type is that of a supervised task.
    pub async fn follow(self, shutdown: Shutdown) -> anyhow::Result<()> {
        while shutdown.sleep(LOOK_EVERY).await == Slept::Whole {
            let keys = self.clone();
            tokio::task::spawn_blocking(move || keys.look()).await?;
        }
        Ok(())
    }

    fn set(&self) -> Arc<KeySet> {
        let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&held.0)
    }

    /// A file that cannot be read or understood changes nothing: the keys in memory are good.
    fn look(&self) {
        let known = self.0.held.read().unwrap_or_else(PoisonError::into_inner).1;
        if Stamp::of(&self.0.path).is_ok_and(|stamp| stamp == known) {
            return;
        }
        match self.load() {
            Ok(()) => tracing::info!("the signing keys have changed"),
            Err(error) => tracing::warn!(%error, "the signing keys stay as they were read last"),
        }
    }

    /// Reads the file while nobody else does: what was read earlier never replaces what was read
    /// later, such as a key that an emergency took away.
    fn load(&self) -> Result<(), KeyError> {
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        let (set, stamp) = file::load(&self.0.path)?;
        *held = (Arc::new(set), stamp);
        Ok(())
    }

    async fn change(
        &self,
        change: impl FnOnce(&KeySet, OffsetDateTime) -> Result<KeySet, KeyError> + Send + 'static,
    ) -> Result<(), KeyError> {
        let keys = self.clone();
        let changing = tokio::task::spawn_blocking(move || {
            file::change(&keys.0.path, |set| change(set, OffsetDateTime::now_utc()))?;
            keys.load()
        });
        let changed = changing.await;
        changed.unwrap_or_else(|error| Err(KeyError::Signing(error.to_string())))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keys").field(&self.set()).finish()
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::RotationPending => {
                let text = "There is a next key already; it has to sign before another one comes.";
                Self::conflict("rotation_pending", text)
            }
            KeyError::RotationRunning => {
                let text = "The keys are being changed at this moment.";
                Self::conflict("rotation_running", text)
            }
            KeyError::UnknownKey => {
                Self::not_found("unknown_key", "There is no such key.").field("kid")
            }
            KeyError::File { .. } | KeyError::Content { .. } | KeyError::Signing(_) => {
                Self::internal(&error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
