//! On a clock that stands still until everybody waits, so that every figure is exact.

use std::sync::{Mutex, PoisonError};

use tokio::{sync::Semaphore, time::sleep};

use super::*;
use crate::{
    mix::{Journey, Mix},
    schedule::{Schedule, Spread},
};

/// A server that takes 1 ms for a request, and once stands still for a second.
struct Stalls {
    one_at_a_time: Semaphore,
    stalls_at: Duration,
    stalls_for: Duration,
    times: Mutex<Times>,
}

#[derive(Default)]
struct Times {
    corrected: Vec<Duration>,
    service: Vec<Duration>,
    due: u64,
    stalled: bool,
}

impl Stalls {
    fn new(stalls_for: Duration) -> Arc<Self> {
        Arc::new(Self {
            one_at_a_time: Semaphore::new(1),
            stalls_at: Duration::from_secs(4),
            stalls_for,
            times: Mutex::default(),
        })
    }

    /// Milliseconds of which `quantile` are below: corrected, and as the client alone sees it.
    fn percentile(&self, quantile: f64) -> (u128, u128) {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |mut all: Vec<Duration>| {
            all.sort();
            all[((all.len() - 1) as f64 * quantile) as usize].as_millis()
        };
        (of(times.corrected.clone()), of(times.service.clone()))
    }
}

impl Work for Stalls {
    type Player = ();

    fn due(&self, _: Duration) {
        self.times
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .due += 1;
    }

    async fn perform(self: Arc<Self>, _: Arrival, (): (), begin: Begin) {
        let served = self.one_at_a_time.acquire().await;
        let is_stall = {
            let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
            let due = begin.phase.elapsed() >= self.stalls_at;
            due && !std::mem::replace(&mut times.stalled, due)
        };
        let pause = if is_stall {
            self.stalls_for
        } else {
            Duration::ZERO
        };
        // The virtual server's work.
        sleep(Duration::from_millis(1) + pause).await;
        drop(served);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let service = begin.begun.elapsed();
        times.service.push(service);
        times.corrected.push(service + begin.delay());
    }
}

fn schedule(rate: f64, seconds: u64) -> Schedule {
    let mix = Mix::load(None).unwrap().only(Journey::Own);
    Schedule::new(1, &mix, Spread::Uniform, rate, Duration::from_secs(seconds))
}

/// Drives work in which nobody panics.
async fn driven<W: Work<Player = ()>>(
    work: &Arc<W>,
    players: usize,
    schedule: Schedule,
    queue: usize,
) -> Driven {
    let mut players = vec![(); players];
    let driven = drive(work, &mut players, schedule, queue).await;
    driven.expect("nobody panics")
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_a_second_shows_in_the_corrected_latency_although_one_request_met_it() {
    let server = Stalls::new(Duration::from_secs(1));
    // One player: a client that waits for its answer before it asks again, as closed loops do.
    let driven = driven(&server, 1, schedule(100.0, 10), 1_000).await;
    assert_eq!((driven.started, driven.dropped), (1_000, 0));
    // 1 s × 100/s came during the stall and 11 % more while the backlog was worked off.
    let (corrected, service) = server.percentile(0.95);
    assert!((400..700).contains(&corrected), "{corrected} ms");
    assert!(service <= 2, "{service} ms: the client alone sees nothing");
    let (corrected, service) = server.percentile(0.99);
    assert!((850..1_005).contains(&corrected), "{corrected} ms");
    assert!(service <= 2, "{service} ms");
    assert!((85..=101).contains(&driven.longest_queue), "{driven:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_stall_both_latencies_agree() {
    let server = Stalls::new(Duration::ZERO);
    let mut players = vec![(); 8];
    let driven = drive(&server, &mut players, schedule(100.0, 10), 1_000).await;
    let driven = driven.expect("nobody panics");
    let (corrected, service) = server.percentile(0.999);
    assert!(corrected <= service + 1, "{corrected} ms, {service} ms");
    assert_eq!(driven.longest_queue, 0);
    assert_eq!(players.len(), 8, "everybody came back");
}

#[tokio::test(start_paused = true)]
async fn arrivals_beyond_the_queue_are_dropped_and_counted() {
    let server = Stalls::new(Duration::from_secs(1));
    let driven = driven(&server, 1, schedule(100.0, 10), 20).await;
    assert_eq!(driven.started + driven.dropped, 1_000);
    let due = server
        .times
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .due;
    assert_eq!(due, 1_000, "whoever was dropped was due all the same");
    assert!((70..90).contains(&driven.dropped), "{driven:?}");
    assert_eq!(driven.longest_queue, 20);
}

#[tokio::test(start_paused = true)]
async fn a_generator_that_gets_no_processor_says_so() {
    /// Keeps the only thread of this runtime busy, as a starved machine does.
    struct Hogs;
    impl Work for Hogs {
        type Player = ();
        async fn perform(self: Arc<Self>, _: Arrival, (): (), begin: Begin) {
            if begin.phase.elapsed() > Duration::from_secs(1) {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
        }
    }
    let driven = driven(&Arc::new(Hogs), 4, schedule(100.0, 2), 1_000).await;
    assert!(driven.lag.value_at_quantile(0.99) > 50_000, "{driven:?}");
}

#[tokio::test(start_paused = true)]
async fn a_journey_that_panics_ends_the_run_with_an_error() {
    struct Panics;
    impl Work for Panics {
        type Player = ();
        async fn perform(self: Arc<Self>, _: Arrival, (): (), _: Begin) {
            panic!("a defect of the generator");
        }
    }
    let (work, mut players) = (Arc::new(Panics), vec![(); 4]);
    let driven = drive(&work, &mut players, schedule(100.0, 2), 1_000);
    // On the paused clock a run that hangs is here at once.
    let ended = tokio::time::timeout(Duration::from_secs(60), driven).await;
    let error = ended.expect("it ends").expect_err("the panic is told");
    assert!(error.is_panic(), "{error}");
}
