//! Latencies in log-linear buckets: eight to each power of two microseconds, so that a quantile is
//! off by an eighth at most (the layout of HdrHistogram, with atomics).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Steps within one power of two, as a power of two itself.
const STEP_BITS: u32 = 3;
const STEPS: usize = 1 << STEP_BITS;
/// Powers of two beyond the linear start: up to 2^27 µs, more than two minutes.
const OCTAVES: usize = 25;
const BUCKETS: usize = STEPS * OCTAVES;
/// Scrapes see what is faster than this many microseconds in one bucket: no upstream is.
const EXPOSED_FROM: u64 = 256;

/// A concurrent histogram of durations.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

/// What a histogram held at one moment; times in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencySnapshot {
    /// How many were measured.
    pub count: u64,
    /// Their mean.
    pub mean_ms: f64,
    /// Half were faster.
    pub p50_ms: f64,
    /// Nine of ten were faster.
    pub p90_ms: f64,
    /// 99 of 100 were faster.
    pub p99_ms: f64,
    /// Counts by bucket, for whoever subtracts an earlier snapshot.
    #[serde(skip)]
    pub buckets: Vec<u64>,
    /// The sum of all, in microseconds.
    #[serde(skip)]
    pub sum_micros: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_micros: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Adds one measurement.
    pub fn record(&self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(micros)].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was measured so far.
    pub fn snapshot(&self) -> LatencySnapshot {
        let buckets = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect();
        LatencySnapshot::of(buckets, self.sum_micros.load(Ordering::Relaxed))
    }
}

impl LatencySnapshot {
    /// What was measured after `earlier`, a snapshot of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.buckets.iter().copied().chain(std::iter::repeat(0));
        let buckets = self
            .buckets
            .iter()
            .zip(before)
            .map(|(now, before)| now.saturating_sub(before))
            .collect();
        Self::of(buckets, self.sum_micros.saturating_sub(earlier.sum_micros))
    }

    pub(super) fn sum_seconds(&self) -> f64 {
        millis(self.sum_micros) / 1000.0
    }

    /// Counts by half a power of two from [`EXPOSED_FROM`] on, each with its upper end in seconds;
    /// the last one is open. A scrape does not need the finer steps, but `histogram_quantile`, which
    /// draws a line within a bucket, needs these to tell 100 ms from 150.
    pub(super) fn exposed(&self) -> Vec<(f64, u64)> {
        let mut exposed = Vec::new();
        let mut waiting = 0;
        let chunks = self.buckets.chunks(STEPS / 2).enumerate();
        for (index, steps) in chunks {
            waiting += steps.iter().sum::<u64>();
            // What is counted as `end` lasted up to one microsecond longer.
            let end = upper_end((index + 1) * STEPS / 2 - 1) + 1;
            if end >= EXPOSED_FROM {
                exposed.push((millis(end) / 1000.0, std::mem::take(&mut waiting)));
            }
        }
        if let Some(last) = exposed.last_mut() {
            last.0 = f64::INFINITY;
        }
        exposed
    }

    fn of(buckets: Vec<u64>, sum_micros: u64) -> Self {
        let count: u64 = buckets.iter().sum();
        let quantile = |per_cent: u64| quantile_ms(&buckets, count, per_cent);
        Self {
            count,
            mean_ms: sum_micros.checked_div(count).map_or(0.0, millis),
            p50_ms: quantile(50),
            p90_ms: quantile(90),
            p99_ms: quantile(99),
            buckets,
            sum_micros,
        }
    }
}

/// Values below `STEPS` have a bucket each; above, the highest bits after the leading one choose.
fn bucket_of(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return usize::try_from(micros).unwrap_or(0);
    }
    let octave = micros.ilog2() - STEP_BITS;
    let step = usize::try_from(micros >> octave).unwrap_or(0) - STEPS;
    (STEPS * (octave as usize + 1) + step).min(BUCKETS - 1)
}

/// The largest value of a bucket, in microseconds.
fn upper_end(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let octave = index / STEPS - 1;
    let step = (index % STEPS + STEPS) as u64;
    ((step + 1) << octave) - 1
}

fn quantile_ms(buckets: &[u64], count: u64, per_cent: u64) -> f64 {
    let rank = (count * per_cent).div_ceil(100).max(1);
    let mut seen = 0;
    for (index, in_bucket) in buckets.iter().enumerate() {
        seen += in_bucket;
        if seen >= rank {
            return millis(upper_end(index));
        }
    }
    0.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "53 bits of microseconds are 285 years"
)]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_below_its_upper_end() {
        for index in 0..BUCKETS - 1 {
            let end = upper_end(index);
            assert_eq!(bucket_of(end), index);
            assert_eq!(bucket_of(end + 1), index + 1);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_right_within_an_eighth() {
        let histogram = Histogram::default();
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.count, 1000);
        for (measured, expected) in [(snapshot.p50_ms, 500.0), (snapshot.p99_ms, 990.0)] {
            assert!((measured - expected).abs() <= expected / 8.0, "{measured}");
        }
    }

    /// As Prometheus estimates it: on a straight line within the bucket.
    fn histogram_quantile(quantile: f64, buckets: &[(f64, u64)]) -> f64 {
        let total: u64 = buckets.iter().map(|(_, count)| count).sum();
        let rank = quantile * total as f64;
        let (mut seen, mut start) = (0.0, 0.0);
        for (end, count) in buckets {
            let count = *count as f64;
            if seen + count >= rank {
                return start + (end - start) * (rank - seen) / count;
            }
            (seen, start) = (seen + count, *end);
        }
        f64::NAN
    }

    #[test]
    fn a_quantile_of_what_is_exposed_is_right_within_a_seventh() {
        let histogram = Histogram::default();
        // Half of all as fast as a page, the others spread over a second.
        for millis in 1..=1000 {
            histogram.record(Duration::from_micros(3_000 + millis));
            histogram.record(Duration::from_millis(millis));
        }
        let exposed = histogram.snapshot().exposed();
        assert_eq!(exposed.iter().map(|(_, count)| count).sum::<u64>(), 2000);
        assert!(exposed.len() < 42, "{}", exposed.len());
        for (quantile, expected) in [(0.9, 0.8), (0.95, 0.9), (0.99, 0.98)] {
            let estimate = histogram_quantile(quantile, &exposed);
            assert!((estimate - expected).abs() <= expected / 7.0, "{estimate}");
        }
    }

    #[test]
    fn a_stretch_of_time_is_the_difference_of_two_snapshots() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_secs(1));
        let before = histogram.snapshot();
        histogram.record(Duration::from_millis(1));
        let stretch = histogram.snapshot().since(&before);
        assert_eq!(stretch.count, 1);
        assert!(stretch.p99_ms < 2.0);
    }
}
