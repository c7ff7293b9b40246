//! What was measured: latencies by step, what became of each request, and how both went over time.
//! Everything merges, so that parts of a run add up to the run.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{mix::Journey, outcome::Outcome, step::Step};

/// The longest time that is told apart, in microseconds: far above every timeout.
const LONGEST: u64 = 120_000_000;
/// Three digits: a percentile is right within 0.1 %.
const DIGITS: u8 = 3;
/// The quantiles that tables show.
pub const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// A histogram of microseconds.
pub fn histogram() -> Histogram<u64> {
    // The bounds and digits are constants that it takes.
    Histogram::new_with_bounds(1, LONGEST, DIGITS).unwrap_or_else(|_| unreachable!("good bounds"))
}

/// As microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds as milliseconds.
pub fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// One kind of request.
#[derive(Clone, Debug)]
pub struct Series {
    /// From when its arrival was due.
    pub corrected: Histogram<u64>,
    /// From when it was sent.
    pub service: Histogram<u64>,
    /// What became of it.
    pub outcomes: BTreeMap<Outcome, u64>,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            corrected: histogram(),
            service: histogram(),
            outcomes: BTreeMap::new(),
        }
    }
}

impl Series {
    fn record(&mut self, corrected: Duration, service: Duration, outcome: Outcome) {
        self.corrected.saturating_record(micros(corrected));
        self.service.saturating_record(micros(service));
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    /// Adds what another one has.
    pub fn merge(&mut self, other: &Self) {
        // Both have the bounds of `histogram`.
        self.corrected.add(&other.corrected).ok();
        self.service.add(&other.service).ok();
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
    }

    /// Requests.
    pub fn count(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// One second of a phase.
#[derive(Clone, Debug)]
pub struct Second {
    /// Arrivals due.
    pub arrivals: u64,
    /// Journeys that ended.
    pub journeys: u64,
    /// Requests that ended.
    pub requests: u64,
    /// Of these, not as asked for.
    pub faults: u64,
    /// Corrected latencies of the answers whose arrival was due in it.
    pub answers: Histogram<u32>,
}

impl Default for Second {
    fn default() -> Self {
        Self {
            arrivals: 0,
            journeys: 0,
            requests: 0,
            faults: 0,
            // Two digits are enough for a line, and there are many of them.
            answers: Histogram::new(2).unwrap_or_else(|_| unreachable!("good digits")),
        }
    }
}

/// What one request was.
#[derive(Clone, Debug)]
pub struct Request {
    /// Of which journey.
    pub journey: Journey,
    /// Which request of it.
    pub step: Step,
    /// What became of it.
    pub outcome: Outcome,
    /// When its arrival was due, from the beginning of the phase.
    pub due: Duration,
    /// When it ended, likewise.
    pub ended: Duration,
    /// From when its arrival was due; of later steps, the arrival's own delay and the step's time.
    pub corrected: Duration,
    /// From when it was sent.
    pub service: Duration,
}

/// All that a phase measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What counts: arrivals due in it, and for rates what ended in it.
    pub window: Window,
    /// By journey and step; arrivals of the window.
    pub series: BTreeMap<(Journey, Step), Series>,
    /// Whole journeys, by what they were.
    pub journeys: BTreeMap<Journey, Series>,
    /// Second by second, lead-in included.
    pub seconds: Vec<Second>,
    /// Arrivals due in the window.
    pub offered: u64,
    /// Journeys that ended in the window, whenever they began.
    pub achieved: u64,
    /// Requests that ended in the window.
    pub requests: u64,
}

/// The part of a phase that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// From here: before, the phase settles.
    pub from: Duration,
    /// To here: after, the last ones end.
    pub to: Duration,
}

impl Window {
    /// Whether a moment is in it.
    pub fn has(&self, moment: Duration) -> bool {
        (self.from..self.to).contains(&moment)
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        (self.to - self.from).as_secs_f64()
    }
}

impl Measured {
    /// Nothing yet.
    pub fn new(window: Window) -> Self {
        Self {
            window,
            series: BTreeMap::new(),
            journeys: BTreeMap::new(),
            seconds: Vec::new(),
            offered: 0,
            achieved: 0,
            requests: 0,
        }
    }

    /// Somebody was due.
    pub fn arrival(&mut self, due: Duration) {
        self.second(due).arrivals += 1;
        self.offered += u64::from(self.window.has(due));
    }

    /// A request ended.
    pub fn request(&mut self, request: Request) {
        let is_fault = !request.outcome.is_good();
        let second = self.second(request.ended);
        second.requests += 1;
        second.faults += u64::from(is_fault);
        self.requests += u64::from(self.window.has(request.ended));
        if request.step == Step::Answer {
            let corrected = micros(request.corrected);
            // It grows by itself; what it cannot hold is longer than anything here.
            self.second(request.due).answers.record(corrected).ok();
        }
        if self.window.has(request.due) {
            let series = self.series.entry((request.journey, request.step));
            let series = series.or_default();
            series.record(request.corrected, request.service, request.outcome);
        }
    }

