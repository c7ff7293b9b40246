//! What the clients measured. Nothing here is estimated: each number was counted or timed by a
//! client of the gateway.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::time::Instant;
use uuid::Uuid;

use super::ledger::{Outcome, Side, Told};

/// Latencies are kept to the microsecond, up to this; a client gives up before.
const LONGEST: u64 = 300_000_000;
/// Seconds that the view calls "now".
const RECENT: usize = 5;

/// Counters and histograms that all clients write to.
#[derive(Debug)]
pub(crate) struct Observed(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    total: Tally,
    step: Tally,
    /// Of the last seconds, the newest last.
    recent: VecDeque<Histogram<u64>>,
    /// Answers whose clients still wait, by their keys, and since when.
    open: HashMap<Uuid, Instant>,
}

/// What was counted since some moment.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Responses by the side that served them.
    pub(crate) legacy: u64,
    /// See `legacy`.
    pub(crate) candidate: u64,
    /// Requests without a response from either side: the gateway's own refusals, lost connections.
    pub(crate) unserved: u64,
    /// Answers accepted on legacy.
    pub(crate) accepted_legacy: u64,
    /// Answers accepted on the candidate.
    pub(crate) accepted_candidate: u64,
    /// Answers taken back.
    pub(crate) compensated: u64,
    /// Answers refused for good.
    pub(crate) refused: u64,
    /// Answers without a definite outcome.
    pub(crate) unknown: u64,
    /// Repeats with the same key.
    pub(crate) retries: u64,
    /// Ticks at which every player was still waiting for an answer.
    pub(crate) all_busy: u64,
    /// From the first request to the outcome, of accepted answers; microseconds.
    latency: Histogram<u64>,
    /// The same, of compensated ones.
    taken_back: Histogram<u64>,
}

/// Milliseconds below which half and 99 % of the answers came.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Quantiles {
    /// Half.
    pub(crate) p50: f64,
    /// 99 of 100.
    pub(crate) p99: f64,
}

/// How one request ended, as counted by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// A side answered.
    By(Side),
    /// Neither did.
    Not,
}

impl Default for Observed {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            total: Tally::default(),
            step: Tally::default(),
            recent: VecDeque::from([histogram()]),
            open: HashMap::new(),
        }))
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            legacy: 0,
            candidate: 0,
            unserved: 0,
            accepted_legacy: 0,
            accepted_candidate: 0,
            compensated: 0,
            refused: 0,
            unknown: 0,
            retries: 0,
            all_busy: 0,
            latency: histogram(),
            taken_back: histogram(),
        }
    }
}

impl Tally {
    /// Takes the outcomes from the ledger: what was unknown at first was asked for again.
    pub(crate) fn recount(&mut self, told: &[Told]) {
        let count = |outcome, side: Option<Side>| {
            let those = told.iter().filter(|told| {
                told.outcome == outcome && side.is_none_or(|side| told.side == side)
            });
            u64::try_from(those.count()).unwrap_or(u64::MAX)
        };
        self.accepted_legacy = count(Outcome::Accepted, Some(Side::Legacy));
        self.accepted_candidate = count(Outcome::Accepted, Some(Side::Candidate));
        self.compensated = count(Outcome::Compensated, None);
        self.refused = count(Outcome::Refused, None);
        self.unknown = count(Outcome::Unknown, None);
    }

    /// Of accepted answers.
    pub(crate) fn accepted_quantiles(&self) -> Quantiles {
        quantiles(&self.latency)
    }

    /// Of compensated answers.
    pub(crate) fn compensated_quantiles(&self) -> Quantiles {
        quantiles(&self.taken_back)
    }
}

impl Observed {
    /// Counts a request.
    pub(crate) fn request(&self, served: Served) {
        self.count(|tally| match served {
            Served::By(Side::Legacy) => tally.legacy += 1,
            Served::By(Side::Candidate) => tally.candidate += 1,
            Served::Not => tally.unserved += 1,
        });
    }

    /// Counts a repeat.
    pub(crate) fn retry(&self) {
        self.count(|tally| tally.retries += 1);
    }

    /// Counts a tick that found no idle player.
    pub(crate) fn all_busy(&self) {
        self.count(|tally| tally.all_busy += 1);
    }

    /// A client begins to wait for what comes of `key`.
    pub(crate) fn opened(&self, key: Uuid) {
        self.lock().open.insert(key, Instant::now());
    }

    /// Whether a client still waits for an answer that it gave before `moment`.
    pub(crate) fn waits_since_before(&self, moment: Instant) -> bool {
        self.lock().open.values().any(|since| *since < moment)
    }

