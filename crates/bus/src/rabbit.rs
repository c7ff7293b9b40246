//! RabbitMQ as the bus. Owns the names of what it declares, and publishes in order.

mod link;
mod listening;
mod memory;
mod server;
mod wire;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use contracts::Recorded;
use futures::{FutureExt, StreamExt};
use lapin::{
    BasicProperties, Channel, Confirmation, Consumer, ExchangeKind, PublisherConfirm,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::sync::Mutex;

use self::{
    link::{Link, unavailable},
    listening::add,
    memory::Memory as Remembered,
};
use crate::{
    Bus, BusError, BusStatus, Memory, Subscription,
    message::{attributes, body, header_value, token},
    remembering::MAX_IN_FLIGHT,
};

/// How long a confirmation may take.
const ACK_TIMEOUT: Duration = Duration::from_secs(3);
/// Disk is given back in pieces of this size: small beside what a stream may use.
const SEGMENT_BYTES: i64 = 16 * 1024 * 1024;
/// Messages of this delivery mode are kept over a restart.
pub(crate) const PERSISTENT: u8 = 2;

/// What is declared in RabbitMQ when it is missing. A stream that is there keeps its settings.
#[derive(Clone, Debug)]
pub struct RabbitOptions {
    /// The topic exchange that every event goes to, with its type as the routing key.
    pub exchange: String,
    /// The stream, bound to the exchange, for readers that were away.
    pub stream: String,
    /// How long messages are kept for them.
    pub max_age: Duration,
    /// Disk the stream may use; the oldest messages go first.
    pub max_bytes: i64,
    /// Messages that wait in the server for a slow subscriber; the oldest go first, and are read from
    /// the log.
    pub queue_length: u32,
}

impl Default for RabbitOptions {
    fn default() -> Self {
        Self {
            exchange: "banyan.events".to_owned(),
            stream: "banyan.events.stream".to_owned(),
            max_age: Duration::from_secs(24 * 60 * 60),
            max_bytes: 256 * 1024 * 1024,
            queue_length: 16_384,
        }
    }
}

/// RabbitMQ, server 3.9 or newer, which has streams.
///
/// Publishing goes to a topic exchange. A stream is bound to it, for readers that were away, for
/// [`Bus::newest`] and [`Bus::remembered`]; our own subscriptions have a bounded queue each on the
/// same exchange, which is faster than a stream is and leaves nothing behind: whoever misses
/// something reads the log anyway. The server does not know repeats.
pub struct RabbitBus {
    link: Arc<Link>,
    options: Arc<RabbitOptions>,
    counts: Arc<Counts>,
    /// One publisher at a time, so that order is kept; none until it is needed.
    publishing: Mutex<Option<Publishing>>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    received: AtomicU64,
    received_bytes: AtomicU64,
    overruns: AtomicU64,
}

struct Publishing {
    channel: Channel,
    /// Ends when somebody deletes the stream; it gets one message and no more.
    sentinel: Consumer,
}

impl RabbitBus {
    /// The bus's name, under which its publisher's cursor is kept.
    pub const NAME: &'static str = "rabbitmq";

    /// Finds what [`RabbitBus::connect`] would refuse about its addresses, without connecting.
    ///
    /// # Errors
    /// [`BusError::Configuration`]; its text holds no password.
    pub fn check(url: &str) -> Result<(), BusError> {
        server::servers(url).map(|_| ())
    }

    /// Connects in the background, and again for ever; `url` is one
    /// `amqp://user:password@host:port/vhost` or several with commas, the preferred one first; with
    /// `amqps://` over TLS, and the authority's certificate in the file of `?cacertfile=PATH`.
    ///
    /// # Errors
    /// [`BusError::Configuration`] when the URL is unusable. A server that does not answer yet is
    /// no error.
    pub fn connect(url: &str, options: RabbitOptions) -> Result<Self, BusError> {
        Ok(Self {
            link: Arc::new(Link::new(server::servers(url)?)),
            options: Arc::new(options),
            counts: Arc::default(),
            publishing: Mutex::new(None),
        })
    }

    async fn begin_publishing(&self) -> Result<Publishing, BusError> {
        // Whoever asks in vain loses the channel.
        let there = memory::exists(&self.link.channel().await?, &self.options.stream).await?;
        let channel = self.link.channel().await?;
        let preparing = async {
            declare_exchange(&channel, &self.options).await?;
            if !there {
                declare_stream(&channel, &self.options).await?;
            }
            let stream = || self.options.stream.as_str().into();
            let exchange = self.options.exchange.as_str().into();
            let none = FieldTable::default;
            channel
                .queue_bind(
                    stream(),
                    exchange,
                    "#".into(),
                    QueueBindOptions::default(),
                    none(),
                )
                .await?;
            let confirmed = ConfirmSelectOptions::default();
            channel.confirm_select(confirmed).await?;
            channel.basic_qos(1, BasicQosOptions::default()).await?;
            channel
                .basic_consume(stream(), "".into(), BasicConsumeOptions::default(), none())
                .await
        };
        let sentinel = preparing.await.map_err(unavailable)?;
        Ok(Publishing { channel, sentinel })
    }

    async fn hand_over(
        &self,
        publishing: &mut Publishing,
        events: &[Recorded],
    ) -> Result<(), BusError> {
        let mut in_flight = VecDeque::with_capacity(MAX_IN_FLIGHT);
        for event in events {
            if in_flight.len() == MAX_IN_FLIGHT
                && let Some(confirm) = in_flight.pop_front()
            {
                confirmed(confirm).await?;
            }
            let body = body(event)?;
            let sent = publishing.channel.basic_publish(
                self.options.exchange.as_str().into(),
                token(&event.event.event_type).into(),
                BasicPublishOptions::default(),
                &body,
                properties(event),
            );
            in_flight.push_back(sent.await.map_err(unavailable)?);
            self.counts.sent.fetch_add(1, Ordering::Relaxed);
            add(&self.counts.sent_bytes, body.len());
        }
        for confirm in in_flight {
            confirmed(confirm).await?;
        }
        publishing.check_stream()
    }
}

impl Publishing {
    fn still_good(mut self) -> Option<Self> {
        let good = self.channel.status().connected() && self.check_stream().is_ok();
        good.then_some(self)
    }

    /// A message that reaches no stream is confirmed all the same: the deletion tells itself.
    fn check_stream(&mut self) -> Result<(), BusError> {
        loop {
            match self.sentinel.next().now_or_never() {
                None => return Ok(()),
                Some(Some(Ok(_))) => {}
                Some(_) => return Err(BusError::Unavailable("the stream went away".to_owned())),
            }
        }
    }
}

async fn confirmed(confirm: PublisherConfirm) -> Result<(), BusError> {
    let late = |_| BusError::Unavailable(format!("no confirmation within {ACK_TIMEOUT:?}"));
    let answer = tokio::time::timeout(ACK_TIMEOUT, confirm).await;
    match answer.map_err(late)?.map_err(unavailable)? {
        Confirmation::Ack(_) => Ok(()),
        Confirmation::Nack(_) | Confirmation::NotRequested => Err(BusError::Unavailable(
            "the broker could not keep a message".to_owned(),
        )),
    }
}

async fn declare_exchange(channel: &Channel, options: &RabbitOptions) -> lapin::Result<()> {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let exchange = options.exchange.as_str().into();
    channel
        .exchange_declare(
            exchange,
            ExchangeKind::Topic,
            durable,
            FieldTable::default(),
        )
        .await
}

async fn declare_stream(channel: &Channel, options: &RabbitOptions) -> lapin::Result<()> {
    let text = |text: String| AMQPValue::LongString(text.into());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("stream".to_owned()));
    let age = format!("{}s", options.max_age.as_secs());
    arguments.insert("x-max-age".into(), text(age));
    arguments.insert("x-max-length-bytes".into(), options.max_bytes.into());
    let segment = SEGMENT_BYTES.min(options.max_bytes);
    arguments.insert("x-stream-max-segment-size-bytes".into(), segment.into());
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let stream = options.stream.as_str().into();
    channel
        .queue_declare(stream, durable, arguments)
        .await
        .map(|_| ())
}

