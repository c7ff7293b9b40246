//! Values that many clients watch over Server-Sent Events: read once for all of them.
//!
//! One task reads what somebody watches, when this process changed something and every second for
//! what other processes changed, at most twice a second. Each stream holds the latest value only: a
//! slow client skips, it is never queued for. An event's id derives from its value, so that any
//! replica can tell a client that comes back (`Last-Event-ID`) whether it missed anything.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use http::{HeaderName, HeaderValue, header, request::Parts};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until, timeout},
};

use crate::{Problem, Shutdown};

/// Between two reads of the same value: two events a second are as many as anybody can follow.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// How old a change of another process may get before it is seen.
const READ_EVERY: Duration = Duration::from_secs(1);

/// Between two signs of life: below the idle time-outs of proxies.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a new stream waits for its first value; the database's own wait is 5 s.
const FIRST_VALUE: Duration = Duration::from_secs(6);

/// A stream ends after this; its client comes back by itself and misses nothing. As long as an
/// access token is good.
const STREAM_MAX: Duration = Duration::from_secs(15 * 60);

/// The values under their keys, and whoever watches them. Clones share them.
pub struct Live<K, V> {
    inner: Arc<Inner<K, V>>,
}

struct Inner<K, V> {
    feeds: Vec<(K, watch::Sender<Seen<V>>)>,
    /// Somebody waits for a first value.
    wanted: Notify,
    streams: Arc<Semaphore>,
    shutdown: Shutdown,
}

enum Seen<V> {
    Nothing,
    Failed(Problem),
    Known(Arc<Snapshot<V>>),
}

/// A value as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<V> {
    /// Derives from the value.
    pub id: String,
    /// The value.
    pub value: V,
}

/// The id of the last event that a client saw, where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEventId(pub Option<String>);

