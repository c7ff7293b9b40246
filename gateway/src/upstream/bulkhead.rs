//! How many requests may be under way to one upstream, and who waits for a place.
//!
//! Invariant: no more requests than `most` hold a place, no more than the queue's size wait for one,
//! and none longer than the queue allows. The counts survive a reload.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::Queue;

/// One upstream's places.
#[derive(Debug, Default)]
pub(super) struct Bulkhead {
    load: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

/// A place in an upstream's bulkhead, held until the response's last byte.
#[derive(Debug)]
pub(crate) struct Place(Arc<Bulkhead>);

/// One that waits.
struct Waiter<'a>(&'a Bulkhead);

impl Bulkhead {
    /// A place, if there is one now. Who waits already comes first.
    pub(super) fn enter(self: &Arc<Self>, most: Option<u32>) -> Option<Place> {
        match most {
            Some(_) if self.waiting() > 0 => None,
            most => self.take(most),
        }
    }

    /// A place that becomes free while there is time to wait for it, and room to wait in.
    pub(super) async fn wait(self: &Arc<Self>, most: Option<u32>, queue: &Queue) -> Option<Place> {
        let until = Instant::now() + queue.wait;
        let _waiter = self.join(queue.size as usize)?;
        let mut freed = pin!(self.freed.notified());
        loop {
            // Known as one who waits before it looks: what is freed from here on wakes it.
            freed.as_mut().enable();
            if let Some(place) = self.take(most) {
                return Some(place);
            }
            tokio::time::timeout_at(until, freed.as_mut()).await.ok()?;
            freed.set(self.freed.notified());
        }
    }

    /// Requests that hold a place.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Requests that wait for one.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    fn take(self: &Arc<Self>, most: Option<u32>) -> Option<Place> {
        let Some(most) = most else {
            self.load.fetch_add(1, Ordering::SeqCst);
            return Some(Place(Arc::clone(self)));
        };
        // Never counted beyond the bound, not for a moment: who is refused misleads nobody.
        let more = |load| (load < most as usize).then_some(load + 1);
        let taken = self
            .load
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        taken.ok().map(|_| Place(Arc::clone(self)))
    }

    fn join(&self, size: usize) -> Option<Waiter<'_>> {
        let waiter = Waiter(self);
        let before = self.waiting.fetch_add(1, Ordering::SeqCst);
        (before < size).then_some(waiter)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::SeqCst);
        if self.0.waiting() > 0 {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const QUEUE: Queue = Queue {
        size: 2,
        wait: Duration::from_secs(1),
    };

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_place_that_is_freed() {
        let bulkhead = Arc::new(Bulkhead::default());
        let held = bulkhead.enter(Some(1)).unwrap();
        let waits = || {
            let bulkhead = Arc::clone(&bulkhead);
            tokio::spawn(async move { bulkhead.wait(Some(1), &QUEUE).await })
        };
        let (first, second) = (waits(), waits());
        while bulkhead.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(bulkhead.enter(Some(1)).is_none(), "it is full");
        assert!(
            bulkhead.wait(Some(1), &QUEUE).await.is_none(),
            "so is the queue"
        );
        drop(held);
        let place = first.await.unwrap().expect("the place");
        assert!(bulkhead.enter(Some(1)).is_none(), "the second one waits");
        drop(place);
        let place = second.await.unwrap().expect("the place");
        assert_eq!((bulkhead.load(), bulkhead.waiting()), (1, 0));
        drop(place);
        assert!(bulkhead.enter(Some(1)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_queue_allows() {
        let bulkhead = Arc::new(Bulkhead::default());
        let _held = bulkhead.enter(Some(1)).unwrap();
        let before = Instant::now();
        assert!(bulkhead.wait(Some(1), &QUEUE).await.is_none());
        assert_eq!(before.elapsed().as_secs(), 1);
        assert_eq!((bulkhead.load(), bulkhead.waiting()), (1, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_place_is_lost_between_threads() {
        let bulkhead = Arc::new(Bulkhead::default());
        let queue = Queue {
            size: 100,
            wait: Duration::from_secs(60),
        };
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let bulkhead = Arc::clone(&bulkhead);
                let queue = queue.clone();
                tokio::spawn(async move {
                    for _ in 0..50 {
                        let place = match bulkhead.enter(Some(3)) {
                            Some(place) => place,
                            None => bulkhead.wait(Some(3), &queue).await.expect("a place"),
                        };
                        tokio::task::yield_now().await;
                        drop(place);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((bulkhead.load(), bulkhead.waiting()), (0, 0));
    }
}
