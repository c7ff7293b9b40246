//! Counts in a key-value bucket of NATS JetStream.
//!
//! A key holds when the next request would be due. Who counts one replaces the value only if nobody
//! else did since it was read; whoever lost reads again. A gateway's own requests of one key stand in
//! line instead, so that only gateways meet there.
//!
//! Invariant: only a store that cannot be reached, or answers too slowly, is [`Unavailable::All`]. A
//! line, a key that several gateways change, and a bucket that is full are one key's trouble.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::jetstream::kv::{Config, CreateErrorKind, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::{self, ErrorCode, stream::StorageType};
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify};

use super::{Limiter, Unavailable};
use crate::config::Secret;
use crate::limits::Verdict;
use crate::limits::pace::Pace;

/// The bucket of all gateways.
const BUCKET: &str = "banyan_limits";
/// By this it is known that a gateway made the bucket.
const DESCRIPTION: &str = "The counts of the gateways' rate limits";
/// What is older than the longest time in which a burst comes back is nobody's any more; this much
/// longer it is kept, since clocks differ, and a minute at least.
const KEPT_TIMES: u32 = 2;
const MIN_AGE: Duration = Duration::from_secs(60);
/// Half a million keys. Beyond, new ones are refused, and gateways count those by themselves.
const MAX_BYTES: i64 = 64 * 1024 * 1024;
/// A key that this many gateways change at the same time is counted by each of them alone.
const TRIES: usize = 5;
/// How long a request stands in line, and how long it tries again: both leave the store enough of the
/// time that there is to show whether it answers.
const LINE_PATIENCE: Duration = Duration::from_millis(15);
/// How often the bucket is asked for until it is there.
const PAUSE: Duration = Duration::from_secs(1);
/// In how many lines a gateway's own requests stand.
const LINES: usize = 256;

/// The counts behind one URL.
#[derive(Debug)]
pub(super) struct NatsCounts {
    store: Arc<OnceLock<Store>>,
    /// Somebody could not use the bucket: it may be gone, since it is in the servers' memory. Or it is to
    /// remember for longer.
    failed: Arc<Notify>,
    /// The longest time in which a burst comes back, in milliseconds.
    refill: Arc<AtomicU64>,
    lines: Vec<Mutex<()>>,
}

impl NatsCounts {
    /// Connects in the background; until then there are no counts.
    pub(super) fn connect(url: Secret, background: &Handle) -> Self {
        let counts = Self {
            store: Arc::default(),
            failed: Arc::default(),
            refill: Arc::default(),
            lines: (0..LINES).map(|_| Mutex::default()).collect(),
        };
        let (store, failed) = (Arc::clone(&counts.store), Arc::clone(&counts.failed));
        let refill = Arc::clone(&counts.refill);
        background.spawn(async move {
            if let Err(error) = keep(&url, &store, &failed, &refill).await {
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
        let in_line = tokio::time::timeout(LINE_PATIENCE, self.line(key).lock()).await;
        let _in_line = in_line.map_err(|_| Unavailable::Key("many requests stand in its line"))?;
        if let Some(verdict) = once(store, key, pace, now).await? {
            return Ok(verdict);
        }
        // The store answers; what is slow from here on is that others change the key, too.
        let again = async {
            for _ in 1..TRIES {
                if let Some(verdict) = once(store, key, pace, now).await? {
                    return Ok(verdict);
                }
            }
            Err(Failure::from(CONTENDED))
        };
        let again = tokio::time::timeout(LINE_PATIENCE, again).await;
        again.unwrap_or_else(|_| Err(CONTENDED.into()))
    }
}

const CONTENDED: Unavailable = Unavailable::Key("too many gateways count it at once");

/// Counts once; nothing where somebody else changed the key meanwhile.
async fn once(
    store: &Store,
    key: &str,
    pace: Pace,
    now: Duration,
) -> Result<Option<Verdict>, Failure> {
    let entry = store.entry(key).await?;
    let entry = entry.filter(|entry| entry.operation == Operation::Put);
    let due = entry.as_ref().and_then(|entry| decode(&entry.value));
    let (verdict, next) = pace.judge(due, now);
    let Some(next) = next else {
        return Ok(Some(verdict));
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
    Ok(is_written.then_some(verdict))
}

/// What a failure means for the other keys.
fn judged(failure: Failure) -> Unavailable {
    let failure = match failure.downcast::<Unavailable>() {
        Ok(unavailable) => return *unavailable,
        Err(failure) => failure,
    };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*failure);
    while let Some(error) = cause {
        let said = error.downcast_ref::<jetstream::Error>();
        if said.is_some_and(|said| said.error_code() == ErrorCode::STREAM_STORE_FAILED) {
            return Unavailable::Key("the bucket is full");
        }
        cause = error.source();
    }
    Unavailable::All(failure.to_string())
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Sees to it that the bucket is there as it has to be, now and whenever somebody could not use it.
async fn keep(
    url: &Secret,
    store: &OnceLock<Store>,
    failed: &Notify,
    refill: &AtomicU64,
) -> Result<(), Failure> {
    let (servers, options) = bus::reach(url.expose())?;
    let client = options.name("banyan-gateway").connect(servers).await?;
    let jetstream = jetstream::new(client);
    loop {
        let refill = Duration::from_millis(refill.load(Ordering::Relaxed));
        match bucket(&jetstream, (refill * KEPT_TIMES).max(MIN_AGE)).await {
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

/// The bucket, which keeps what is not older than `max_age`; one that an operator made, with replicas, is
/// taken as it is.
async fn bucket(jetstream: &jetstream::Context, max_age: Duration) -> Result<Store, Failure> {
    let config = Config {
        bucket: BUCKET.to_owned(),
        description: DESCRIPTION.to_owned(),
        history: 1,
        max_age,
        max_bytes: MAX_BYTES,
        storage: StorageType::Memory,
        ..Config::default()
    };
    let Ok(store) = jetstream.get_key_value(BUCKET).await else {
        return Ok(jetstream.create_key_value(config).await?);
    };
    let made = &store.stream.cached_info().config;
    // Others may look back for longer than this gateway does: it is only ever raised.
    if made.description.as_deref() == Some(DESCRIPTION) && made.max_age < max_age {
        return Ok(jetstream.update_key_value(config).await?);
    }
    Ok(store)
}

#[async_trait]
impl Limiter for NatsCounts {
    async fn check(&self, key: &str, pace: Pace, now: Duration) -> Result<Verdict, Unavailable> {
        self.count(key, pace, now).await.map_err(|failure| {
            let unavailable = judged(failure);
            if matches!(unavailable, Unavailable::All(_)) {
                self.failed.notify_one();
            }
            unavailable
        })
    }

    fn remembers_for(&self, refill: Duration) {
        let refill = u64::try_from(refill.as_millis()).unwrap_or(u64::MAX);
        if self.refill.fetch_max(refill, Ordering::Relaxed) < refill {
            self.failed.notify_one();
        }
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
