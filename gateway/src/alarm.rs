//! Timers of a worker that are set for each request and hardly ever ring.
//!
//! Setting a timer and taking it back costs a lock and two walks through the runtime's wheel, each
//! time. A timer that is only moved to a later time costs one write: so those that are done with are
//! kept by their thread, still set, and moved for who comes next. One that nobody took meanwhile
//! rings for whoever had it last, whose task looks and finds nothing to do.
//!
//! Invariant: a kept timer belongs to the runtime of its thread, which is the worker's only one.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

/// The most timers that a thread keeps: as many as requests are under way at once on a
/// busy worker. Beyond it they are made anew.
const MOST_KEPT: usize = 1024;

thread_local! {
    /// Timers that wait for their next use.
    static KEPT: RefCell<Vec<Pin<Box<Sleep>>>> = const { RefCell::new(Vec::new()) };
}

/// A timer that is set.
#[derive(Debug)]
pub(crate) struct Alarm {
    /// Taken when it is dropped.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// A timer that rings at `deadline`.
    pub(crate) fn at(deadline: Instant) -> Self {
        let sleep = match KEPT.with_borrow_mut(Vec::pop) {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            None => Box::pin(tokio::time::sleep_until(deadline)),
        };
        Self { sleep: Some(sleep) }
    }

    /// Moves it.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(deadline);
        }
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let Some(sleep) = self.sleep.take().filter(|sleep| !sleep.is_elapsed()) else {
            return;
        };
        // A thread that ends takes its timers with it.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MOST_KEPT {
                kept.push(sleep);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kept() -> usize {
        KEPT.with_borrow(Vec::len)
    }

    fn alarm(after: Duration) -> Alarm {
        Alarm::at(Instant::now() + after)
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_timer_rings_at_its_new_time() {
        let second = Duration::from_secs(1);
        let begun = Instant::now();
        let mut first = alarm(10 * second);
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        assert_eq!(kept(), 1);
        alarm(20 * second).await;
        assert_eq!((begun.elapsed().as_secs(), kept()), (20, 0));
        let sooner = alarm(5 * second);
        drop(alarm(30 * second));
        sooner.await;
        assert_eq!(begun.elapsed().as_secs(), 25);
        let mut moved = alarm(second);
        moved.reset(Instant::now() + 3 * second);
        moved.await;
        assert_eq!(begun.elapsed().as_secs(), 28);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_timers_are_kept_than_are_of_use() {
        let many: Vec<Alarm> = (0..MOST_KEPT + 10)
            .map(|_| alarm(Duration::from_secs(1)))
            .collect();
        drop(many);
        assert_eq!(kept(), MOST_KEPT);
    }
}
