//! Looking for the highest rate that the system sustains: a pure search over what each step said.

/// Two bounds this close are one rate: within 6 %, which is what a machine's own noise allows.
const CLOSE: f64 = 1.06;
/// Raised by this until something breaks.
const RAISE: f64 = 1.6;
/// Lowered by this while nothing holds.
const LOWER: f64 = 0.3;
/// Below this rate nothing is worth measuring.
const LOWEST: f64 = 1.0;
/// However long it takes, no more steps than this.
const STEPS_MAX: u32 = 30;

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    next: Option<f64>,
    /// The highest rate that was sustained.
    low: Option<f64>,
    /// The lowest rate above it that was not, twice.
    high: Option<f64>,
    failed_once: bool,
    steps: u32,
}

impl Search {
    /// Begins at this rate.
    pub fn new(from: f64) -> Self {
        Self {
            next: Some(from.max(LOWEST)),
            low: None,
            high: None,
            failed_once: false,
            steps: 0,
        }
    }

    /// The rate to try now; none when it is over.
    pub fn next(&self) -> Option<f64> {
        self.next
    }

    /// The highest rate that was sustained.
    pub fn peak(&self) -> Option<f64> {
        self.low
    }

    /// What the step at [`Search::next`] said. A rate is given up when it failed twice in a row:
    /// one hiccup of the machine must not halve the peak.
    pub fn judged(&mut self, sustained: bool) {
        let Some(rate) = self.next else { return };
        self.steps += 1;
        if !sustained && !self.failed_once {
            self.failed_once = true;
        } else {
            self.failed_once = false;
            if sustained {
                self.low = Some(rate);
            } else {
                self.high = Some(rate);
            }
            self.next = match (self.low, self.high) {
                (Some(low), None) => Some(low * RAISE),
                (None, Some(high)) => Some(high * LOWER).filter(|next| *next >= LOWEST),
                (Some(low), Some(high)) if high / low <= CLOSE => None,
                (Some(low), Some(high)) => Some((low * high).sqrt()),
                (None, None) => None,
            };
        }
        if self.steps >= STEPS_MAX {
            self.next = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a system that sustains what `holds` says of (rate, step).
    fn search(from: f64, mut holds: impl FnMut(f64, u32) -> bool) -> (Option<f64>, u32) {
        let mut search = Search::new(from);
        let mut steps = 0;
        while let Some(rate) = search.next() {
            steps += 1;
            let sustained = holds(rate, steps);
            search.judged(sustained);
        }
        (search.peak(), steps)
    }

    #[test]
    fn the_peak_of_a_steady_system_is_found_from_below_and_from_above() {
        for limit in [3.0, 180.0, 777.0, 2_500.0] {
            for from in [2.0, 100.0, 4_000.0] {
                let (peak, steps) = search(from, |rate, _| rate <= limit);
                let peak = peak.unwrap();
                let is_close = peak <= limit && peak >= limit / CLOSE;
                assert!(is_close, "limit {limit} from {from}: {peak}");
                assert!(
                    steps < STEPS_MAX,
                    "limit {limit} from {from}: {steps} steps"
                );
            }
        }
    }

    #[test]
    fn single_hiccups_do_not_lower_the_peak() {
        // Every third step fails, whatever its rate.
        let (peak, _) = search(100.0, |rate, step| rate <= 700.0 && step % 3 != 0);
        let peak = peak.unwrap();
        assert!((650.0..=700.0).contains(&peak), "{peak}");
    }

    #[test]
    fn a_system_that_sustains_nothing_has_no_peak() {
        assert_eq!(search(100.0, |_, _| false).0, None);
    }

    #[test]
    fn a_system_without_a_limit_ends_the_search_too() {
        let (peak, steps) = search(1.0, |_, _| true);
        assert_eq!(steps, STEPS_MAX);
        assert!(peak.unwrap() > 10_000.0);
    }
}
