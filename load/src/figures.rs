//! What a run found, as plain figures: what the report is drawn from and `--json` prints.

mod latency;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use self::latency::distribution;
pub use self::latency::{Latency, Quantile};
use crate::{
    engine::Driven,
    measure::{Measured, Series, millis},
    mix::Journey,
    step::Step,
};

/// The generator is behind when one look at the clock in a hundred is later than this.
pub const LAG_MAX: Duration = Duration::from_millis(50);

/// One kind of request, or one kind of journey.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The journey.
    pub journey: &'static str,
    /// The request; of a whole journey `all of it`.
    pub request: &'static str,
    /// How many.
    pub count: u64,
    /// A second.
    pub rate: f64,
    /// From when its arrival was due.
    pub corrected: Latency,
    /// From when it was sent.
    pub service: Latency,
    /// What became of them.
    pub outcomes: BTreeMap<String, u64>,
    /// Of these, not as asked for.
    pub faults: u64,
}

impl Row {
    fn of(journey: &'static str, request: &'static str, series: &Series, seconds: f64) -> Self {
        let outcomes = &series.outcomes;
        let bad = outcomes.iter().filter(|(outcome, _)| !outcome.is_good());
        Self {
            journey,
            request,
            count: series.count(),
            rate: series.count() as f64 / seconds,
            corrected: Latency::of(&series.corrected),
            service: Latency::of(&series.service),
            outcomes: outcomes
                .iter()
                .map(|(one, count)| (one.to_string(), *count))
                .collect(),
            faults: bad.map(|(_, count)| count).sum(),
        }
    }
}

/// One second of a phase.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// From the beginning of the phase.
    pub second: usize,
    /// Arrivals due.
    pub arrivals: u64,
    /// Journeys that ended.
    pub journeys: u64,
    /// Requests that ended.
    pub requests: u64,
    /// Of these, not as asked for.
    pub faults: u64,
    /// Answers whose arrival was due in it; none without any.
    pub answers: Option<Latency>,
}

/// What a part of the system cost.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// The part.
    pub part: String,
    /// Processor time of the window.
    pub cpu_seconds: f64,
    /// Processors that it kept busy.
    pub cores: f64,
    /// Processor time by request that ended in the window.
    pub ms_per_request: f64,
    /// Processor time by journey that ended in the window.
    pub ms_per_journey: f64,
    /// At the end of the window.
    pub memory_mib: f64,
}

/// How the generator did.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generator {
    /// How late it looked at the clock: 99 % were earlier, in milliseconds.
    pub lag_p99: f64,
    /// The most that waited for a player at once.
    pub longest_queue: usize,
    /// How many may wait.
    pub queue_bound: usize,
    /// Arrivals that were not started, since the queue was full.
    pub dropped: u64,
    /// Why the phase is invalid; nothing when it is not.
    pub faults: Vec<String>,
}

impl Generator {
    pub(crate) fn of(driven: &Driven, queue_bound: usize) -> Self {
        let lag_p99 = millis(driven.lag.value_at_quantile(0.99));
        let mut faults = Vec::new();
        if driven.dropped > 0 {
            faults.push(format!(
                "{} arrivals found all players busy and {queue_bound} waiting before them, and were \
                 not started",
                driven.dropped
            ));
        }
        if lag_p99 > millis(crate::measure::micros(LAG_MAX)) {
            faults.push(format!(
                "the generator itself was late: by more than {lag_p99:.0} ms for one arrival in a \
                 hundred, {} ms are allowed",
                LAG_MAX.as_millis()
            ));
        }
        Self {
            lag_p99,
            longest_queue: driven.longest_queue,
            queue_bound,
            dropped: driven.dropped,
            faults,
        }
    }
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// What it is.
    pub name: String,
    /// Arrivals a second that were asked for.
    pub rate: f64,
    /// Its length in seconds, without what went before.
    pub seconds: f64,
    /// Where it begins to count, in seconds.
    pub from: f64,
    /// Arrivals a second that were due.
    pub offered: f64,
    /// Journeys a second that ended.
    pub achieved: f64,
    /// Answers a second.
    pub answers_per_second: f64,
    /// Requests a second.
    pub requests_per_second: f64,
    /// Requests that did not end as asked for.
    pub faults: u64,
    /// What became of all requests.
    pub outcomes: BTreeMap<String, u64>,
    /// Answers, whatever the journey; none without any.
    pub answers: Option<Row>,
    /// By journey and request.
    pub requests: Vec<Row>,
    /// Whole journeys.
    pub journeys: Vec<Row>,
    /// Second by second.
    pub timeline: Vec<Point>,
    /// Of answers; of all journeys where there are none.
    pub distribution: Vec<Quantile>,
    /// By part.
    pub costs: Vec<Cost>,
    /// Which part of the machine's processors was busy, 0 to 1.
    pub machine_busy: f64,
    /// Processors that were busy with what is neither the system nor the generator: with the
    /// kernel's own work, or with somebody who disturbs the measurement.
    pub other_cores: f64,
    /// The load average of the minute before the end.
    pub load_average: f64,
    /// Events that came into the log; none where nobody can be asked.
    pub events: Option<i64>,
    /// Bytes that the stores grew by.
    pub grown: Vec<(String, i64)>,
    /// The generator.
    pub generator: Generator,
}