    /// A success that was recorded turned out to be none.
    pub fn unreadable(&mut self, journey: Journey, step: Step, due: Duration) {
        self.second(due).faults += 1;
        if self.window.has(due)
            && let Some(series) = self.series.get_mut(&(journey, step))
        {
            let good = series
                .outcomes
                .iter_mut()
                .find(|(outcome, _)| outcome.is_good());
            if let Some((_, count)) = good {
                *count = count.saturating_sub(1);
            }
            let unreadable = Outcome::Refused(200, "unreadable".to_owned());
            *series.outcomes.entry(unreadable).or_default() += 1;
        }
    }

    /// A journey ended; `outcome` is its last request's.
    pub fn journey(
        &mut self,
        journey: Journey,
        due: Duration,
        ended: Duration,
        delay: Duration,
        outcome: Outcome,
    ) {
        self.second(ended).journeys += 1;
        self.achieved += u64::from(self.window.has(ended));
        if self.window.has(due) {
            let corrected = ended.saturating_sub(due);
            let service = corrected.saturating_sub(delay);
            let series = self.journeys.entry(journey).or_default();
            series.record(corrected, service, outcome);
        }
    }

    /// All answers together.
    pub fn answers(&self) -> Series {
        self.of_step(Step::Answer)
    }

    /// All requests of one step, whatever the journey.
    pub fn of_step(&self, step: Step) -> Series {
        let mut all = Series::default();
        for (_, series) in self.series.iter().filter(|((_, one), _)| *one == step) {
            all.merge(series);
        }
        all
    }

    /// What became of all requests, whatever the step.
    pub fn outcomes(&self) -> BTreeMap<Outcome, u64> {
        let mut all = BTreeMap::new();
        for (outcome, count) in self.series.values().flat_map(|series| &series.outcomes) {
            *all.entry(outcome.clone()).or_default() += count;
        }
        all
    }

    /// Requests of the window that did not end as they were asked to.
    pub fn faults(&self) -> u64 {
        let outcomes = self.outcomes();
        let bad = outcomes.iter().filter(|(outcome, _)| !outcome.is_good());
        bad.map(|(_, count)| count).sum()
    }

    /// Journeys a second that ended.
    pub fn rate(&self) -> f64 {
        self.achieved as f64 / self.window.seconds()
    }

    /// Of what was offered, the part that ended, 0 to 1 and, by chance, a little above.
    pub fn kept_up(&self) -> f64 {
        self.achieved as f64 / (self.offered as f64).max(1.0)
    }

    fn second(&mut self, moment: Duration) -> &mut Second {
        let number = usize::try_from(moment.as_secs()).unwrap_or(usize::MAX);
        // Bounded by the phase and the requests' timeout.
        if self.seconds.len() <= number {
            self.seconds.resize_with(number + 1, Second::default);
        }
        &mut self.seconds[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(due: u64, ended: u64, outcome: Outcome) -> Request {
        Request {
            journey: Journey::Answer,
            step: Step::Answer,
            outcome,
            due: Duration::from_millis(due),
            ended: Duration::from_millis(ended),
            corrected: Duration::from_millis(ended - due),
            service: Duration::from_millis(1),
        }
    }

    fn measured() -> Measured {
        let mut measured = Measured::new(Window {
            from: Duration::from_secs(1),
            to: Duration::from_secs(3),
        });
        for (due, ended) in [(900, 1_100), (1_500, 1_510), (2_900, 3_400)] {
            measured.arrival(Duration::from_millis(due));
            measured.request(request(due, ended, Outcome::Done(200)));
            let (due, ended) = (Duration::from_millis(due), Duration::from_millis(ended));
            measured.journey(
                Journey::Answer,
                due,
                ended,
                Duration::ZERO,
                Outcome::Done(200),
            );
        }
        measured
    }

    #[test]
    fn latencies_count_by_when_they_were_due_and_rates_by_when_they_ended() {
        let measured = measured();
        assert_eq!(measured.answers().count(), 2, "due in the window");
        assert_eq!((measured.offered, measured.achieved), (2, 2), "ended in it");
        assert_eq!(measured.answers().corrected.max() / 1_000, 500);
        let second = &measured.seconds[0].answers;
        assert_eq!((second.len(), second.max() / 10_000), (1, 20), "200 ms");
        assert_eq!(measured.seconds[3].requests, 1);
    }

    #[test]
    fn series_merge_into_the_series_of_both() {
        let (mut one, mut other) = (Series::default(), Series::default());
        let time = Duration::from_millis;
        one.record(time(1), time(1), Outcome::Done(200));
        other.record(time(9), time(2), Outcome::Timeout);
        other.record(time(5), time(2), Outcome::Done(200));
        one.merge(&other);
        assert_eq!(one.count(), 3);
        assert_eq!(one.outcomes[&Outcome::Done(200)], 2);
        assert_eq!(one.corrected.value_at_quantile(0.5) / 1_000, 5);
        assert_eq!(one.corrected.len(), one.service.len());
    }

    #[test]
    fn whatever_did_not_end_as_asked_is_a_fault() {
        let mut measured = measured();
        assert_eq!(measured.faults(), 0);
        for outcome in [
            Outcome::Pending,
            Outcome::Compensated,
            Outcome::Refused(429, "rate_limited".to_owned()),
            Outcome::Timeout,
            Outcome::Lost("reset".to_owned()),
        ] {
            measured.request(request(2_000, 2_001, outcome));
        }
        assert_eq!(measured.faults(), 5);
        assert_eq!(measured.seconds[2].faults, 5);
    }
}
