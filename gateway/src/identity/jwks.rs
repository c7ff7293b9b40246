//! An issuer's public key set, fetched over HTTP and kept.
//!
//! Invariant: keys that were once seen stay usable while the endpoint is down; a client that makes
//! up key ids cannot cause more than one fetch per [`MIN_BETWEEN`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::TokenError;
use super::keys::Key;
use super::transport::Transport;

/// Between two fetches that unknown key ids cause.
const MIN_BETWEEN: Duration = Duration::from_secs(5);
/// The same while no key is known at all, as when the issuer starts together with the gateway.
const MIN_BETWEEN_WITHOUT_KEYS: Duration = Duration::from_millis(500);
/// A request waits this long for a fetch at most.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// No honest key set is larger.
const MAX_SET: usize = 256 * 1024;

/// A key set behind a URL.
#[derive(Debug)]
pub(super) struct Jwks {
    source: Source,
    url: Uri,
    transport: Transport,
    background: Handle,
    keys: ArcSwap<Vec<Key>>,
    fetched: Mutex<Fetched>,
    /// When a use makes the set be fetched again, for the look that takes no lock.
    due: ArcSwap<Option<Instant>>,
    is_refreshing: AtomicBool,
}

/// Where a set comes from, and what is made of it: sets of one source are one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) url: String,
    /// The roots that an `https` URL is verified with, in PEM; else those of this machine.
    pub(super) ca: Option<String>,
    /// What RSA keys that name no algorithm are for.
    pub(super) algorithm: Option<Algorithm>,
    /// After this long a use makes the set be fetched again, so that a key that its issuer dropped
    /// is dropped here too.
    pub(super) refresh: Duration,
}

#[derive(Debug, Default)]
struct Fetched {
    last_try: Option<Instant>,
    /// The set in force as it came.
    text: Bytes,
}

#[derive(serde::Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl Jwks {
    pub(super) fn new(source: Source, background: Handle) -> Arc<Self> {
        // A URL was checked when it was configured; what is none cannot be fetched.
        let url = source.url.parse::<Uri>().unwrap_or_default();
        let jwks = Arc::new(Self {
            transport: Transport::new(&url, source.ca.as_deref()),
            url,
            source,
            background,
            keys: ArcSwap::default(),
            fetched: Mutex::default(),
            due: ArcSwap::from_pointee(None),
            is_refreshing: AtomicBool::new(false),
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

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The keys that count now. Using them is what makes an old set be fetched again.
    pub(super) fn in_force(self: &Arc<Self>) -> Arc<Vec<Key>> {
        let keys = self.keys.load_full();
        let is_due = |due: Instant| Instant::now() >= due;
        if !keys.is_empty() && self.due.load().is_none_or(is_due) {
            self.refresh_in_background();
        }
        keys
    }

    /// The keys, fetched again first when none of them has this id.
    pub(super) async fn keys_for(
        self: &Arc<Self>,
        id: Option<&str>,
    ) -> Result<Arc<Vec<Key>>, TokenError> {
        let keys = self.in_force();
        if keys.iter().any(|key| key.is_named(id)) {
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
            tracing::error!(%error, url = self.source.url, "fetching the key set broke off");
        }
        let keys = self.keys.load_full();
        if keys.is_empty() {
            return Err(TokenError::KeysUnavailable);
        }
        Ok(keys)
    }

    fn refresh_in_background(self: &Arc<Self>) {
        if self.is_refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Arc::clone(self);
        self.background.spawn(async move {
            this.refresh(|_| false).await;
            this.is_refreshing.store(false, Ordering::Release);
        });
    }

    /// Fetches, unless somebody just tried or has made `is_enough` true meanwhile.
    async fn refresh(&self, is_enough: impl Fn(&[Key]) -> bool) {
        let mut fetched = self.fetched.lock().await;
        let keys = self.keys.load_full();
        let pause = if keys.is_empty() {
            MIN_BETWEEN_WITHOUT_KEYS
        } else {
            self.pause()
        };
        let just_tried = fetched.last_try.is_some_and(|at| at.elapsed() < pause);
        if just_tried || is_enough(&keys) {
            return;
        }
        fetched.last_try = Some(Instant::now());
        match self.fetch().await {
            Ok((text, keys)) => {
                // The same set stays the same: tokens that it verified still count.
                if text != fetched.text {
                    fetched.text = text;
                    self.keys.store(Arc::new(keys));
                }
                let due = Instant::now() + self.source.refresh;
                self.due.store(Arc::new(Some(due)));
            }
            Err(error) => {
                // The last good set stays; it is tried again soon, and not by every request.
                let due = Instant::now() + self.pause();
                self.due.store(Arc::new(Some(due)));
                tracing::warn!(%error, url = self.source.url, "the key set cannot be fetched");
            }
        }
    }

    /// Between two fetches: who wants the set fetched more often than that gets it so.
    fn pause(&self) -> Duration {
        MIN_BETWEEN.min(self.source.refresh)
    }

    /// The set as it came, and its usable keys.
    async fn fetch(&self) -> anyhow::Result<(Bytes, Vec<Key>)> {
        let asked = self
            .transport
            .get(&self.url, HeaderMap::new(), FETCH_TIMEOUT, MAX_SET);
        let response = asked.await?;
        let status = response.status();
        anyhow::ensure!(status.is_success(), "it answers {status}");
        let set: KeySet = serde_json::from_slice(response.body())?;
        // A key of a kind that is not known here must not take the others with it.
        let keys: Vec<Key> = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
            .filter_map(|key| Key::of_set(&key, self.source.algorithm))
            .collect();
        anyhow::ensure!(!keys.is_empty(), "the key set holds no usable key");
        Ok((response.into_body(), keys))
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    const SET: &str = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "KID",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[tokio::test]
    async fn the_same_set_that_is_fetched_again_stays_the_one_that_verified() {
        let said = Arc::new(ArcSwap::from_pointee(SET.to_owned()));
        let tells = Arc::clone(&said);
        let router = Router::new().route("/", get(|| async move { String::clone(&tells.load()) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = Source {
            url: format!("http://{}/", listener.local_addr().unwrap()),
            ca: None,
            algorithm: None,
            refresh: Duration::ZERO,
        };
        tokio::spawn(async move { axum::serve(listener, router).await });
        let jwks = Jwks::new(source, Handle::current());
        let first = jwks.keys_for(Some("KID")).await.unwrap();
        jwks.refresh(|_| false).await;
        assert!(Arc::ptr_eq(&first, &jwks.keys.load_full()));
        said.store(Arc::new(SET.replace("KID", "other")));
        jwks.refresh(|_| false).await;
        assert!(!Arc::ptr_eq(&first, &jwks.keys.load_full()));
    }
}
