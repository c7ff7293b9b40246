//! Counts in a key-value bucket of NATS JetStream.
//!
//! A key holds when the next request would be due. Who counts one replaces the value only if nobody
//! else did since it was read; whoever lost reads again. A gateway's own requests of one key stand in
//! line instead, so that only gateways meet there.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::jetstream::kv::{Config, CreateErrorKind, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::{self, stream::StorageType};
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify};

use super::{Limiter, Unavailable};
use crate::config::Secret;
use crate::limits::Verdict;
use crate::limits::pace::Pace;

/// The bucket of all gateways.
const BUCKET: &str = "banyan_limits";
/// No limit looks back for longer than a day; what is older is nobody's any more.
const MAX_AGE: Duration = Duration::from_secs(25 * 60 * 60);
/// Half a million keys. Beyond, new ones are refused, and gateways count those by themselves.
const MAX_BYTES: i64 = 64 * 1024 * 1024;
/// A key that this many gateways change at the same time is counted by each of them alone.
const TRIES: usize = 5;
/// How often the bucket is asked for until it is there.
const PAUSE: Duration = Duration::from_secs(1);
/// In how many lines a gateway's own requests stand.
const LINES: usize = 256;

/// The counts behind one URL.
#[derive(Debug)]
pub(super) struct NatsCounts {
    store: Arc<OnceLock<Store>>,
    /// Somebody could not use the bucket: it may be gone, since it is in the servers' memory.
    failed: Arc<Notify>,
    lines: Vec<Mutex<()>>,
}

impl NatsCounts {
    /// Connects in the background; until then there are no counts.
    pub(super) fn connect(url: Secret, background: &Handle) -> Self {
        let counts = Self {
            store: Arc::default(),
            failed: Arc::default(),
            lines: (0..LINES).map(|_| Mutex::default()).collect(),
        };
        let (store, failed) = (Arc::clone(&counts.store), Arc::clone(&counts.failed));
        background.spawn(async move {
            if let Err(error) = keep(&url, &store, &failed).await {
                // The configuration was checked, so this is not about the URL.
                tracing::error!(%error, "limits are counted by this gateway alone");
            }
        });
        counts
    }

    fn line(&self, key: &str) -> &Mutex<()> {
        let sum: usize = key.bytes().take(8).map(usize::from).sum();
        &self.lines[sum % LINES]
    }

    async fn count(&self, key: &str, pace: Pace, now: Duration) -> Result<Verdict, Failure> {
        let store = self.store.get().ok_or("no connection yet")?;
        let _in_line = self.line(key).lock().await;
        for _ in 0..TRIES {
            let entry = store.entry(key).await?;
            let entry = entry.filter(|entry| entry.operation == Operation::Put);
            let due = entry.as_ref().and_then(|entry| decode(&entry.value));
            let (verdict, next) = pace.judge(due, now);
            let Some(next) = next else {
                return Ok(verdict);
            };
            let value = encode(next);
            let is_written = match entry {
                Some(entry) => match store.update(key, value, entry.revision).await {
                    Ok(_) => true,
                    Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => false,
                    Err(error) => return Err(error.into()),
                },
                None => match store.create(key, value).await {
                    Ok(_) => true,
                    Err(error) if error.kind() == CreateErrorKind::AlreadyExists => false,
                    Err(error) => return Err(error.into()),
                },
            };
            if is_written {
                return Ok(verdict);
            }
        }
        Err("too many gateways count the same key at once".into())
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Sees to it that the bucket is there, now and whenever somebody could not use it.
async fn keep(url: &Secret, store: &OnceLock<Store>, failed: &Notify) -> Result<(), Failure> {
    let (servers, options) = bus::reach(url.expose())?;
    let client = options.name("banyan-gateway").connect(servers).await?;
    let jetstream = jetstream::new(client);
    loop {
        match bucket(&jetstream).await {
            Ok(opened) => {
                // It is known by its name: the first one is as good as any later one.
                let _ = store.set(opened);
                failed.notified().await;
            }
            Err(error) => {
                tracing::debug!(%error, "the limits' bucket is not there yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The bucket; one that an operator made, with replicas, is taken as it is.
async fn bucket(jetstream: &jetstream::Context) -> Result<Store, Failure> {
    if let Ok(store) = jetstream.get_key_value(BUCKET).await {
        return Ok(store);
    }
    let config = Config {
        bucket: BUCKET.to_owned(),
        description: "The counts of the gateways' rate limits".to_owned(),
        history: 1,
        max_age: MAX_AGE,
        max_bytes: MAX_BYTES,
        storage: StorageType::Memory,
        ..Config::default()
    };
    Ok(jetstream.create_key_value(config).await?)
}

#[async_trait]
impl Limiter for NatsCounts {
    async fn check(&self, key: &str, pace: Pace, now: Duration) -> Result<Verdict, Unavailable> {
        self.count(key, pace, now).await.map_err(|error| {
            self.failed.notify_one();
            Unavailable(error.to_string())
        })
    }
}

fn encode(due: Duration) -> bytes::Bytes {
    let nanoseconds = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
    nanoseconds.to_be_bytes().to_vec().into()
}

/// What is no time was not written by us: the key begins anew.
fn decode(value: &[u8]) -> Option<Duration> {
    let nanoseconds = u64::from_be_bytes(value.try_into().ok()?);
    Some(Duration::from_nanos(nanoseconds))
}
