mod memory;
mod servers;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, Event, Message,
    connection::State,
    jetstream::{
        self,
        context::PublishAckFuture,
        stream::{Compression, Config, DiscardPolicy},
    },
};
use async_trait::async_trait;
use contracts::Recorded;
use futures::{StreamExt, stream};
use tokio::sync::Mutex;

pub use self::servers::reach;
use crate::{
    Bus, BusError, BusStatus, Delivery, Memory, Subscription,
    message::{decode, encode},
    remembering::MAX_IN_FLIGHT,
};

/// How long a confirmation may take; a leader's election in a cluster takes longer, and is then
/// met by the publisher's own repeats.
const ACK_TIMEOUT: Duration = Duration::from_secs(3);

/// How the bus behaves, and how its JetStream stream is made when it is missing. A stream that is there keeps its settings.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// The stream's name.
    pub stream: String,
    /// Subjects are `{prefix}.{event type}`.
    pub prefix: String,
    /// How long the server knows a message's id again.
    pub dedup_window: Duration,
    /// How long messages are kept for readers that were away.
    pub max_age: Duration,
    /// Disk the stream may use; the oldest messages go first.
    pub max_bytes: i64,
    /// Copies in a cluster; 3 in production.
    pub replicas: usize,
    /// Messages a subscription holds for a slow reader; what comes beyond is dropped by the client
    /// and read from the log.
    pub subscription_capacity: usize,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            stream: "BANYAN_EVENTS".to_owned(),
            prefix: "banyan.events".to_owned(),
            dedup_window: Duration::from_secs(120),
            max_age: Duration::from_secs(24 * 60 * 60),
            max_bytes: 256 * 1024 * 1024,
            replicas: 1,
            subscription_capacity: 16_384,
        }
    }
}

/// NATS JetStream, server 2.9 or newer.
///
/// Publishing goes through JetStream, for readers that were away. Our own subscriptions are plain
/// core ones on the same subjects: whoever misses something reads the log anyway, so a consumer
/// kept by the server would only be state that can be lost, and latency.
///
/// Publishes are pipelined. When one of them fails and is repeated, the stream can hold an event
/// behind its successors: whoever reads the stream itself orders by `Banyan-Position`.
#[derive(Clone)]
pub struct NatsBus {
    client: Client,
    jetstream: jetstream::Context,
    options: Arc<NatsOptions>,
    /// Whether the stream was seen since the last connect: a server that lost its disk was away.
    stream_seen: Arc<AtomicBool>,
    /// Times that the client dropped messages for a slow reader.
    overruns: Arc<AtomicU64>,
    /// One creation at a time.
    creation: Arc<Mutex<()>>,
}

impl NatsBus {
    /// The bus's name, under which its publisher's cursor is kept.
    pub const NAME: &'static str = "nats";

    /// Finds what [`NatsBus::connect`] would refuse about its addresses, without connecting.
    ///
    /// # Errors
    /// [`BusError::Configuration`]; its text holds no password.
    pub fn check(url: &str) -> Result<(), BusError> {
        servers::check(url)
    }