/// A client's place among the streams, and what it sees.
pub struct Watching<V> {
    seen: watch::Receiver<Seen<V>>,
    last: Option<String>,
    shutdown: Shutdown,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

impl<K, V> Clone for Live<K, V> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K, V> Live<K, V>
where
    K: Copy + PartialEq + Send + Sync + 'static,
    V: Serialize + Send + Sync + 'static,
{
    /// Lets `max_streams` clients watch the values under `keys`.
    pub fn new(keys: Vec<K>, max_streams: usize, shutdown: Shutdown) -> Self {
        let feed = |key| (key, watch::Sender::new(Seen::Nothing));
        Self {
            inner: Arc::new(Inner {
                feeds: keys.into_iter().map(feed).collect(),
                wanted: Notify::new(),
                streams: Arc::new(Semaphore::new(max_streams.min(Semaphore::MAX_PERMITS))),
                shutdown,
            }),
        }
    }

    /// Reads what somebody watches, until the shutdown; `changed` rises when this process changed
    /// something.
    pub async fn run<F>(&self, mut changed: watch::Receiver<u64>, read: impl Fn(K) -> F)
    where
        F: Future<Output = Result<V, Problem>>,
    {
        let mut last = Instant::now();
        loop {
            let due = async {
                sleep_until(last + READ_PAUSE).await;
                tokio::select! {
                    Ok(()) = changed.changed() => {}
                    () = sleep_until(last + READ_EVERY) => {}
                }
            };
            let is_due = tokio::select! {
                () = self.inner.shutdown.cancelled() => return,
                () = self.inner.wanted.notified() => false,
                () = due => true,
            };
            if is_due {
                last = Instant::now();
            }
            for (key, feed) in &self.inner.feeds {
                if feed.receiver_count() == 0 {
                    // Nobody is shown later what was read now.
                    feed.send_replace(Seen::Nothing);
                } else if is_due || !matches!(*feed.borrow(), Seen::Known(_)) {
                    refresh(feed, read(*key).await);
                }
            }
        }
    }

    /// Watches the value under `key`, from its first reading on.
    ///
    /// # Errors
    /// 503 `too_many_streams`; or why the value cannot be read.
    pub async fn watch(&self, key: K, last: LastEventId) -> Result<Watching<V>, Problem> {
        let place = Arc::clone(&self.inner.streams)
            .try_acquire_owned()
            .map_err(|_| {
                let detail = "As many clients watch as this server can serve.";
                Problem::unavailable("too_many_streams", detail).retry_after(5)
            })?;
        let feed = self.inner.feeds.iter().find(|(known, _)| *known == key);
        let (_, feed) = feed.ok_or_else(|| Problem::internal(&"a value that nobody reads"))?;
        let mut seen = feed.subscribe();
        self.inner.wanted.notify_one();
        let first = timeout(
            FIRST_VALUE,
            seen.wait_for(|seen| !matches!(seen, Seen::Nothing)),
        );
        let failed = match first.await {
            Ok(Ok(seen)) => match &*seen {
                Seen::Failed(problem) => Some(problem.clone()),
                Seen::Nothing | Seen::Known(_) => None,
            },
            _ => Some(Problem::dependency("database", &"no first value in time")),
        };
        if let Some(problem) = failed {
            return Err(problem);
        }
        // What is there now is the first event.
        seen.mark_changed();
        Ok(Watching {
            seen,
            last: last.0,
            shutdown: self.inner.shutdown.clone(),
            until: Instant::now() + STREAM_MAX,
            _place: place,
        })
    }
}

impl<V: Send + Sync + 'static> Watching<V> {
    /// The stream as a response: events called `name`, whose data `body` makes of each value for
    /// this client. Where `body` fails the connection is cut, so that the client comes back.
    pub fn events<B, F, E>(
        self,
        name: &'static str,
        body: impl Fn(Arc<Snapshot<V>>) -> F + Send + 'static,
    ) -> Response
    where
        B: Serialize,
        F: Future<Output = Result<B, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let events = self.snapshots().then(move |snapshot| {
            let id = snapshot.id.clone();
            let body = body(snapshot);
            async move {
                let body = body.await.map_err(axum::Error::new)?;
                Event::default().event(name).id(id).json_data(body)
            }
        });
        let alive = KeepAlive::new().interval(HEARTBEAT).text("alive");
        let mut response = Sse::new(events).keep_alive(alive).into_response();
        let headers = response.headers_mut();
        let no_store = HeaderValue::from_static("no-store");
        headers.insert(header::CACHE_CONTROL, no_store);
        let unbuffered = HeaderName::from_static("x-accel-buffering");
        headers.insert(unbuffered, HeaderValue::from_static("no"));
        response
    }

    fn snapshots(self) -> impl Stream<Item = Arc<Snapshot<V>>> + Send {
        stream::unfold(self, |mut watching| async move {
            let snapshot = watching.next().await?;
            Some((snapshot, watching))
        })
    }

    /// The next value that this client has not seen; none at the end.
    async fn next(&mut self) -> Option<Arc<Snapshot<V>>> {
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return None,
                () = sleep_until(self.until) => return None,
                changed = self.seen.changed() => changed.ok()?,
            }
            let snapshot = match &*self.seen.borrow_and_update() {
                Seen::Known(snapshot) => Arc::clone(snapshot),
                Seen::Nothing | Seen::Failed(_) => continue,
            };
            if self.last.as_ref() != Some(&snapshot.id) {
                self.last = Some(snapshot.id.clone());
                return Some(snapshot);
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get("last-event-id");
        let text = header.and_then(|value| value.to_str().ok());
        Ok(Self(text.map(ToOwned::to_owned)))
    }
}

/// Shows what was read, if it is news. After a failure the last value stays: it is the best there
/// is, and clients that have it need nothing.
fn refresh<V: Serialize>(feed: &watch::Sender<Seen<V>>, read: Result<V, Problem>) {
    match read {
        Ok(value) => {
            let id = id(&value);
            feed.send_if_modified(|seen| {
                let is_news = !matches!(seen, Seen::Known(known) if known.id == id);
                if is_news {
                    *seen = Seen::Known(Arc::new(Snapshot { id, value }));
                }
                is_news
            });
        }
        Err(problem) => {
            feed.send_if_modified(|seen| {
                let is_first = !matches!(seen, Seen::Known(_));
                if is_first {
                    *seen = Seen::Failed(problem);
                }
                is_first
            });
        }
    }
}

fn id(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    let digest = Sha256::digest(json);
    let number: [u8; 8] = std::array::from_fn(|byte| digest[byte]);
    format!("{:016x}", u64::from_be_bytes(number))
}

#[cfg(test)]
mod tests;
