//! The event bus: fast, and allowed to lose. The log is the truth; whoever reads the bus compares
//! positions and fills every hole from the log.
//!
//! Three buses: [`InProcessBus`] for the embedded form, [`NatsBus`] (JetStream) and [`RabbitBus`]
//! for the distributed one, whose messages are CloudEvents that a service in any language can read.
//! [`connect`] chooses between the two by the address.
//!
//! What a [`Subscription`] promises: within one epoch, events of one publisher arrive in position
//! order, except that any of them may be missing, and any may come again later.

mod address;
pub mod asyncapi;
mod fan_out;
mod in_process;
mod message;
mod nats;
mod rabbit;
mod remembering;
mod shared;
mod trust;

use std::sync::Arc;

use async_trait::async_trait;
use contracts::Recorded;
use futures::{StreamExt, stream::BoxStream};
use thiserror::Error;

pub use address::{check, connect};
pub use fan_out::Wake;
pub use in_process::InProcessBus;
pub use nats::{NatsBus, NatsOptions, reach};
pub use rabbit::{RabbitBus, RabbitOptions};

/// A way to hand recorded events to whoever listens.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Hands over `events`, which are in position order; returns once the bus has them all. After
    /// an error any part of them may have been handed over: publish them again.
    ///
    /// # Errors
    /// [`BusError`] when the bus did not confirm all of them.
    async fn publish(&self, events: &[Recorded]) -> Result<(), BusError>;

    /// Listens to every event from now on. The subscription survives the bus's restarts.
    ///
    /// # Errors
    /// [`BusError`] when the bus cannot be reached.
    async fn subscribe(&self) -> Result<Subscription, BusError>;

    /// As [`Bus::subscribe`], for a listener that acts on some events only. It may find the others a
    /// little later, or when it looks by itself.
    ///
    /// # Errors
    /// As [`Bus::subscribe`].
    async fn subscribe_for(&self, _wake: Wake) -> Result<Subscription, BusError> {
        self.subscribe().await
    }

    /// The newest event that the bus remembers; none where it remembers nothing.
    ///
    /// # Errors
    /// [`BusError`] when the bus cannot be reached.
    async fn newest(&self) -> Result<Option<Recorded>, BusError> {
        Ok(None)
    }

    /// What the bus remembers of the positions `after + 1..=until`, in any order.
    ///
    /// # Errors
    /// [`BusError`] when the bus cannot be reached.
    async fn remembered(&self, _after: i64, _until: i64) -> Result<Vec<Recorded>, BusError> {
        Ok(Vec::new())
    }

    /// Forgets all that it remembers: it comes from a log that was lost.
    ///
    /// # Errors
    /// [`BusError`] when the bus cannot be reached.
    async fn forget(&self) -> Result<(), BusError> {
        Ok(())
    }

    /// How the connection is, and what went over it since the process began.
    fn status(&self) -> BusStatus;

    /// What the bus keeps by itself, which says whether its publisher needs a durable cursor.
    fn memory(&self) -> Memory;

    /// The name in logs and of the publisher's cursor.
    fn name(&self) -> &'static str;

    /// Whether the bus can be reached at this moment.
    ///
    /// # Errors
    /// Why not.
    fn reachable(&self) -> Result<(), String> {
        if self.status().connected {
            Ok(())
        } else {
            Err("not connected".to_owned())
        }
    }
}

/// How a connection to a bus is, and what went over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusStatus {
    /// Whether the bus can be reached now.
    pub connected: bool,
    /// Connections made, the first included.
    pub connects: u64,
    /// Messages sent, those of the bus's own protocol included.
    pub sent_messages: u64,
    /// Their bytes; 0 where nothing is written down.
    pub sent_bytes: u64,
    /// Messages received, those of the bus's own protocol included.
    pub received_messages: u64,
    /// Their bytes; 0 where nothing is written down.
    pub received_bytes: u64,
    /// Times that a subscription was too far behind and lost messages.
    pub overruns: u64,
}

/// What a bus keeps of what was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing: it reaches those who listen at that moment.
    None,
    /// Messages lie on disk for later readers, so none may be left out.
    Durable,
}

/// What comes out of a [`Subscription`].
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// An event.
    Event(Arc<Recorded>),
    /// Events were lost here; how many is not known. Read the log.
    Gap,
}

/// A stream of deliveries.
pub struct Subscription {
    deliveries: BoxStream<'static, Delivery>,
}

impl Subscription {
    /// Wraps a stream of deliveries; for implementations of [`Bus`].
    pub fn new(deliveries: BoxStream<'static, Delivery>) -> Self {
        Self { deliveries }
    }

    /// The next delivery; `None` once the bus is gone for good. Safe to drop while it waits.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.next().await
    }
}

/// Why the bus did not do it. A repeat is always safe.
#[derive(Debug, Error)]
pub enum BusError {
    /// The bus cannot be reached, or did not confirm in time.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// The bus answered, and refused; the text says what.
    #[error("the bus refused: {0}")]
    Refused(String),
    /// The bus's address or an option is unusable.
    #[error("{0}")]
    Configuration(String),
}
