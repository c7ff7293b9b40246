use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use contracts::Recorded;

use crate::{
    Bus, BusError, BusStatus, Delivery, Memory, Subscription, Wake,
    fan_out::{CAPACITY, FanOut},
};

/// The bus of the embedded form: everybody is in this process.
#[derive(Clone, Debug)]
pub struct InProcessBus {
    listeners: Arc<FanOut>,
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
            listeners: Arc::new(FanOut::new(capacity)),
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
        if self.listeners.is_heard() {
            let event = |event: &Recorded| Delivery::Event(Arc::new(event.clone()));
            let deliveries: Vec<Delivery> = events.iter().map(event).collect();
            self.listeners.send(&deliveries);
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Subscription, BusError> {
        self.subscribe_for(Wake::Always).await
    }

    async fn subscribe_for(&self, wake: Wake) -> Result<Subscription, BusError> {
        let counts = Arc::clone(&self.counts);
        let listener = self.listeners.listen(wake);
        let listener = listener.ok_or_else(|| BusError::Unavailable("it is over".to_owned()))?;
        Ok(listener.subscription(move |delivery| {
            let count = match delivery {
                Delivery::Event(_) => &counts.received,
                Delivery::Gap => &counts.overruns,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }))
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
