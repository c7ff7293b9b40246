//! An issuer's public key set, fetched over HTTP and kept.
//!
//! Invariant: keys that were once seen stay usable while the endpoint is down; a client that makes
//! up key ids cannot cause more than one fetch per [`MIN_BETWEEN`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::Jwk;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::TokenError;
use super::keys::Key;

/// Between two fetches that unknown key ids cause.
const MIN_BETWEEN: Duration = Duration::from_secs(5);
/// The same while no key is known at all, as when the issuer starts together with the gateway.
const MIN_BETWEEN_WITHOUT_KEYS: Duration = Duration::from_millis(500);
/// After this long a use makes the set be fetched again, so that a key that its issuer dropped is
/// dropped here too.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// A request waits this long for a fetch at most.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// No honest key set is larger.
const MAX_SET: usize = 256 * 1024;

/// A key set behind a URL.
#[derive(Debug)]
pub(super) struct Jwks {
    url: String,
    client: reqwest::Client,
    background: Handle,
    keys: ArcSwap<Vec<Key>>,
    fetched: Mutex<Fetched>,
    /// When the set was last fetched, for the look that takes no lock.
    age: ArcSwap<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Fetched {
    last_try: Option<Instant>,
}

#[derive(serde::Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl Jwks {
    pub(super) fn new(url: &str, background: Handle) -> Arc<Self> {
        let client = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap_or_default();
        let jwks = Arc::new(Self {
            url: url.to_owned(),
            client,
            background,
            keys: ArcSwap::default(),
            fetched: Mutex::default(),
            age: ArcSwap::from_pointee(None),
        });
        // The first request should not have to wait for it, nor for an issuer that starts later.
        let first = Arc::downgrade(&jwks);
        jwks.background.spawn(async move {
            let mut pause = MIN_BETWEEN_WITHOUT_KEYS;
            while let Some(jwks) = first.upgrade() {
                jwks.refresh(|keys| !keys.is_empty()).await;
                if !jwks.keys.load().is_empty() {
                    return;
                }
                drop(jwks);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MIN_BETWEEN);
            }
        });
        jwks
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The keys, fetched again first when none of them has this id.
    pub(super) async fn keys_for(
        self: &Arc<Self>,
        id: Option<&str>,
    ) -> Result<Arc<Vec<Key>>, TokenError> {
        let keys = self.keys.load_full();
        if keys.iter().any(|key| key.is_named(id)) {
            if self.age.load().is_none_or(|at| at.elapsed() > MAX_AGE) {
                self.refresh_in_background();
            }
            return Ok(keys);
        }
        // The fetch belongs to the background runtime: whoever waits here may go away.
        let this = Arc::clone(self);
        let unknown = id.map(str::to_owned);
        let fetch = self.background.spawn(async move {
            this.refresh(|keys| keys.iter().any(|key| key.is_named(unknown.as_deref())))
                .await;
        });
        if let Err(error) = fetch.await {
            tracing::error!(%error, url = self.url, "fetching the key set broke off");
        }
        let keys = self.keys.load_full();
        if keys.is_empty() {
            return Err(TokenError::KeysUnavailable);
        }
        Ok(keys)
    }

    fn refresh_in_background(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.background
            .spawn(async move { this.refresh(|_| false).await });
    }

    /// Fetches, unless somebody just tried or has made `is_enough` true meanwhile.
    async fn refresh(&self, is_enough: impl Fn(&[Key]) -> bool) {
        let mut fetched = self.fetched.lock().await;
        let keys = self.keys.load_full();
        let pause = if keys.is_empty() {
            MIN_BETWEEN_WITHOUT_KEYS
        } else {
            MIN_BETWEEN
        };
        let just_tried = fetched.last_try.is_some_and(|at| at.elapsed() < pause);
        if just_tried || is_enough(&keys) {
            return;
        }
        fetched.last_try = Some(Instant::now());
        match self.fetch().await {
            Ok(keys) => {
                self.keys.store(Arc::new(keys));
                self.age.store(Arc::new(Some(Instant::now())));
            }
            Err(error) => {
                tracing::warn!(%error, url = self.url, "the key set cannot be fetched");
            }
        }
    }

    async fn fetch(&self) -> anyhow::Result<Vec<Key>> {
        let mut response = self
            .client
            .get(&self.url)
            .send()
            .await?
            .error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            anyhow::ensure!(
                body.len() + chunk.len() <= MAX_SET,
                "the key set is too large"
            );
            body.extend_from_slice(&chunk);
        }
        let set: KeySet = serde_json::from_slice(&body)?;
        // A key of a kind that is not known here must not take the others with it.
        let keys: Vec<Key> = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
            .filter_map(|key| Key::of_set(&key))
            .collect();
        anyhow::ensure!(!keys.is_empty(), "the key set holds no usable key");
        Ok(keys)
    }
}
