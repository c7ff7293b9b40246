//! What the demo says at its end.

use std::{fmt, time::Duration};

use super::{
    observed::{Quantiles, Tally},
    sampler::Sample,
};

/// What one step measured.
#[derive(Clone, Debug)]
pub(crate) struct StepReport {
    /// Its title.
    pub(crate) title: &'static str,
    /// How long it took, acts included.
    pub(crate) took: Duration,
    /// What clients measured in it.
    pub(crate) tally: Tally,
    /// Sagas that ended in it, by the log; none when the system did not say.
    pub(crate) sagas: Option<i64>,
}

/// What the whole demo measured.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// Players.
    pub(crate) players: usize,
    /// Step by step.
    pub(crate) steps: Vec<StepReport>,
    /// What clients were told in the end, and how they measured it.
    pub(crate) total: Tally,
    /// What the log said before and at the end.
    pub(crate) sagas: (Sample, Sample),
    /// Answers that legacy accepted after the last import, and that the candidate accepted.
    pub(crate) apart: Apart,
    /// What a step should have shown and did not.
    pub(crate) missed: Vec<String>,
}

/// What only one side knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Apart {
    /// Accepted on legacy after the last import.
    pub(crate) on_legacy: u64,
    /// Accepted on the candidate.
    pub(crate) on_candidate: u64,
}

impl StepReport {
    fn sagas_per_second(&self) -> f64 {
        let ended = self
            .sagas
            .and_then(|ended| i32::try_from(ended).ok())
            .unwrap_or_default();
        f64::from(ended) / self.took.as_secs_f64().max(0.001)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what clients measured, step by step")?;
        writeln!(
            f,
            "   s  legacy  candidate  compensated  repeats  p50 ms  p99 ms  sagas/s  step"
        )?;
        for step in &self.steps {
            let Quantiles { p50, p99 } = step.tally.accepted_quantiles();
            writeln!(
                f,
                "{:>4.0}  {:>6}  {:>9}  {:>11}  {:>7}  {p50:>6.1}  {p99:>6.1}  {:>7.1}  {}",
                step.took.as_secs_f64(),
                step.tally.accepted_legacy,
                step.tally.accepted_candidate,
                step.tally.compensated,
                step.tally.retries,
                step.sagas_per_second(),
                step.title
            )?;
        }
        self.write_data(f)?;
        self.write_totals(f)?;
        for missed in &self.missed {
            writeln!(f, "NOT SHOWN: {missed}")?;
        }
        Ok(())
    }
}

impl Summary {
    fn write_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Apart {
            on_legacy,
            on_candidate,
        } = self.apart;
        writeln!(
            f,
            "\nwhich data stays on the side where it was written, until sync exists"
        )?;
        writeln!(
            f,
            "  {on_candidate} answers that the candidate accepted are not on legacy: a rollback \
             shows players what legacy knew"
        )?;
        writeln!(
            f,
            "  {on_legacy} answers that legacy accepted after the last import are not on the \
             candidate until the next one"
        )?;
        writeln!(
            f,
            "  badge rules on the candidate do not see what legacy counted for players who had \
             already answered there\n"
        )
    }

    fn write_totals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        let accepted = total.accepted_legacy + total.accepted_candidate;
        writeln!(
            f,
            "answers: {accepted} accepted ({} on legacy, {} on the candidate), {} compensated, {} \
             refused, {} unknown; {} players, {} repeats with the same key",
            total.accepted_legacy,
            total.accepted_candidate,
            total.compensated,
            total.refused,
            total.unknown,
            self.players,
            total.retries
        )?;
        let (before, after) = &self.sagas;
        let busiest = self
            .steps
            .iter()
            .map(StepReport::sagas_per_second)
            .fold(0.0, f64::max);
        writeln!(
            f,
            "sagas: {} completed, {} compensated, {} undecided; {busiest:.1}/s in the busiest step",
            after.completed - before.completed,
            after.compensated - before.compensated,
            after.undecided()
        )?;
        let (taken, back) = (total.accepted_quantiles(), total.compensated_quantiles());
        writeln!(
            f,
            "as clients saw it: accepted p50 {:.1} ms, p99 {:.1} ms; compensated p50 {:.0} ms, p99 \
             {:.0} ms",
            taken.p50, taken.p99, back.p50, back.p99
        )?;
        if total.all_busy > 0 {
            writeln!(
                f,
                "{} times all players were still waiting when an answer was due",
                total.all_busy
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_stays_where_it_was_written() {
        let mut tally = Tally::default();
        tally.accepted_candidate = 80;
        let step = StepReport {
            title: "the same: 100 %",
            took: Duration::from_secs(2),
            tally: tally.clone(),
            sagas: Some(80),
        };
        let summary = Summary {
            players: 3,
            steps: vec![step],
            total: tally,
            sagas: (
                Sample::default(),
                Sample {
                    completed: 80,
                    submitted: 81,
                    ..Sample::default()
                },
            ),
            apart: Apart {
                on_legacy: 4,
                on_candidate: 80,
            },
            missed: vec!["nothing was taken back".to_owned()],
        };
        let text = summary.to_string();
        assert!(
            text.contains("80 answers that the candidate accepted are not on legacy"),
            "{text}"
        );
        assert!(
            text.contains("4 answers that legacy accepted after the last import"),
            "{text}"
        );
        assert!(
            text.contains("80 completed, 0 compensated, 1 undecided; 40.0/s"),
            "{text}"
        );
        assert!(text.contains("NOT SHOWN: nothing was taken back"), "{text}");
    }
}