    /// Counts what came of `key`, and how long its client waited for it.
    pub(crate) fn closed(&self, key: Uuid, outcome: Outcome, side: Side) {
        let since = self.lock().open.remove(&key);
        self.outcome(
            outcome,
            side,
            since.map(|since| since.elapsed()).unwrap_or_default(),
        );
    }

    fn outcome(&self, outcome: Outcome, side: Side, waited: Duration) {
        let micros = u64::try_from(waited.as_micros())
            .unwrap_or(LONGEST)
            .clamp(1, LONGEST);
        let mut inner = self.lock();
        if outcome == Outcome::Accepted
            && let Some(now) = inner.recent.back_mut()
        {
            now.saturating_record(micros);
        }
        let Inner { total, step, .. } = &mut *inner;
        for tally in [total, step] {
            match (outcome, side) {
                (Outcome::Accepted, Side::Legacy) => tally.accepted_legacy += 1,
                (Outcome::Accepted, Side::Candidate) => tally.accepted_candidate += 1,
                (Outcome::Compensated, _) => tally.compensated += 1,
                (Outcome::Refused, _) => tally.refused += 1,
                (Outcome::Unknown, _) => tally.unknown += 1,
            }
            match outcome {
                Outcome::Accepted => tally.latency.saturating_record(micros),
                Outcome::Compensated => tally.taken_back.saturating_record(micros),
                Outcome::Refused | Outcome::Unknown => {}
            }
        }
    }

    /// Begins a new second of what the view calls "now".
    pub(crate) fn second(&self) {
        let mut inner = self.lock();
        if inner.recent.len() == RECENT {
            inner.recent.pop_front();
        }
        inner.recent.push_back(histogram());
    }

    /// All since the beginning.
    pub(crate) fn total(&self) -> Tally {
        self.lock().total.clone()
    }

    /// What was counted since the last call, and begins anew.
    pub(crate) fn take_step(&self) -> Tally {
        std::mem::take(&mut self.lock().step)
    }

    /// Accepted answers of the last seconds.
    pub(crate) fn recent(&self) -> Quantiles {
        let mut all = histogram();
        for second in &self.lock().recent {
            // All have the same bounds, so that nothing can be refused.
            all.add(second).ok();
        }
        quantiles(&all)
    }

    fn count(&self, count: impl Fn(&mut Tally)) {
        let mut inner = self.lock();
        count(&mut inner.total);
        count(&mut inner.step);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::expect_used, reason = "constant bounds, made by every test")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST, 3).expect("bounds that hdrhistogram accepts")
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    let at = |quantile: f64| {
        let micros = u32::try_from(histogram.value_at_quantile(quantile)).unwrap_or(u32::MAX);
        f64::from(micros) / 1000.0
    };
    if histogram.is_empty() {
        return Quantiles::default();
    }
    Quantiles {
        p50: at(0.5),
        p99: at(0.99),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_side_and_timed_by_outcome() {
        let observed = Observed::default();
        let ms = Duration::from_millis;
        observed.outcome(Outcome::Accepted, Side::Legacy, ms(10));
        observed.outcome(Outcome::Accepted, Side::Candidate, ms(20));
        observed.outcome(Outcome::Compensated, Side::Candidate, ms(5000));
        let total = observed.total();
        assert_eq!((total.accepted_legacy, total.accepted_candidate), (1, 1));
        assert_eq!(total.compensated, 1);
        assert!((total.accepted_quantiles().p99 - 20.0).abs() < 0.1);
        assert!((total.compensated_quantiles().p50 - 5000.0).abs() < 10.0);
    }

    #[test]
    fn a_step_begins_with_nothing() {
        let observed = Observed::default();
        observed.request(Served::By(Side::Legacy));
        observed.request(Served::Not);
        let step = observed.take_step();
        assert_eq!((step.legacy, step.unserved), (1, 1));
        assert_eq!(observed.take_step().legacy, 0);
        assert_eq!(observed.total().legacy, 1);
    }

    #[test]
    fn who_waits_since_before_a_moment_is_known() {
        let (observed, key) = (Observed::default(), Uuid::nil());
        let before = Instant::now();
        observed.opened(key);
        let after = Instant::now() + Duration::from_millis(1);
        assert!(!observed.waits_since_before(before));
        assert!(observed.waits_since_before(after));
        observed.closed(key, Outcome::Accepted, Side::Legacy);
        assert!(!observed.waits_since_before(after));
        assert_eq!(observed.total().accepted_legacy, 1);
    }

    #[test]
    fn what_is_called_now_passes() {
        let observed = Observed::default();
        observed.outcome(Outcome::Accepted, Side::Legacy, Duration::from_millis(30));
        assert!(observed.recent().p50 > 29.0);
        for _ in 0..RECENT {
            observed.second();
        }
        assert_eq!(observed.recent(), Quantiles::default());
    }
}
