//! One stream of deliveries handed on to many listeners in this process.
//!
//! A listener says what it acts on, and is woken for that; the rest comes along with it, or a little later
//! to whoever looks. Nearly every event is somebody else's, and waking everybody for each would cost more
//! than handling it; and what nobody waits for is better taken together with what comes next.
//!
//! Invariant: each listener finds everything, in order, or a gap where it was too slow; it holds up
//! nobody.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use contracts::Recorded;
use futures::{StreamExt, stream};
use tokio::time::Instant;

use crate::{Delivery, Subscription};

/// Deliveries that a slow listener may be behind before it gets a gap: a few hundred milliseconds of full
/// speed, and at about 1 KiB each some megabytes.
pub(crate) const CAPACITY: usize = 8_192;

/// Deliveries that may lie unseen before their listener is woken for them,
const UNSEEN: usize = 64;
/// where nobody waits for any of them,
const UNSEEN_SELDOM: usize = 256;
/// and for how long the first of them may lie before whoever looks finds them.
const UNSEEN_FOR: Duration = Duration::from_millis(20);

/// What a listener is woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Every event.
    Always,
    /// Events of these types.
    For(&'static [&'static str]),
    /// None: it looks by itself.
    Seldom,
}

impl Wake {
    fn is_for(self, event: &Recorded) -> bool {
        match self {
            Self::Always => true,
            Self::For(types) => types.contains(&event.event.event_type.as_str()),
            Self::Seldom => false,
        }
    }

    const fn unseen(self) -> usize {
        match self {
            Self::Always | Self::For(_) => UNSEEN,
            Self::Seldom => UNSEEN_SELDOM,
        }
    }
}

/// The listeners. Dropping it ends all their streams.
#[derive(Debug)]
pub(crate) struct FanOut {
    /// None once it is over.
    listeners: Mutex<Option<Vec<Arc<Listener>>>>,
    capacity: usize,
}

#[derive(Debug)]
struct Listener {
    wake: Wake,
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    deliveries: VecDeque<Delivery>,
    /// When the first of them came.
    since: Option<Instant>,
    /// They are to be taken now.
    is_due: bool,
    /// Older ones were dropped.
    lost_some: bool,
    is_over: bool,
    waiting: Option<Waker>,
}

impl FanOut {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            listeners: Mutex::new(Some(Vec::new())),
            capacity,
        }
    }

    /// A new listener to what comes from now on; none once this is over.
    pub(crate) fn listen(self: &Arc<Self>, wake: Wake) -> Option<Receiver> {
        let listener = Arc::new(Listener {
            wake,
            inbox: Mutex::default(),
        });
        let mut listeners = locked(&self.listeners);
        listeners.as_mut()?.push(Arc::clone(&listener));
        Some(Receiver {
            listener,
            of: Arc::downgrade(self),
        })
    }

    pub(crate) fn is_heard(&self) -> bool {
        let listeners = locked(&self.listeners);
        listeners.as_ref().is_some_and(|all| !all.is_empty())
    }

    /// Hands these on; whether anybody listens.
    pub(crate) fn send(&self, deliveries: &[Delivery]) -> bool {
        let listeners = locked(&self.listeners);
        let listeners = listeners.as_deref().unwrap_or_default();
        for listener in listeners {
            listener.take(deliveries, self.capacity);
        }
        !listeners.is_empty()
    }

    /// No more will come.
    pub(crate) fn close(&self) {
        let listeners = locked(&self.listeners).take();
        for listener in listeners.into_iter().flatten() {
            let mut inbox = locked(&listener.inbox);
            inbox.is_over = true;
            let waiting = inbox.waiting.take();
            drop(inbox);
            waiting.inspect(Waker::wake_by_ref);
        }
    }
}

impl Drop for FanOut {
    fn drop(&mut self) {
        self.close();
    }
}