    /// Connects in the background, and again for ever; `url` is one `nats://host:port` or several
    /// with commas, the preferred one first; `nats://user:password@host:port` where the server asks
    /// for them, the same for all; `tls://` with the same, and with
    /// `?cacertfile=…&certfile=…&keyfile=…` where files say whom to believe and who we are. Each process takes the first that answers, so that servers that
    /// know nothing of each other serve as backups. Whoever is connected stays: after the first
    /// server returned, processes can be on either, until the backup goes. Who then hears nothing
    /// reads the log.
    ///
    /// # Errors
    /// [`BusError::Configuration`] when the URL is unusable. A server that does not answer yet is
    /// no error.
    pub async fn connect(url: &str, options: NatsOptions) -> Result<Self, BusError> {
        let stream_seen = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stream_seen);
        let overruns = Arc::new(AtomicU64::new(0));
        let overrun = Arc::clone(&overruns);
        let (servers, options_with_login) = reach(url)?;
        let client = options_with_login
            .name("banyan")
            .subscription_capacity(options.subscription_capacity)
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::Connected) {
                    seen.store(false, Ordering::Release);
                }
                if matches!(event, Event::SlowConsumer(_)) {
                    overrun.fetch_add(1, Ordering::Relaxed);
                }
                async move { tracing::info!(%event, "nats connection") }
            })
            .connect(servers)
            .await
            .map_err(|error| BusError::Configuration(format!("cannot use NATS: {error}")))?;
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(ACK_TIMEOUT)
            .ack_timeout(ACK_TIMEOUT)
            .max_ack_inflight(2 * MAX_IN_FLIGHT)
            .build(client.clone());
        Ok(Self {
            client,
            jetstream,
            options: Arc::new(options),
            stream_seen,
            overruns,
            creation: Arc::default(),
        })
    }

    /// Creates the stream unless it was seen since the last connect.
    async fn ensure_stream(&self) -> Result<(), BusError> {
        if self.stream_seen.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one_at_a_time = self.creation.lock().await;
        if self.client.connection_state() != State::Connected {
            return Err(BusError::Unavailable("not connected".to_owned()));
        }
        // Before the look, so that a disconnect during it is not forgotten.
        self.stream_seen.store(true, Ordering::Release);
        let created = self
            .jetstream
            .get_or_create_stream(self.stream_config())
            .await;
        created.map(|_| ()).map_err(|error| {
            self.stream_seen.store(false, Ordering::Release);
            BusError::Unavailable(format!("stream {}: {error}", self.options.stream))
        })
    }

    fn stream_config(&self) -> Config {
        let options = &self.options;
        Config {
            name: options.stream.clone(),
            subjects: vec![format!("{}.>", options.prefix)],
            description: Some("Banyan's events, as far as the bus remembers them".to_owned()),
            duplicate_window: options.dedup_window,
            max_age: options.max_age,
            max_bytes: options.max_bytes,
            discard: DiscardPolicy::Old,
            num_replicas: options.replicas,
            // Older servers do not know compression.
            compression: self
                .client
                .is_server_compatible(2, 10, 0)
                .then_some(Compression::S2),
            ..Config::default()
        }
    }

    async fn confirmed(&self, ack: PublishAckFuture) -> Result<(), BusError> {
        match ack.await {
            Ok(ack) if ack.stream == self.options.stream => Ok(()),
            Ok(ack) => Err(BusError::Refused(format!(
                "stream {} captures the subjects of {}",
                ack.stream, self.options.stream
            ))),
            Err(error) => {
                // A stream that was deleted does not answer: look for it before the next try.
                self.stream_seen.store(false, Ordering::Release);
                Err(BusError::Unavailable(error.to_string()))
            }
        }
    }
}

fn delivery(message: &Message) -> Delivery {
    match decode(&message.payload) {
        Ok(event) => Delivery::Event(Arc::new(event)),
        Err(error) => {
            tracing::warn!(subject = %message.subject, %error, "foreign message on the bus");
            Delivery::Gap
        }
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, events: &[Recorded]) -> Result<(), BusError> {
        self.ensure_stream().await?;
        let mut in_flight = VecDeque::with_capacity(MAX_IN_FLIGHT);
        for event in events {
            if in_flight.len() == MAX_IN_FLIGHT
                && let Some(ack) = in_flight.pop_front()
            {
                self.confirmed(ack).await?;
            }
            let (subject, headers, body) = encode(&self.options.prefix, event)?;
            let ack = self
                .jetstream
                .publish_with_headers(subject, headers, body.into())
                .await
                .map_err(|error| BusError::Unavailable(error.to_string()))?;
            in_flight.push_back(ack);
        }
        for ack in in_flight {
            self.confirmed(ack).await?;
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Subscription, BusError> {
        let subject = format!("{}.>", self.options.prefix);
        let messages = self
            .client
            .subscribe(subject)
            .await
            .map_err(|error| BusError::Unavailable(error.to_string()))?;
        let overruns = Arc::clone(&self.overruns);
        let mut told = overruns.load(Ordering::Relaxed);
        let deliveries = messages.flat_map(move |message| {
            let now = overruns.load(Ordering::Relaxed);
            // Some subscription of this connection was too slow; it may have been this one.
            let lost = (std::mem::replace(&mut told, now) != now).then_some(Delivery::Gap);
            stream::iter(lost.into_iter().chain([delivery(&message)]))
        });
        Ok(Subscription::new(deliveries.boxed()))
    }

    async fn newest(&self) -> Result<Option<Recorded>, BusError> {
        self.newest_stored().await
    }

    async fn remembered(&self, after: i64, until: i64) -> Result<Vec<Recorded>, BusError> {
        self.stored_between(after, until).await
    }

    async fn forget(&self) -> Result<(), BusError> {
        self.forget_stored().await
    }

    fn status(&self) -> BusStatus {
        let statistics = self.client.statistics();
        BusStatus {
            connected: self.client.connection_state() == State::Connected,
            connects: statistics.connects.load(Ordering::Relaxed),
            sent_messages: statistics.out_messages.load(Ordering::Relaxed),
            sent_bytes: statistics.out_bytes.load(Ordering::Relaxed),
            received_messages: statistics.in_messages.load(Ordering::Relaxed),
            received_bytes: statistics.in_bytes.load(Ordering::Relaxed),
            overruns: self.overruns.load(Ordering::Relaxed),
        }
    }

    fn memory(&self) -> Memory {
        Memory::Durable
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }
}
