//! When who comes: a fixed rate, decided before the first request and deaf to how the system does.
//! The same seed gives the same arrivals.

use std::time::Duration;

use clap::ValueEnum;
use rand::{
    RngExt, SeedableRng, distr::Distribution, distr::weighted::WeightedIndex, rngs::StdRng,
};
use serde::Serialize;

use crate::mix::{Journey, Mix};

/// How arrivals are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// As independent people come: exponential gaps, so that some come at once.
    Poisson,
    /// Equal gaps.
    Uniform,
}

impl Spread {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Poisson => "Poisson",
            Self::Uniform => "uniform",
        }
    }
}

/// Somebody comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When, from the beginning: what latency counts from.
    pub at: Duration,
    /// What for.
    pub journey: Journey,
    /// Decides everything else that is drawn.
    pub seed: u64,
}

/// All arrivals of one phase, in their order.
#[derive(Debug)]
pub struct Schedule {
    random: StdRng,
    journeys: Option<(Vec<Journey>, WeightedIndex<f64>)>,
    spread: Spread,
    count: u32,
    /// Seconds.
    gap: f64,
    /// Seconds: the next arrival's time.
    next: f64,
    end: f64,
}

impl Schedule {
    /// `rate` arrivals a second until `end`.
    pub fn new(seed: u64, mix: &Mix, spread: Spread, rate: f64, end: Duration) -> Self {
        let journeys = mix.journeys.iter().map(|(journey, _)| *journey).collect();
        Self {
            random: StdRng::seed_from_u64(seed),
            journeys: mix.draw().map(|draw| (journeys, draw)),
            spread,
            count: 0,
            gap: 1.0 / rate.max(f64::MIN_POSITIVE),
            next: 0.0,
            end: end.as_secs_f64(),
        }
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let (journeys, draw) = self.journeys.as_ref()?;
        let at = self.next;
        self.count += 1;
        self.next = match self.spread {
            // Not summed up: errors of rounding would be, too.
            Spread::Uniform => f64::from(self.count) * self.gap,
            // The inverse of the exponential distribution; the argument is never 0.
            Spread::Poisson => at - self.gap * (1.0 - self.random.random::<f64>()).ln(),
        };
        (at < self.end).then(|| Arrival {
            at: Duration::from_secs_f64(at),
            journey: journeys[draw.sample(&mut self.random)],
            seed: self.random.random(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(seed: u64, spread: Spread) -> Vec<Arrival> {
        let mix = Mix::load(None).unwrap();
        Schedule::new(seed, &mix, spread, 200.0, Duration::from_secs(50)).collect()
    }

    #[test]
    fn the_rate_is_kept_and_the_weights_are_the_shares() {
        for spread in [Spread::Poisson, Spread::Uniform] {
            let all = arrivals(1, spread);
            // 10,000 expected; a Poisson count's standard deviation is its root: 100.
            assert!((9_600..10_400).contains(&all.len()), "{}", all.len());
            let answers = all.iter().filter(|one| one.journey == Journey::Answer);
            let share = answers.count() as f64 / all.len() as f64;
            assert!((share - 0.6).abs() < 0.03, "{share}");
            assert!(all.is_sorted_by_key(|one| one.at));
        }
    }

    #[test]
    fn a_seed_is_a_schedule() {
        assert_eq!(arrivals(7, Spread::Poisson), arrivals(7, Spread::Poisson));
        assert_ne!(arrivals(7, Spread::Poisson), arrivals(8, Spread::Poisson));
    }

    #[test]
    fn poisson_arrivals_come_together_and_uniform_ones_do_not() {
        let shortest = |spread| {
            let all = arrivals(3, spread);
            let gaps = all.windows(2).map(|two| two[1].at - two[0].at);
            gaps.min().unwrap_or_default()
        };
        assert!(shortest(Spread::Poisson) < Duration::from_micros(100));
        assert!(shortest(Spread::Uniform) > Duration::from_micros(4_900));
    }
}
