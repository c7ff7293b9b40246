//! What RabbitMQ's stream remembers. Whoever asks only looks: a stream that is missing remembers
//! nothing, and is made by whoever publishes.
//!
//! The protocol does not say where a stream ends, and a reader at its end waits for ever. So whoever
//! reads sets a mark first, which is no event and reaches the stream alone, and reads up to it.

use std::time::Duration;

use contracts::Recorded;
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};
use uuid::Uuid;

use super::{
    RabbitOptions,
    link::{Link, unavailable},
};
use crate::{
    BusError,
    message::decode,
    remembering::{Gathering, MAX_IN_FLIGHT, Memorized, Stored, beginning},
};

/// How long the next message of a stream may take, of which it is known that it is there.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Messages that the server sends ahead while a stream is read.
const AHEAD: u16 = 512;
/// The type of a mark, which is no event's.
const MARK: &str = "banyan.mark";

pub(super) struct Memory<'a> {
    link: &'a Link,
    stream: &'a str,
}

/// A place in the stream and what lies there.
type Read = (u64, Stored);

impl<'a> Memory<'a> {
    /// The stream, if there is one.
    pub(super) async fn look(
        link: &'a Link,
        options: &'a RabbitOptions,
    ) -> Result<Option<Self>, BusError> {
        let stream = options.stream.as_str();
        let there = exists(&link.channel().await?, stream).await?;
        Ok(there.then_some(Self { link, stream }))
    }

    pub(super) async fn newest(&self) -> Result<Option<Recorded>, BusError> {
        let end = self.end().await?;
        let Some(first) = self.first(end).await? else {
            return Ok(None);
        };
        let mut window = u64::try_from(MAX_IN_FLIGHT).unwrap_or(u64::MAX);
        loop {
            let start = end.saturating_sub(window).max(first);
            let mut newest = None;
            let mut reading = self.read_from(start).await?;
            loop {
                match reading.next().await? {
                    (number, _) if number >= end => break,
                    (_, Stored::Event(event)) => newest = Some(*event),
                    (_, Stored::Nothing) => {}
                }
            }
            // Marks alone may lie at the end.
            if newest.is_some() || start == first {
                return Ok(newest);
            }
            window = window.saturating_mul(16);
        }
    }

    pub(super) async fn between(&self, after: i64, until: i64) -> Result<Vec<Recorded>, BusError> {
        let mut gathering = Gathering::new(after, until);
        let end = self.end().await?;
        let Some(first) = self.first(end).await? else {
            return Ok(Vec::new());
        };
        let begin = beginning(self, first, end, after).await?;
        let mut reading = self.read_from(begin).await?;
        loop {
            let (number, stored) = reading.next().await?;
            if number >= end {
                break;
            }
            if let Stored::Event(event) = stored
                && !gathering.take(*event)
            {
                break;
            }
        }
        Ok(gathering.found())
    }

    pub(super) async fn forget(&self) -> Result<(), BusError> {
        // Streams cannot be emptied; it is made again with the next event.
        let channel = self.link.channel().await?;
        let deleted = channel.queue_delete(self.stream.into(), QueueDeleteOptions::default());
        deleted.await.map(|_| ()).map_err(unavailable)
    }

    /// The place behind the last message: that of a mark set just now.
    async fn end(&self) -> Result<u64, BusError> {
        let mut reading = self.read(AMQPValue::LongString("next".into())).await?;
        let id = Uuid::new_v4().to_string();
        let properties = BasicProperties::default()
            .with_type(MARK.into())
            .with_message_id(id.as_str().into());
        let channel = &reading.channel;
        let marking = async {
            let selected = channel.confirm_select(ConfirmSelectOptions::default());
            selected.await?;
            let options = BasicPublishOptions::default();
            let sent =
                channel.basic_publish("".into(), self.stream.into(), options, &[], properties);
            sent.await?.await
        };
        marking.await.map_err(unavailable)?;
        loop {
            let delivery = reading.delivery().await?;
            let its = delivery.properties.message_id().as_ref();
            if its.is_some_and(|its| its.as_str() == id) {
                return number(&delivery);
            }
        }
    }

    /// The first place that is still there, unless that is the end.
    async fn first(&self, end: u64) -> Result<Option<u64>, BusError> {
        let mut reading = self.read(AMQPValue::LongString("first".into())).await?;
        let first = number(&reading.delivery().await?)?;
        Ok((first < end).then_some(first))
    }

    async fn read_from(&self, start: u64) -> Result<Reading, BusError> {
        let start = i64::try_from(start).unwrap_or(i64::MAX);
        self.read(AMQPValue::LongLongInt(start)).await
    }

    async fn read(&self, offset: AMQPValue) -> Result<Reading, BusError> {
        let channel = self.link.channel().await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), offset);
        let beginning = async {
            channel.basic_qos(AHEAD, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            channel
                .basic_consume(self.stream.into(), "".into(), options, arguments)
                .await
        };
        let consumer = beginning.await.map_err(unavailable)?;
        Ok(Reading {
            channel,
            consumer,
            taken: 0,
        })
    }
}

impl Memorized for Memory<'_> {
    async fn stored(&self, number: u64) -> Result<Stored, BusError> {
        match self.read_from(number).await?.next().await? {
            (at, stored) if at == number => Ok(stored),
            _ => Ok(Stored::Nothing),
        }
    }
}

/// A consumer of the stream, with the channel that is its own.
struct Reading {
    channel: Channel,
    consumer: Consumer,
    taken: u16,
}

impl Reading {
    async fn next(&mut self) -> Result<Read, BusError> {
        let delivery = self.delivery().await?;
        let stored = match decode(&delivery.data) {
            Ok(event) => Stored::Event(Box::new(event)),
            Err(_) => Stored::Nothing,
        };
        Ok((number(&delivery)?, stored))
    }

    async fn delivery(&mut self) -> Result<Delivery, BusError> {
        let late = |_| BusError::Unavailable(format!("the stream is silent for {READ_WITHIN:?}"));
        let next = tokio::time::timeout(READ_WITHIN, self.consumer.next()).await;
        let delivery = next.map_err(late)?;
        let gone = || BusError::Unavailable("the stream went away".to_owned());
        let delivery = delivery.ok_or_else(gone)?.map_err(unavailable)?;
        self.taken += 1;
        if self.taken >= AHEAD / 2 {
            self.taken = 0;
            let all_so_far = BasicAckOptions { multiple: true };
            let told = self.channel.basic_ack(delivery.delivery_tag, all_so_far);
            told.await.map_err(unavailable)?;
        }
        Ok(delivery)
    }
}

/// Whether there is such a queue. The channel is closed by the answer where there is none.
pub(super) async fn exists(channel: &Channel, queue: &str) -> Result<bool, BusError> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare(queue.into(), options, FieldTable::default());
    match declared.await {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            lapin::ErrorKind::ProtocolError(told)
                // Of a stream whose node is away, or was killed while it made it, the server says that it
                // was not found, too.
                if *told.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
                    && told.get_message().as_str().contains("no queue") =>
            {
                Ok(false)
            }
            _ => Err(unavailable(error)),
        },
    }
}

/// A message's place in the stream.
fn number(delivery: &Delivery) -> Result<u64, BusError> {
    let headers = delivery.properties.headers().as_ref();
    let number = headers.and_then(|headers| headers.inner().get("x-stream-offset"));
    match number {
        Some(AMQPValue::LongLongInt(number)) => Ok(u64::try_from(*number).unwrap_or(0)),
        _ => Err(BusError::Refused(
            "the queue is no stream: delete it, and it is made as one".to_owned(),
        )),
    }
}