impl Phase {
    /// What was measured, as figures; costs and events are added by whoever looked at them.
    pub(crate) fn of(name: &str, rate: f64, measured: &Measured, generator: Generator) -> Self {
        let seconds = measured.window.seconds();
        let answers = measured.answers();
        let curve = if answers.count() > 0 {
            answers.clone()
        } else {
            all_of(measured)
        };
        let row = |((journey, step), series): ((Journey, Step), &Series)| {
            Row::of(journey.name(), step.request(), series, seconds)
        };
        let series = measured.series.iter().map(|(key, series)| (*key, series));
        let journeys = measured.journeys.iter();
        Self {
            name: name.to_owned(),
            rate,
            seconds,
            from: measured.window.from.as_secs_f64(),
            offered: measured.offered as f64 / seconds,
            achieved: measured.rate(),
            answers_per_second: answers.count() as f64 / seconds,
            requests_per_second: measured.requests as f64 / seconds,
            faults: measured.faults(),
            outcomes: measured
                .outcomes()
                .iter()
                .map(|(one, n)| (one.to_string(), *n))
                .collect(),
            answers: (answers.count() > 0)
                .then(|| Row::of("all", Step::Answer.request(), &answers, seconds)),
            requests: series.map(row).collect(),
            journeys: journeys
                .map(|(journey, series)| Row::of(journey.name(), "all of it", series, seconds))
                .collect(),
            timeline: timeline(measured),
            distribution: distribution(&curve),
            costs: Vec::new(),
            machine_busy: 0.0,
            other_cores: 0.0,
            load_average: 0.0,
            events: None,
            grown: Vec::new(),
            generator,
        }
    }
}

fn all_of(measured: &Measured) -> Series {
    let mut all = Series::default();
    for series in measured.series.values() {
        all.merge(series);
    }
    all
}

fn timeline(measured: &Measured) -> Vec<Point> {
    let seconds = measured.seconds.iter().enumerate();
    let point = |(second, one): (usize, &crate::measure::Second)| Point {
        second,
        arrivals: one.arrivals,
        journeys: one.journeys,
        requests: one.requests,
        faults: one.faults,
        answers: (!one.answers.is_empty()).then(|| Latency::of(&one.answers)),
    };
    seconds.map(point).collect()
}

/// One step of the search.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchStep {
    /// Arrivals a second that were asked for.
    pub rate: f64,
    /// Arrivals a second that were due.
    pub offered: f64,
    /// Journeys a second that ended.
    pub achieved: f64,
    /// Answers a second.
    pub answers_per_second: f64,
    /// Of answers, in milliseconds.
    pub p99: f64,
    /// Requests that did not end as asked for.
    pub faults: u64,
    /// Which part of the machine's processors was busy, 0 to 1.
    pub machine_busy: f64,
    /// Why the rate is not sustained; nothing when it is.
    pub broken: Vec<String>,
}

