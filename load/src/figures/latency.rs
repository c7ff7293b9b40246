//! Distributions of times.

use hdrhistogram::{Counter, Histogram};
use serde::Serialize;

use crate::measure::{QUANTILES, Series, millis};

/// Points of a distribution's curve for each halving of what is above.
const PER_HALVING: u32 = 4;

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half are below.
    pub p50: f64,
    /// 90 % are below.
    pub p90: f64,
    /// 95 % are below.
    pub p95: f64,
    /// 99 % are below.
    pub p99: f64,
    /// 99.9 % are below.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Latency {
    /// Of a histogram of microseconds.
    pub fn of<T: Counter>(times: &Histogram<T>) -> Self {
        let [p50, p90, p95, p99, p999] =
            QUANTILES.map(|quantile| millis(times.value_at_quantile(quantile)));
        let max = millis(times.max());
        Self {
            p50,
            p90,
            p95,
            p99,
            p999,
            max,
        }
    }

    /// In the order of the tables.
    pub fn columns(&self) -> [f64; 6] {
        [self.p50, self.p90, self.p95, self.p99, self.p999, self.max]
    }
}

/// How much of a distribution is below a time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantile {
    /// 0 to 1.
    pub quantile: f64,
    /// Milliseconds, corrected.
    pub corrected: f64,
    /// Milliseconds, as the client alone sees it.
    pub service: f64,
}

/// Dense where it matters: near 1.
pub(super) fn distribution(series: &Series) -> Vec<Quantile> {
    let count = series.count();
    if count == 0 {
        return Vec::new();
    }
    let mut points = Vec::new();
    for step in 0_i32.. {
        let above = 0.5_f64.powf(f64::from(step) / f64::from(PER_HALVING));
        let quantile = 1.0 - above;
        points.push(Quantile {
            quantile,
            corrected: millis(series.corrected.value_at_quantile(quantile)),
            service: millis(series.service.value_at_quantile(quantile)),
        });
        if above * (count as f64) < 1.0 {
            break;
        }
    }
    points
}
