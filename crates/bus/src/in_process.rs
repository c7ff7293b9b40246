use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use contracts::Recorded;
use futures::{StreamExt, stream};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{Bus, BusError, BusStatus, Delivery, Memory, Subscription};

/// Events that a slow subscriber may be behind before it gets a gap: a few hundred milliseconds of
/// full speed, and at about 1 KiB each some megabytes.
const CAPACITY: usize = 8_192;

/// The bus of the embedded form: everybody is in this process.
#[derive(Clone, Debug)]
pub struct InProcessBus {
    sender: broadcast::Sender<Arc<Recorded>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
    overruns: AtomicU64,
}

impl InProcessBus {
    /// A bus that nobody listens to yet.
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// A bus whose subscribers get a gap when they are `capacity` events behind.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            sender: broadcast::Sender::new(capacity),
            counts: Arc::default(),
        }
    }
}

impl Default for InProcessBus {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Bus for InProcessBus {
    async fn publish(&self, events: &[Recorded]) -> Result<(), BusError> {
        let count = events.len() as u64;
        self.counts.sent.fetch_add(count, Ordering::Relaxed);
        if self.sender.receiver_count() > 0 {
            for event in events {
                // An error only says that the last listener left meanwhile.
                let _ = self.sender.send(Arc::new(event.clone()));
            }
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Subscription, BusError> {
        let subscribed = (self.sender.subscribe(), Arc::clone(&self.counts));
        let deliveries = stream::unfold(subscribed, async |(mut receiver, counts)| {
            let (delivery, count) = match receiver.recv().await {
                Ok(event) => (Delivery::Event(event), &counts.received),
                Err(RecvError::Lagged(_)) => (Delivery::Gap, &counts.overruns),
                Err(RecvError::Closed) => return None,
            };
            count.fetch_add(1, Ordering::Relaxed);
            Some((delivery, (receiver, counts)))
        });
        Ok(Subscription::new(deliveries.boxed()))
    }

    fn status(&self) -> BusStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BusStatus {
            connected: true,
            connects: 1,
            sent_messages: count(&self.counts.sent),
            received_messages: count(&self.counts.received),
            overruns: count(&self.counts.overruns),
            ..BusStatus::default()
        }
    }

    fn memory(&self) -> Memory {
        Memory::None
    }

    fn name(&self) -> &'static str {
        "in-process"
    }
}
