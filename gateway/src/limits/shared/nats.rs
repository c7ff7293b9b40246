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
use tokio::sync::Mutex;

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
    lines: Vec<Mutex<()>>,
}

impl NatsCounts {
    /// Connects in the background; until then there are no counts.
    pub(super) fn connect(url: Secret, background: &Handle) -> Self {
        let store = Arc::new(OnceLock::new());
        let found = Arc::clone(&store);
        background.spawn(async move {
            match open(&url).await {
                Ok(opened) => {
                    let _ = found.set(opened);
                }
                // The configuration was checked, so this is not about the URL.
                Err(error) => tracing::error!(error, "limits are counted by this gateway alone"),
            }
        });
        Self {
            store,
            lines: (0..LINES).map(|_| Mutex::default()).collect(),
        }
    }

    fn line(&self, key: &str) -> &Mutex<()> {
        let sum: usize = key.bytes().take(8).map(usize::from).sum();
        &self.lines[sum % LINES]
    }
}

async fn open(url: &Secret) -> Result<Store, String> {
    let (servers, options) = bus::reach(url.expose()).map_err(|error| error.to_string())?;
    let client = options.name("banyan-gateway").connect(servers).await;
    let client = client.map_err(|error| error.to_string())?;
    let jetstream = jetstream::new(client);
    loop {
        let config = Config {
            bucket: BUCKET.to_owned(),
            description: "The counts of the gateways' rate limits".to_owned(),
            history: 1,
            max_age: MAX_AGE,
            max_bytes: MAX_BYTES,
            storage: StorageType::Memory,
            ..Config::default()
        };
        // One that an operator made, with replicas, is taken as it is.
        let opened = match jetstream.get_key_value(BUCKET).await {
            Ok(store) => Ok(store),
            Err(_) => jetstream.create_key_value(config).await,
        };
        match opened {
            Ok(store) => return Ok(store),
            Err(error) => tracing::debug!(%error, "the limits' bucket is not there yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[async_trait]
impl Limiter for NatsCounts {
    async fn check(&self, key: &str, pace: Pace, now: Duration) -> Result<Verdict, Unavailable> {
        let unavailable = |error: &dyn std::fmt::Display| Unavailable(error.to_string());
        let store = self.store.get();
        let store = store.ok_or_else(|| unavailable(&"no connection yet"))?;
        let _in_line = self.line(key).lock().await;
        for _ in 0..TRIES {
            let entry = store
                .entry(key)
                .await
                .map_err(|error| unavailable(&error))?;
            let entry = entry.filter(|entry| entry.operation == Operation::Put);
            let due = entry.as_ref().and_then(|entry| decode(&entry.value));
            let (verdict, Some(next)) = pace.judge(due, now) else {
                return Ok(pace.judge(due, now).0);
            };
            let value = encode(next);
            let is_written = match entry {
                Some(entry) => match store.update(key, value, entry.revision).await {
                    Ok(_) => true,
                    Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => false,
                    Err(error) => return Err(unavailable(&error)),
                },
                None => match store.create(key, value).await {
                    Ok(_) => true,
                    Err(error) if error.kind() == CreateErrorKind::AlreadyExists => false,
                    Err(error) => return Err(unavailable(&error)),
                },
            };
            if is_written {
                return Ok(verdict);
            }
        }
        Err(unavailable(&"too many gateways count the same key at once"))
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