/// What AMQP has no property for; CloudEvents' attributes with the prefix that its binding for AMQP
/// gives them.
pub(crate) fn headers(recorded: &Recorded) -> Vec<(String, String)> {
    let event = &recorded.event;
    let mut headers = vec![
        ("Banyan-Epoch".to_owned(), recorded.epoch.to_string()),
        ("Banyan-Position".to_owned(), recorded.position.to_string()),
    ];
    let attributes = attributes(event).into_iter();
    headers.extend(attributes.map(|(name, value)| (format!("cloudEvents:{name}"), value)));
    let trace = event.traceparent.as_deref().map(header_value);
    headers.extend(trace.map(|value| ("traceparent".to_owned(), value)));
    headers
}

fn properties(recorded: &Recorded) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in headers(recorded) {
        table.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(recorded.event.id.to_string().into())
        .with_headers(table)
}

#[async_trait]
impl Bus for RabbitBus {
    async fn publish(&self, events: &[Recorded]) -> Result<(), BusError> {
        let mut publishing = self.publishing.lock().await;
        // Taken, so that whatever ends this half-way leaves nothing half-done behind.
        let before = publishing.take();
        let still = before.and_then(Publishing::still_good);
        let mut now = match still {
            Some(still) => still,
            None => self.begin_publishing().await?,
        };
        self.hand_over(&mut now, events).await?;
        *publishing = Some(now);
        Ok(())
    }

    async fn subscribe(&self) -> Result<Subscription, BusError> {
        let (link, options) = (Arc::clone(&self.link), Arc::clone(&self.options));
        listening::listen(link, options, Arc::clone(&self.counts)).await
    }

    async fn newest(&self) -> Result<Option<Recorded>, BusError> {
        match Remembered::look(&self.link, &self.options).await? {
            Some(remembered) => remembered.newest().await,
            None => Ok(None),
        }
    }

    async fn remembered(&self, after: i64, until: i64) -> Result<Vec<Recorded>, BusError> {
        match Remembered::look(&self.link, &self.options).await? {
            Some(remembered) => remembered.between(after, until).await,
            None => Ok(Vec::new()),
        }
    }

    async fn forget(&self) -> Result<(), BusError> {
        // Whoever publishes next makes the stream again.
        let mut publishing = self.publishing.lock().await;
        *publishing = None;
        match Remembered::look(&self.link, &self.options).await? {
            Some(remembered) => remembered.forget().await,
            None => Ok(()),
        }
    }

    fn status(&self) -> BusStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BusStatus {
            connected: self.link.state().is_ok(),
            connects: self.link.connects(),
            sent_messages: count(&self.counts.sent),
            sent_bytes: count(&self.counts.sent_bytes),
            received_messages: count(&self.counts.received),
            received_bytes: count(&self.counts.received_bytes),
            overruns: count(&self.counts.overruns),
        }
    }

    fn memory(&self) -> Memory {
        Memory::Durable
    }

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn reachable(&self) -> Result<(), String> {
        self.link.state()
    }
}
