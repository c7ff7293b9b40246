use std::sync::Arc;

use async_trait::async_trait;
use contracts::Recorded;
use futures::{StreamExt, stream};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{Bus, BusError, Delivery, Memory, Subscription};

/// Events that a slow subscriber may be behind before it gets a gap: a few hundred milliseconds of
/// full speed, and at about 1 KiB each some megabytes.
const CAPACITY: usize = 8_192;

/// The bus of the embedded form: everybody is in this process.
#[derive(Clone, Debug)]
pub struct InProcessBus {
    sender: broadcast::Sender<Arc<Recorded>>,
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
        if self.sender.receiver_count() > 0 {
            for event in events {
                // An error only says that the last listener left meanwhile.
                let _ = self.sender.send(Arc::new(event.clone()));
            }
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Subscription, BusError> {
        let deliveries = stream::unfold(self.sender.subscribe(), async |mut receiver| {
            let delivery = match receiver.recv().await {
                Ok(event) => Delivery::Event(event),
                Err(RecvError::Lagged(_)) => Delivery::Gap,
                Err(RecvError::Closed) => return None,
            };
            Some((delivery, receiver))
        });
        Ok(Subscription::new(deliveries.boxed()))
    }

    fn memory(&self) -> Memory {
        Memory::None
    }

    fn name(&self) -> &'static str {
        "in-process"
    }
}