impl Listener {
    fn take(&self, deliveries: &[Delivery], capacity: usize) {
        let is_urgent = deliveries.iter().any(|delivery| match delivery {
            Delivery::Event(event) => self.wake.is_for(event),
            Delivery::Gap => true,
        });
        let mut inbox = locked(&self.inbox);
        inbox.since.get_or_insert_with(Instant::now);
        inbox.deliveries.extend(deliveries.iter().cloned());
        let excess = inbox.deliveries.len().saturating_sub(capacity);
        inbox.lost_some |= excess > 0;
        inbox.deliveries.drain(..excess);
        inbox.is_due |= is_urgent || inbox.deliveries.len() >= self.wake.unseen();
        if inbox.is_due {
            let waiting = inbox.waiting.take();
            drop(inbox);
            waiting.inspect(Waker::wake_by_ref);
        }
    }
}

impl Inbox {
    /// What is there for whoever looks now, or that no more will come.
    fn take(&mut self) -> Option<Option<Delivery>> {
        if std::mem::take(&mut self.lost_some) {
            return Some(Some(Delivery::Gap));
        }
        self.is_due |= self.is_over || self.since.is_some_and(|came| came.elapsed() >= UNSEEN_FOR);
        if !self.is_due {
            return None;
        }
        let next = self.deliveries.pop_front();
        if next.is_none() {
            (self.since, self.is_due) = (None, false);
        }
        match next {
            None if !self.is_over => None,
            next => Some(next),
        }
    }
}

/// A listener's end.
pub(crate) struct Receiver {
    listener: Arc<Listener>,
    of: Weak<FanOut>,
}

