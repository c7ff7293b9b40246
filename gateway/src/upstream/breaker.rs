//! The circuit breaker of one endpoint: a pure state machine behind one lock.
//!
//! Invariant: while open nothing passes until `open_for` has gone by; then exactly one request at a
//! time probes, and its outcome alone closes or reopens the circuit. Time comes from the caller.

mod cap;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use cap::Cap;

/// When the circuit opens and how long it stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// This many failures …
    pub failures: u32,
    /// … within this time open the circuit.
    pub window: Duration,
    /// How long nothing is tried before a probe may pass.
    pub open_for: Duration,
}

/// What an operator sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Requests pass; failures are counted.
    Closed,
    /// Requests are refused.
    Open,
    /// One request at a time passes, to find out.
    HalfOpen,
}

/// One endpoint's breaker. Cheap while closed and healthy: one atomic load per request.
#[derive(Debug)]
pub struct Breaker {
    policy: Policy,
    cap: Arc<Cap>,
    /// A copy of the state's phase for the fast path; the lock's content is the truth.
    hint: AtomicU8,
    opened: AtomicU64,
    state: Mutex<State>,
}

/// The right to make one attempt. Dropping it without an outcome (a client that went away) frees
/// the probe's place and counts as neither success nor failure.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    breaker: Arc<Breaker>,
    is_probe: bool,
    is_settled: bool,
}

#[derive(Debug)]
enum State {
    Closed { failures: VecDeque<Instant> },
    Open { until: Instant },
    HalfOpen { is_probing: bool },
}

const CLOSED: u8 = 0;
const OPEN: u8 = 1;
const HALF_OPEN: u8 = 2;

impl Breaker {
    /// A closed circuit, which opens only within the cap.
    pub fn new(policy: Policy, cap: Arc<Cap>) -> Self {
        Self {
            policy,
            cap,
            hint: AtomicU8::new(CLOSED),
            opened: AtomicU64::new(0),
            state: Mutex::new(State::Closed {
                failures: VecDeque::new(),
            }),
        }
    }

