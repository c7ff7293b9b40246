//! Which charts there are.

use maud::Markup;

use super::{
    chart::{Axis, Chart, Line, bars, nines},
    number,
};
use crate::figures::{Latency, Phase, Point, SearchStep};

/// Seconds after a window that say nothing: the last ones end.
const ENDING: usize = 3;

fn line(name: &str, colour: usize, points: Vec<(f64, f64)>) -> Line {
    Line {
        name: name.to_owned(),
        colour,
        dashed: false,
        points,
    }
}

fn dashed(name: &str, colour: usize, points: Vec<(f64, f64)>) -> Line {
    Line {
        dashed: true,
        ..line(name, colour, points)
    }
}

/// The values of all lines, for an axis to enclose.
fn heights(lines: &[Line]) -> Vec<f64> {
    let points = lines.iter().flat_map(|line| &line.points);
    points.map(|(_, y)| *y).collect()
}

/// What came and what ended, second by second.
pub(super) fn throughput(phase: &Phase) -> Markup {
    let of = |value: fn(&Point) -> u64| {
        let points = whole_seconds(phase).map(|point| (point.second as f64, value(point) as f64));
        points.collect::<Vec<_>>()
    };
    let lines = vec![
        line("journeys that ended", 1, of(|point| point.journeys)),
        line("requests that ended", 2, of(|point| point.requests)),
        line("faults", 4, of(|point| point.faults)),
        dashed("arrivals", 3, of(|point| point.arrivals)),
    ];
    Chart {
        title: "Throughput over time".to_owned(),
        x: Axis::linear(
            "second",
            whole_seconds(phase).map(|point| point.second as f64),
        ),
        y: Axis::linear("a second", heights(&lines).into_iter()),
        lines,
        marks: Vec::new(),
        dots: false,
    }
    .svg()
}

/// Percentiles of answers, second by second.
pub(super) fn latency(phase: &Phase, bar: f64) -> Markup {
    let of = |value: fn(&Latency) -> f64| {
        let points = whole_seconds(phase).filter_map(|point| {
            let answers = point.answers.as_ref()?;
            Some((point.second as f64, value(answers)))
        });
        points.collect::<Vec<_>>()
    };
    let lines = vec![
        line("p50", 1, of(|answers| answers.p50)),
        line("p95", 2, of(|answers| answers.p95)),
        line("p99", 3, of(|answers| answers.p99)),
        line("longest", 4, of(|answers| answers.max)),
    ];
    let values = heights(&lines).into_iter().chain([bar]);
    Chart {
        title: "An answer's latency over time, corrected, by the second in which it was due"
            .to_owned(),
        x: Axis::linear(
            "second",
            whole_seconds(phase).map(|point| point.second as f64),
        ),
        y: Axis::log("ms", values),
        lines,
        marks: vec![(bar, format!("bar for p99: {} ms", number(bar)))],
        dots: false,
    }
    .svg()
}

/// How much is below which time.
pub(super) fn distribution(phase: &Phase, bar: f64) -> Markup {
    let points = &phase.distribution;
    let corrected = points
        .iter()
        .map(|one| (nines(one.quantile), one.corrected));
    let service = points.iter().map(|one| (nines(one.quantile), one.service));
    let lines = vec![
        line("corrected: from when it was due", 1, corrected.collect()),
        dashed("uncorrected: from when it was sent", 3, service.collect()),
    ];
    let values = heights(&lines).into_iter().chain([bar]);
    let highest = points.last().map_or(0.0, |one| one.quantile);
    Chart {
        title: match phase.answers {
            Some(_) => "Distribution of an answer's latency".to_owned(),
            None => "Distribution of all requests' latency".to_owned(),
        },
        x: Axis::nines("of all are faster", highest),
        y: Axis::log("ms", values),
        lines,
        marks: vec![(bar, format!("bar for p99: {} ms", number(bar)))],
        dots: false,
    }
    .svg()
}

/// The search: what ended of what was offered, and an answer's p99.
pub(super) fn search(steps: &[SearchStep]) -> [Markup; 2] {
    let mut steps: Vec<&SearchStep> = steps.iter().collect();
    steps.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    let of = |value: fn(&SearchStep) -> f64| {
        let points = steps.iter().map(|step| (step.rate, value(step)));
        points.collect::<Vec<_>>()
    };
    let x = || Axis::linear("arrivals/s asked for", steps.iter().map(|step| step.rate));
    let rates = vec![
        line("ended", 1, of(|step| step.achieved)),
        dashed("offered", 3, of(|step| step.offered)),
    ];
    let times = vec![line("an answer's p99", 1, of(|step| step.p99))];
    [
        Chart {
            title: "What ended of what was offered".to_owned(),
            x: x(),
            y: Axis::linear("a second", heights(&rates).into_iter()),
            lines: rates,
            marks: Vec::new(),
            dots: true,
        }
        .svg(),
        Chart {
            title: "An answer's p99 by the rate".to_owned(),
            x: x(),
            y: Axis::log("ms", heights(&times).into_iter()),
            lines: times,
            marks: Vec::new(),
            dots: true,
        }
        .svg(),
    ]
}

/// Processors that each part kept busy.
pub(super) fn processors(phase: &Phase) -> Markup {
    let row = |cost: &crate::figures::Cost| {
        let text = format!("{} cores", number(cost.cores));
        (cost.part.clone(), cost.cores, text)
    };
    let rows: Vec<_> = phase.costs.iter().map(row).collect();
    bars("Processors kept busy, by part", &rows)
}

/// The seconds up to the end of the window; where the last ones took long to end, those, too, for
/// that is where they failed.
fn whole_seconds(phase: &Phase) -> impl Iterator<Item = &Point> + Clone {
    let end = (phase.from + phase.seconds) as usize;
    let is_long = phase.timeline.len() > end + ENDING;
    let shown = if is_long { phase.timeline.len() } else { end };
    phase.timeline.iter().take(shown)
}
