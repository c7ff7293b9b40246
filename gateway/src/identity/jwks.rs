//! An issuer's public key set, fetched over HTTP and kept.
//!
//! Invariant: keys that were once seen stay usable while the endpoint is down; a client that makes
//! up key ids cannot cause more than one fetch per [`MIN_BETWEEN`]. One fetch at a time is under way,
//! and all who need its keys wait for that one: an endpoint that hangs holds nobody for longer than
//! [`FETCH_TIMEOUT`], and no request leaves a task of its own behind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::TokenError;
use super::keys::Key;
use super::transport::Transport;

/// From the end of a fetch to the next that unknown key ids cause.
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
    /// Whoever holds its other end fetches now.
    under_way: Option<watch::Receiver<()>>,
    /// When the last fetch ended, well or badly.
    ended: Option<Instant>,
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
        });
        // The first request should not have to wait for it, nor for an issuer that starts later.
        let first = Arc::downgrade(&jwks);
        jwks.background.spawn(async move {
            let mut pause = MIN_BETWEEN_WITHOUT_KEYS;
            while let Some(jwks) = first.upgrade() {
                jwks.refresh().await;
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
            self.begin();
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
        self.refresh().await;
        let keys = self.keys.load_full();
        if keys.is_empty() {
            return Err(TokenError::KeysUnavailable);
        }
        Ok(keys)
    }

    /// Waits for a fetch, unless one has just ended.
    async fn refresh(self: &Arc<Self>) {
        if let Some(mut under_way) = self.begin() {
            // Nothing is ever sent: it is over when the other end is gone, however that came.
            let _ = under_way.changed().await;
        }
    }

    /// The fetch that is under way, begun now if need be; none where one has just ended.
    fn begin(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let mut fetched = self.fetched();
        if let Some(under_way) = &fetched.under_way {
            return Some(under_way.clone());
        }
        let pause = if self.keys.load().is_empty() {
            MIN_BETWEEN_WITHOUT_KEYS
        } else {
            self.pause()
        };
        if fetched.ended.is_some_and(|at| at.elapsed() < pause) {
            return None;
        }
        let (ends, under_way) = watch::channel(());
        fetched.under_way = Some(under_way.clone());
        drop(fetched);
        // Whoever uses the keys meanwhile need not look here.
        self.due_after(FETCH_TIMEOUT + self.pause());
        let fetching = Fetching {
            jwks: Arc::clone(self),
            _ends: ends,
        };
        // It belongs to the background: whoever waits for it may go away.
        self.background
            .spawn(async move { fetching.jwks.replace().await });
        Some(under_way)
    }

    /// Puts what the endpoint says now in force.
    async fn replace(&self) {
        match self.fetch().await {
            Ok((text, keys)) => {
                // The same set stays the same: tokens that it verified still count.
                if self.fetched().text != text {
                    self.fetched().text = text;
                    self.keys.store(Arc::new(keys));
                }
                self.due_after(self.source.refresh);
            }
            Err(error) => {
                // The last good set stays; it is tried again soon, and not by every request.
                self.due_after(self.pause());
                tracing::warn!(%error, url = self.source.url, "the key set cannot be fetched");
            }
        }
    }

    fn due_after(&self, time: Duration) {
        self.due.store(Arc::new(Some(Instant::now() + time)));
    }

    fn fetched(&self) -> MutexGuard<'_, Fetched> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A fetch under way; when it is dropped, however it ended, those who wait go on.
struct Fetching {
    jwks: Arc<Jwks>,
    /// Dropped after the end is written down, since fields are dropped last.
    _ends: watch::Sender<()>,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        let mut fetched = self.jwks.fetched();
        fetched.under_way = None;
        fetched.ended = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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
        jwks.refresh().await;
        assert!(Arc::ptr_eq(&first, &jwks.keys.load_full()));
        said.store(Arc::new(SET.replace("KID", "other")));
        jwks.refresh().await;
        assert!(!Arc::ptr_eq(&first, &jwks.keys.load_full()));
    }

    #[tokio::test]
    async fn all_who_wait_for_an_endpoint_that_hangs_wait_for_one_fetch() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = Source {
            url: format!("http://{}/", listener.local_addr().unwrap()),
            ca: None,
            algorithm: None,
            refresh: Duration::from_secs(300),
        };
        let asks = Arc::new(AtomicUsize::new(0));
        let asked = Arc::clone(&asks);
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((client, _)) = listener.accept().await {
                asked.fetch_add(1, Ordering::Relaxed);
                held.push(client);
            }
        });
        let jwks = Jwks::new(source, Handle::current());
        let alive = Handle::current().metrics();
        let waiting = futures::future::join_all((0..100).map(|_| jwks.keys_for(Some("KID"))));
        let watched = async {
            while asks.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            // The server, the first fetch's loop, the fetch and its connection: none per request.
            assert!(alive.num_alive_tasks() < 10, "{}", alive.num_alive_tasks());
        };
        let both = futures::future::join(waiting, watched);
        let (answers, ()) = tokio::time::timeout(FETCH_TIMEOUT * 10, both)
            .await
            .expect("one fetch's time, not a hundred's");
        let is_unavailable =
            |answer: &Result<_, _>| matches!(answer, Err(TokenError::KeysUnavailable));
        assert!(answers.iter().all(is_unavailable));
        assert_eq!(asks.load(Ordering::Relaxed), 1);
    }
}