/// One thing that a run must show.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// What it is.
    pub name: String,
    /// Whether it does; none where it was not judged.
    pub passed: Option<bool>,
    /// The figures.
    pub detail: String,
}

/// What the audit said.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Whether everything agrees.
    pub agrees: bool,
    /// In words.
    pub text: String,
    /// Answers whose outcome no client was ever told.
    pub unknown: usize,
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// What was under load.
    pub system: String,
    /// When it began, RFC 3339.
    pub at: String,
    /// The commit, with `+` when files were changed.
    pub commit: String,
    /// Where.
    pub machine: Vec<(String, String)>,
    /// How: name and value.
    pub parameters: Vec<(String, String)>,
    /// Journeys and their shares of the arrivals, 0 to 1.
    pub mix: Vec<(Journey, f64)>,
    /// The search, step by step.
    pub search: Vec<SearchStep>,
    /// The highest rate that was sustained, in arrivals a second.
    pub peak: Option<f64>,
    /// The measurements.
    pub phases: Vec<Phase>,
    /// The audit; none where nobody can be asked.
    pub audit: Option<Audit>,
    /// The verdict.
    pub bars: Vec<Bar>,
    /// What an answer's p99 may be, in milliseconds.
    pub p99_bar: f64,
    /// How long all of it took.
    pub took_seconds: f64,
}

impl Run {
    /// Whether nothing that was judged failed.
    pub fn passed(&self) -> bool {
        self.bars.iter().all(|bar| bar.passed != Some(false))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        measure::{Request, Window, histogram},
        outcome::Outcome,
    };

    /// Three seconds of answers, one of them taken back; the later, the slower.
    pub(crate) fn phase(name: &str) -> Phase {
        let mut measured = Measured::new(Window {
            from: Duration::from_secs(1),
            to: Duration::from_secs(3),
        });
        for number in 0..300_u64 {
            let due = Duration::from_millis(number * 10);
            let took = Duration::from_millis(5 + number / 10);
            let outcome = match number {
                250 => Outcome::Compensated,
                _ => Outcome::Done(200),
            };
            measured.arrival(due);
            measured.request(Request {
                journey: Journey::Answer,
                step: Step::Answer,
                outcome: outcome.clone(),
                due,
                ended: due + took,
                corrected: took,
                service: took / 2,
            });
            measured.journey(Journey::Answer, due, due + took, Duration::ZERO, outcome);
        }
        let driven = Driven {
            started: 300,
            dropped: 0,
            longest_queue: 2,
            lag: histogram(),
        };
        let mut phase = Phase::of(name, 100.0, &measured, Generator::of(&driven, 200));
        phase.costs = vec![Cost {
            part: "banyan <up>".to_owned(),
            cpu_seconds: 1.5,
            cores: 0.75,
            ms_per_request: 7.5,
            ms_per_journey: 7.5,
            memory_mib: 40.0,
        }];
        phase
    }

    #[test]
    fn a_phase_says_what_counts_in_its_window() {
        let phase = phase("one");
        assert_eq!((phase.offered, phase.faults), (100.0, 1));
        let answers = phase.answers.unwrap();
        assert_eq!(answers.count, 200);
        assert!(answers.corrected.p99 > answers.service.p99);
        assert_eq!(answers.outcomes["503 answer_compensated"], 1);
        assert_eq!(phase.timeline.len(), 4, "the last ones end in the fourth");
        assert!(phase.distribution.is_sorted_by_key(|point| point.corrected));
        assert!(phase.generator.faults.is_empty());
    }

    #[test]
    fn a_generator_that_fell_behind_or_dropped_makes_a_phase_invalid() {
        let mut driven = Driven {
            started: 100,
            dropped: 0,
            longest_queue: 5,
            lag: histogram(),
        };
        driven.lag.record_n(1_000, 98).unwrap();
        assert!(Generator::of(&driven, 5).faults.is_empty());
        driven.lag.record_n(70_000, 2).unwrap();
        driven.dropped = 7;
        let faults = Generator::of(&driven, 5).faults;
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("5 waiting"), "{faults:?}");
    }
}