    /// Asks to make one attempt; `None` while the circuit is open or being probed.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Option<Permit> {
        let is_probe = if self.hint.load(Ordering::Relaxed) == CLOSED {
            false
        } else {
            self.admit_slowly(now)?
        };
        Some(Permit {
            breaker: Arc::clone(self),
            is_probe,
            is_settled: false,
        })
    }

    /// True when [`Self::admit`] would pass; changes nothing.
    pub fn would_admit(&self, now: Instant) -> bool {
        if self.hint.load(Ordering::Relaxed) == CLOSED {
            return true;
        }
        match &*self.lock() {
            State::Closed { .. } => true,
            State::Open { until } => now >= *until,
            State::HalfOpen { is_probing } => !is_probing,
        }
    }

    /// An answer that had begun broke off; it counts as a failure, and as no probe's outcome.
    pub fn broke_off(&self, now: Instant) {
        self.on_failure(now, false);
    }

    /// How often the circuit opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// The phase at `now`, for people.
    pub fn phase(&self, now: Instant) -> Phase {
        match &*self.lock() {
            State::Closed { .. } => Phase::Closed,
            State::Open { until } if now >= *until => Phase::HalfOpen,
            State::Open { .. } => Phase::Open,
            State::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    fn admit_slowly(&self, now: Instant) -> Option<bool> {
        let mut state = self.lock();
        match &mut *state {
            State::Closed { .. } => Some(false),
            State::Open { until } if now < *until => None,
            State::Open { .. } => {
                *state = State::HalfOpen { is_probing: true };
                self.hint.store(HALF_OPEN, Ordering::Relaxed);
                Some(true)
            }
            State::HalfOpen { is_probing: true } => None,
            State::HalfOpen { is_probing } => {
                *is_probing = true;
                Some(true)
            }
        }
    }

    fn on_failure(&self, now: Instant, is_probe: bool) {
        let mut state = self.lock();
        let opens = match &mut *state {
            State::Closed { failures } => {
                // More than decide need not be known, however long the cap keeps the circuit closed.
                if failures.len() >= self.policy.failures as usize {
                    failures.pop_front();
                }
                failures.push_back(now);
                while failures
                    .front()
                    .is_some_and(|at| now.duration_since(*at) > self.policy.window)
                {
                    failures.pop_front();
                }
                // A circuit that the cap keeps closed opens with a later failure, once there is room.
                failures.len() >= self.policy.failures as usize && self.cap.open()
            }
            // A straggler from before the circuit opened says nothing new.
            State::Open { .. } => false,
            State::HalfOpen { .. } => is_probe,
        };
        if opens {
            let until = now + self.policy.open_for;
            *state = State::Open { until };
            self.hint.store(OPEN, Ordering::Relaxed);
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn on_probe_success(&self) {
        let mut state = self.lock();
        if !matches!(*state, State::Closed { .. }) {
            self.cap.close();
        }
        *state = State::Closed {
            failures: VecDeque::new(),
        };
        self.hint.store(CLOSED, Ordering::Relaxed);
    }

    fn on_probe_lost(&self) {
        if let State::HalfOpen { is_probing } = &mut *self.lock() {
            *is_probing = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The endpoint answered, whatever it said, as long as it was an outcome. True when that closed
    /// its circuit.
    pub fn succeed(mut self) -> bool {
        self.is_settled = true;
        if self.is_probe {
            self.breaker.on_probe_success();
        }
        self.is_probe
    }

    /// The attempt failed: connect, reset, timeout, or an uncoded 500, 502, 503 or 504.
    pub fn fail(mut self, now: Instant) {
        self.is_settled = true;
        self.breaker.on_failure(now, self.is_probe);
    }
}

impl Drop for Breaker {
    fn drop(&mut self) {
        if !matches!(*self.lock(), State::Closed { .. }) {
            self.cap.close();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_probe && !self.is_settled {
            self.breaker.on_probe_lost();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        failures: 3,
        window: Duration::from_secs(10),
        open_for: Duration::from_secs(5),
    };

    struct Scene {
        breaker: Arc<Breaker>,
        start: Instant,
    }

    fn cap(endpoints: usize) -> Arc<Cap> {
        let cap = Cap::new(50);
        cap.of(endpoints);
        Arc::new(cap)
    }

    impl Scene {
        fn new() -> Self {
            Self {
                breaker: Arc::new(Breaker::new(POLICY, cap(1))),
                start: Instant::now(),
            }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn fail_at(&self, seconds: u64) {
            let now = self.at(seconds);
            self.breaker.admit(now).unwrap().fail(now);
        }

        fn opened() -> Self {
            let scene = Self::new();
            for second in 0..3 {
                scene.fail_at(second);
            }
            scene
        }
    }

    #[test]
    fn failures_within_the_window_open_the_circuit() {
        let scene = Scene::opened();
        assert_eq!(scene.breaker.phase(scene.at(2)), Phase::Open);
        assert!(scene.breaker.admit(scene.at(6)).is_none());
        assert!(!scene.breaker.would_admit(scene.at(6)));
    }

    #[test]
    fn no_more_circuits_open_than_the_cap_allows() {
        let (cap, start) = (cap(5), Instant::now());
        let breakers: Vec<_> = (0..3)
            .map(|_| Arc::new(Breaker::new(POLICY, Arc::clone(&cap))))
            .collect();
        let fail = |breaker: &Arc<Breaker>, times| {
            for _ in 0..times {
                breaker.admit(start).unwrap().fail(start);
            }
        };
        let open = || {
            let phases = breakers.iter().map(|breaker| breaker.phase(start));
            phases.map(|phase| phase == Phase::Open).collect::<Vec<_>>()
        };
        fail(&breakers[0], 3);
        fail(&breakers[1], 3);
        fail(&breakers[2], 30);
        assert_eq!(open(), [true, true, false]);
        let later = start + Duration::from_secs(6);
        let probe = breakers[0].admit(later).unwrap();
        assert!(probe.succeed());
        fail(&breakers[2], 1);
        assert_eq!(open(), [false, true, true]);
        drop(breakers);
        assert!((0..2).all(|_| cap.open()), "what is gone counts no more");
        assert!(!cap.open());
    }

    #[test]
    fn failures_that_are_spread_out_do_not_open_it() {
        let scene = Scene::new();
        for second in [0, 6, 12, 18] {
            scene.fail_at(second);
        }
        assert_eq!(scene.breaker.phase(scene.at(18)), Phase::Closed);
    }

    #[test]
    fn successes_between_failures_do_not_hide_them() {
        let scene = Scene::new();
        for second in 0..3 {
            scene.fail_at(second);
            if let Some(permit) = scene.breaker.admit(scene.at(second)) {
                permit.succeed();
            }
        }
        assert_eq!(scene.breaker.phase(scene.at(3)), Phase::Open);
    }

    #[test]
    fn one_probe_at_a_time_decides_after_the_rest() {
        let scene = Scene::opened();
        let probe = scene.breaker.admit(scene.at(7)).unwrap();
        assert!(scene.breaker.admit(scene.at(7)).is_none());
        probe.succeed();
        assert_eq!(scene.breaker.phase(scene.at(7)), Phase::Closed);
        let permit = scene.breaker.admit(scene.at(7));
        permit.unwrap().succeed();
    }

    #[test]
    fn a_failed_probe_reopens_for_the_full_time() {
        let scene = Scene::opened();
        scene.fail_at(7);
        assert!(scene.breaker.admit(scene.at(11)).is_none());
        assert!(scene.breaker.admit(scene.at(12)).is_some());
    }

    #[test]
    fn a_probe_whose_client_left_frees_its_place() {
        let scene = Scene::opened();
        drop(scene.breaker.admit(scene.at(7)).unwrap());
        assert_eq!(scene.breaker.phase(scene.at(7)), Phase::HalfOpen);
        assert!(scene.breaker.admit(scene.at(7)).is_some());
    }

    #[test]
    fn a_stragglers_failure_does_not_disturb_the_probe() {
        let scene = Scene::new();
        let straggler = scene.breaker.admit(scene.at(0)).unwrap();
        for second in 0..3 {
            scene.fail_at(second);
        }
        let probe = scene.breaker.admit(scene.at(7)).unwrap();
        straggler.fail(scene.at(7));
        assert_eq!(scene.breaker.phase(scene.at(7)), Phase::HalfOpen);
        probe.succeed();
        assert_eq!(scene.breaker.phase(scene.at(7)), Phase::Closed);
    }
}
