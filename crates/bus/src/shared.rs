//! One subscription for all who listen in this process: a broker sends each event to it once, and it
//! is read once, however many consumers there are.
//!
//! Invariant: a listener that is too slow gets a gap and holds up nobody; when the one subscription is
//! over, so is each listener's, and the next begins it anew.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use contracts::Recorded;
use tokio::{sync::Mutex, task::JoinSet};

use crate::{
    Bus, BusError, BusStatus, Memory, Subscription, Wake,
    fan_out::{CAPACITY, FanOut},
};

/// A bus whose listeners in this process share a subscription.
pub(crate) struct Shared<B> {
    bus: B,
    listening: Mutex<Listening>,
}

#[derive(Default)]
struct Listening {
    /// The way to the listeners, as long as the subscription lasts.
    listeners: Weak<FanOut>,
    /// What hands on; ends with this.
    task: JoinSet<()>,
}

impl<B: Bus> Shared<B> {
    pub(crate) fn new(bus: B) -> Self {
        Self {
            bus,
            listening: Mutex::default(),
        }
    }
}

/// Hands on what comes, until it is over or nobody listens.
async fn hand_on(mut subscription: Subscription, listeners: Arc<FanOut>) {
    while let Some(delivery) = subscription.next().await {
        if !listeners.send(&[delivery]) {
            break;
        }
    }
    // Who came meanwhile begins anew.
    listeners.close();
}

#[async_trait]
impl<B: Bus> Bus for Shared<B> {
    async fn publish(&self, events: &[Recorded]) -> Result<(), BusError> {
        self.bus.publish(events).await
    }

    async fn subscribe(&self) -> Result<Subscription, BusError> {
        self.subscribe_for(Wake::Always).await
    }

    async fn subscribe_for(&self, wake: Wake) -> Result<Subscription, BusError> {
        let mut listening = self.listening.lock().await;
        let listeners = listening.listeners.upgrade();
        if let Some(listener) = listeners.and_then(|listeners| listeners.listen(wake)) {
            return Ok(listener.subscription(|_| {}));
        }
        let subscription = self.bus.subscribe().await?;
        let listeners = Arc::new(FanOut::new(CAPACITY));
        let listener = listeners.listen(wake);
        let listener = listener.ok_or_else(|| BusError::Unavailable("it is over".to_owned()))?;
        listening.listeners = Arc::downgrade(&listeners);
        listening.task = JoinSet::new();
        listening.task.spawn(hand_on(subscription, listeners));
        Ok(listener.subscription(|_| {}))
    }

    async fn newest(&self) -> Result<Option<Recorded>, BusError> {
        self.bus.newest().await
    }

    async fn remembered(&self, after: i64, until: i64) -> Result<Vec<Recorded>, BusError> {
        self.bus.remembered(after, until).await
    }

    async fn forget(&self) -> Result<(), BusError> {
        self.bus.forget().await
    }

    fn status(&self) -> BusStatus {
        self.bus.status()
    }

    fn memory(&self) -> Memory {
        self.bus.memory()
    }

    fn name(&self) -> &'static str {
        self.bus.name()
    }

    fn reachable(&self) -> Result<(), String> {
        self.bus.reachable()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{StreamExt, stream};
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Delivery, fan_out};

    /// A bus whose subscriptions are counted, and fed by the test.
    #[derive(Default)]
    struct Fed {
        subscriptions: Arc<AtomicUsize>,
        feeds: std::sync::Mutex<Vec<mpsc::Sender<Delivery>>>,
    }

    impl Fed {
        fn feed(&self) -> mpsc::Sender<Delivery> {
            let feeds = self.feeds.lock().expect("nobody panicked");
            feeds.last().expect("a subscription").clone()
        }
    }

    #[async_trait]
    impl Bus for Fed {
        async fn publish(&self, _: &[Recorded]) -> Result<(), BusError> {
            Ok(())
        }

        async fn subscribe(&self) -> Result<Subscription, BusError> {
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
            let (sender, receiver) = mpsc::channel(CAPACITY);
            self.feeds.lock().expect("nobody panicked").push(sender);
            let deliveries = stream::unfold(receiver, async |mut receiver| {
                Some((receiver.recv().await?, receiver))
            });
            Ok(Subscription::new(deliveries.boxed()))
        }

        fn status(&self) -> BusStatus {
            BusStatus::default()
        }

        fn memory(&self) -> Memory {
            Memory::None
        }

        fn name(&self) -> &'static str {
            "fed"
        }
    }

    fn delivery(position: i64) -> Delivery {
        fan_out::tests::delivery(position, "user.deleted")
    }

    #[tokio::test]
    async fn all_listeners_share_a_subscription_and_hear_everything() {
        let bus = Shared::new(Fed::default());
        let mut one = bus.subscribe().await.expect("a subscription");
        let mut other = bus.subscribe().await.expect("a subscription");
        assert_eq!(bus.bus.subscriptions.load(Ordering::Relaxed), 1);
        for position in 1..=3 {
            let sent = bus.bus.feed().send(delivery(position)).await;
            sent.expect("somebody listens");
        }
        for listener in [&mut one, &mut other] {
            for position in 1..=3 {
                assert_eq!(listener.next().await, Some(delivery(position)));
            }
        }
    }

    #[tokio::test]
    async fn a_slow_listener_gets_a_gap_and_holds_up_nobody() {
        let bus = Shared::new(Fed::default());
        let mut slow = bus.subscribe().await.expect("a subscription");
        let mut quick = bus.subscribe().await.expect("a subscription");
        let last = 2 * i64::try_from(CAPACITY).expect("a small number");
        for position in 1..=last {
            let sent = bus.bus.feed().send(delivery(position)).await;
            sent.expect("somebody listens");
            assert_eq!(quick.next().await, Some(delivery(position)));
        }
        assert_eq!(slow.next().await, Some(Delivery::Gap));
        assert!(matches!(slow.next().await, Some(Delivery::Event(_))));
    }

    #[tokio::test]
    async fn a_subscription_that_is_over_is_over_for_all_and_begun_anew_by_the_next() {
        let bus = Shared::new(Fed::default());
        let mut one = bus.subscribe().await.expect("a subscription");
        let mut other = bus.subscribe().await.expect("a subscription");
        bus.bus.feeds.lock().expect("nobody panicked").clear();
        assert_eq!(one.next().await, None);
        assert_eq!(other.next().await, None);
        let mut again = bus.subscribe().await.expect("a subscription");
        assert_eq!(bus.bus.subscriptions.load(Ordering::Relaxed), 2);
        let sent = bus.bus.feed().send(delivery(9)).await;
        sent.expect("somebody listens");
        assert_eq!(again.next().await, Some(delivery(9)));
    }
}