impl Receiver {
    /// The next delivery; none when no more will come.
    fn poll(&self, context: &Context<'_>) -> Poll<Option<Delivery>> {
        let mut inbox = locked(&self.listener.inbox);
        if let Some(found) = inbox.take() {
            return Poll::Ready(found);
        }
        match &mut inbox.waiting {
            Some(waiting) => waiting.clone_from(context.waker()),
            waiting => *waiting = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// As a subscription that calls `seen` for each delivery.
    pub(crate) fn subscription(self, seen: impl Fn(&Delivery) + Send + 'static) -> Subscription {
        let deliveries = stream::poll_fn(move |context| self.poll(context));
        Subscription::new(deliveries.inspect(seen).boxed())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let Some(of) = self.of.upgrade() else {
            return;
        };
        if let Some(listeners) = &mut *locked(&of.listeners) {
            listeners.retain(|listener| !Arc::ptr_eq(listener, &self.listener));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use contracts::Event;
    use uuid::Uuid;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A listener that waits, and how often it was woken.
    struct Waiting {
        receiver: Receiver,
        woken: Arc<Woken>,
    }

    impl Waiting {
        fn at(fan_out: &Arc<FanOut>, wake: Wake) -> Self {
            let waiting = Self {
                receiver: fan_out.listen(wake).expect("it goes on"),
                woken: Arc::default(),
            };
            assert_eq!(waiting.poll(), Poll::Pending);
            waiting
        }

        fn poll(&self) -> Poll<Option<Delivery>> {
            let waker = Arc::clone(&self.woken).into();
            self.receiver.poll(&Context::from_waker(&waker))
        }

        fn found(&self) -> Vec<Delivery> {
            let found = || match self.poll() {
                Poll::Ready(found) => found,
                Poll::Pending => None,
            };
            std::iter::from_fn(found).collect()
        }

        fn woken(&self) -> usize {
            self.woken.0.load(Ordering::Relaxed)
        }
    }

    pub(crate) fn delivery(position: i64, event_type: &str) -> Delivery {
        let event = Event {
            id: Uuid::from_u128(7),
            event_type: event_type.to_owned(),
            stream: "a".to_owned(),
            aggregate_id: String::new(),
            version: position,
            schema_version: 1,
            payload: serde_json::Value::Null,
            timestamp: time::OffsetDateTime::UNIX_EPOCH,
            correlation_id: Uuid::nil(),
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: "test".to_owned(),
            traceparent: None,
        };
        Delivery::Event(Arc::new(Recorded {
            epoch: Uuid::nil(),
            position,
            recorded_at: None,
            event,
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_is_woken_for_what_it_acts_on_and_finds_the_rest_in_its_place() {
        let fan_out = Arc::new(FanOut::new(CAPACITY));
        let all = Waiting::at(&fan_out, Wake::Always);
        let some = Waiting::at(&fan_out, Wake::For(&["a.b"]));
        let none = Waiting::at(&fan_out, Wake::Seldom);
        let sent = [delivery(1, "c.d"), delivery(2, "a.b"), delivery(3, "c.d")];
        assert!(fan_out.send(&sent[..1]));
        assert_eq!([all.woken(), some.woken(), none.woken()], [1, 0, 0]);
        assert_eq!(some.found(), []);
        assert!(fan_out.send(&sent[1..]));
        assert_eq!([all.woken(), some.woken(), none.woken()], [1, 1, 0]);
        for listener in [&all, &some] {
            assert_eq!(listener.found(), sent);
        }
        assert_eq!(none.found(), []);
        tokio::time::advance(UNSEEN_FOR).await;
        assert_eq!(none.found(), sent);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_found_a_little_later_by_whoever_looks() {
        let fan_out = Arc::new(FanOut::new(CAPACITY));
        let listener = Waiting::at(&fan_out, Wake::For(&["a.b"]));
        let sent = [delivery(1, "c.d"), delivery(2, "c.d"), delivery(3, "c.d")];
        fan_out.send(&sent[..1]);
        tokio::time::advance(UNSEEN_FOR / 2).await;
        fan_out.send(&sent[1..2]);
        assert_eq!(listener.found(), []);
        tokio::time::advance(UNSEEN_FOR / 2).await;
        assert_eq!(listener.found(), sent[..2]);
        // Its time begins anew with the next one.
        fan_out.send(&sent[2..]);
        assert_eq!((listener.woken(), listener.found()), (0, vec![]));
        tokio::time::advance(UNSEEN_FOR).await;
        assert_eq!(listener.found(), sent[2..]);
    }

    #[test]
    fn everybody_is_woken_for_a_gap_and_when_much_lies_unseen_and_when_it_is_over() {
        for (wake, unseen) in [(Wake::For(&["c.d"]), 64), (Wake::Seldom, 256)] {
            let fan_out = Arc::new(FanOut::new(CAPACITY));
            let listener = Waiting::at(&fan_out, wake);
            fan_out.send(&[Delivery::Gap]);
            assert_eq!((listener.woken(), listener.found().len()), (1, 1));
            for position in 1..=unseen {
                assert_eq!(listener.woken(), 1, "{wake:?}, {position}");
                fan_out.send(&[delivery(position, "a.b")]);
            }
            assert_eq!(listener.woken(), 2);
            assert_eq!(i64::try_from(listener.found().len()), Ok(unseen));
            drop(fan_out);
            assert_eq!((listener.woken(), listener.poll()), (3, Poll::Ready(None)));
        }
    }

    #[test]
    fn who_is_too_slow_finds_a_gap_before_what_is_left() {
        let fan_out = Arc::new(FanOut::new(2));
        let listener = Waiting::at(&fan_out, Wake::Always);
        let sent: Vec<Delivery> = (1..=5).map(|n| delivery(n, "a.b")).collect();
        fan_out.send(&sent);
        let left = [Delivery::Gap, sent[3].clone(), sent[4].clone()];
        assert_eq!(listener.found(), left);
    }

    #[test]
    fn nobody_is_heard_who_is_gone_or_comes_too_late() {
        let fan_out = Arc::new(FanOut::new(2));
        assert!(!fan_out.is_heard());
        let listener = fan_out.listen(Wake::Always);
        assert!(fan_out.is_heard());
        drop(listener);
        assert!(!fan_out.send(&[delivery(1, "a.b")]));
        fan_out.close();
        assert!(fan_out.listen(Wake::Always).is_none());
    }
}
