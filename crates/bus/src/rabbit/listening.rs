//! A subscription: a bounded queue of its own on the exchange, gone with the connection.
//!
//! Bounded at both ends: the server drops the oldest of a full queue, and sends no more than is
//! acknowledged. What was dropped shows as a jump of the positions, and is told as a gap.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use contracts::Recorded;
use futures::{StreamExt, stream};
use lapin::{
    Channel, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};
use uuid::Uuid;

use super::{
    Counts, RabbitOptions, declare_exchange,
    link::{Link, unavailable},
};
use crate::{BusError, Delivery, Subscription, message::decode};

/// Messages that the server sends ahead of their acknowledgement: some milliseconds of full speed.
const AHEAD: u16 = 2_048;
/// The first and the longest pause between two attempts to listen again on a connection that is up.
const PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

struct Listening {
    link: Arc<Link>,
    options: Arc<RabbitOptions>,
    counts: Arc<Counts>,
    attached: Option<Attached>,
    /// The newest position handed out, and its epoch.
    newest: Option<(Uuid, i64)>,
    /// An event behind a gap that was told first.
    held: Option<Arc<Recorded>>,
}

struct Attached {
    channel: Channel,
    consumer: Consumer,
    unacknowledged: u16,
    /// How many are acknowledged together: well before the server stops sending.
    together: u16,
}

/// Listens from now on, and again after whatever ends it.
pub(super) async fn listen(
    link: Arc<Link>,
    options: Arc<RabbitOptions>,
    counts: Arc<Counts>,
) -> Result<Subscription, BusError> {
    let attached = attach(&link, &options).await?;
    let listening = Listening {
        link,
        options,
        counts,
        attached: Some(attached),
        newest: None,
        held: None,
    };
    let deliveries = stream::unfold(listening, async |mut listening| {
        let delivery = listening.next().await;
        Some((delivery, listening))
    });
    Ok(Subscription::new(deliveries.boxed()))
}

async fn attach(link: &Link, options: &RabbitOptions) -> Result<Attached, BusError> {
    let channel = link.channel().await?;
    let ahead = u16::try_from(options.queue_length).map_or(AHEAD, |length| length.min(AHEAD));
    let attaching = async {
        declare_exchange(&channel, options).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), options.queue_length.into());
        arguments.insert(
            "x-overflow".into(),
            lapin::types::AMQPValue::LongString("drop-head".into()),
        );
        let own = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel.queue_declare("".into(), own, arguments).await?;
        let (name, exchange) = (queue.name(), options.exchange.as_str().into());
        let none = FieldTable::default;
        channel
            .queue_bind(
                name.clone(),
                exchange,
                "#".into(),
                QueueBindOptions::default(),
                none(),
            )
            .await?;
        channel.basic_qos(ahead, BasicQosOptions::default()).await?;
        channel
            .basic_consume(
                name.clone(),
                "".into(),
                BasicConsumeOptions::default(),
                none(),
            )
            .await
    };
    let consumer = attaching.await.map_err(unavailable)?;
    Ok(Attached {
        channel,
        consumer,
        unacknowledged: 0,
        together: (ahead / 4).max(1),
    })
}

impl Listening {
    async fn next(&mut self) -> Delivery {
        if let Some(event) = self.held.take() {
            return Delivery::Event(event);
        }
        loop {
            let Some(attached) = &mut self.attached else {
                self.attach_again().await;
                // What came meanwhile is in nobody's queue.
                return Delivery::Gap;
            };
            match attached.next(&self.counts).await {
                Some(body) => return self.judge(&body),
                None => self.attached = None,
            }
        }
    }

    async fn attach_again(&mut self) {
        let mut pause = PAUSE;
        loop {
            self.link.connected().await;
            match attach(&self.link, &self.options).await {
                Ok(attached) => {
                    self.attached = Some(attached);
                    return;
                }
                Err(error) => tracing::debug!(%error, "cannot listen yet"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn judge(&mut self, body: &[u8]) -> Delivery {
        let event = match decode(body) {
            Ok(event) => Arc::new(event),
            Err(error) => {
                tracing::warn!(%error, "foreign message on the bus");
                return Delivery::Gap;
            }
        };
        let before = self.newest;
        let (epoch, position) = (event.epoch, event.position);
        match before {
            Some((same, newest)) if same == epoch => {
                self.newest = Some((epoch, newest.max(position)));
                if position > newest + 1 {
                    self.counts.overruns.fetch_add(1, Ordering::Relaxed);
                    self.held = Some(event);
                    return Delivery::Gap;
                }
            }
            _ => self.newest = Some((epoch, position)),
        }
        Delivery::Event(event)
    }
}

impl Attached {
    /// The next message's body; none once the queue or the connection is gone.
    async fn next(&mut self, counts: &Counts) -> Option<Vec<u8>> {
        let delivery = match self.consumer.next().await? {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::debug!(%error, "a subscription ended");
                return None;
            }
        };
        counts.received.fetch_add(1, Ordering::Relaxed);
        add(&counts.received_bytes, delivery.data.len());
        self.unacknowledged += 1;
        if self.unacknowledged >= self.together {
            let all_so_far = BasicAckOptions { multiple: true };
            self.channel
                .basic_ack(delivery.delivery_tag, all_so_far)
                .await
                .ok()?;
            self.unacknowledged = 0;
        }
        Some(delivery.data)
    }
}

pub(super) fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}
