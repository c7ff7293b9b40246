//! What is shown while the demo runs: a redrawn block on a terminal, a line a second elsewhere.

mod screen;

pub(crate) use screen::Screen;

use std::time::Duration;

use super::{
    observed::{Quantiles, Tally},
    sampler::Sample,
    steps::Step,
};

/// Everything that is shown at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Scene<'a> {
    /// The whole script.
    pub(crate) script: &'a [Step],
    /// The step that is on, from 0.
    pub(crate) step: usize,
    /// Since it began, and how long it is watched.
    pub(crate) elapsed: Duration,
    /// See `elapsed`.
    pub(crate) lasts: Duration,
    /// What the operator typed in it.
    pub(crate) commands: &'a [String],
    /// What clients measured since the beginning.
    pub(crate) total: &'a Tally,
    /// Responses of each side in the last second.
    pub(crate) rates: Rates,
    /// Latencies of the last seconds.
    pub(crate) recent: Quantiles,
    /// What the system says; none while it does not answer.
    pub(crate) sample: Option<&'a Sample>,
    /// What it said before the load began: another demo may have left something.
    pub(crate) baseline: &'a Sample,
}

/// Per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    /// Responses of legacy.
    pub(crate) legacy: f64,
    /// Responses of the candidate.
    pub(crate) candidate: f64,
    /// Answers accepted or taken back.
    pub(crate) answers: f64,
}

impl Rates {
    /// What changed between two tallies that are `seconds` apart.
    pub(crate) fn between(before: &Tally, now: &Tally, seconds: f64) -> Self {
        let answers =
            |tally: &Tally| tally.accepted_legacy + tally.accepted_candidate + tally.compensated;
        let rate = |before: u64, now: u64| {
            let more = u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
            if seconds > 0.0 {
                f64::from(more) / seconds
            } else {
                0.0
            }
        };
        Self {
            legacy: rate(before.legacy, now.legacy),
            candidate: rate(before.candidate, now.candidate),
            answers: rate(answers(before), answers(now)),
        }
    }
}

impl Scene<'_> {
    /// The block for a terminal.
    pub(crate) fn block(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        for (number, step) in self.script.iter().enumerate() {
            let mark = match number.cmp(&self.step) {
                std::cmp::Ordering::Less => "✔",
                std::cmp::Ordering::Equal => "▶",
                std::cmp::Ordering::Greater => "·",
            };
            let bar = if number == self.step {
                self.bar()
            } else {
                String::new()
            };
            lines.push(format!(" {mark} {:>2}  {}{bar}", number + 1, step.title));
            if number == self.step {
                lines.push(format!("       {}", step.shows));
                lines.extend(
                    self.commands
                        .iter()
                        .map(|command| format!("       $ {command}")),
                );
            }
        }
        lines.push(String::new());
        lines.push(self.traffic());
        lines.push(self.answers());
        lines.push(self.log());
        lines
    }

    /// The line for a file.
    pub(crate) fn line(&self) -> String {
        let Rates {
            legacy, candidate, ..
        } = self.rates;
        let seconds = self.elapsed.as_secs();
        let outcomes = self.outcomes();
        let log = match self.sample {
            None => "no answer".to_owned(),
            Some(sample) => {
                let lag = sample
                    .lag
                    .iter()
                    .map(|(_, lag)| *lag)
                    .max()
                    .unwrap_or_default();
                format!("head {} lag {lag}", sample.head)
            }
        };
        format!(
            "  {seconds:>3}s  legacy {legacy:>4.0}/s  candidate {candidate:>4.0}/s  answers \
             {:>3.0}/s  p50 {:.0} p99 {:.0} ms  {outcomes}  {log}",
            self.rates.answers, self.recent.p50, self.recent.p99
        )
    }

    fn bar(&self) -> String {
        const WIDTH: usize = 20;
        let part = self.elapsed.as_secs_f64() / self.lasts.as_secs_f64().max(0.001);
        let full = (1..=WIDTH)
            .filter(|cell| part >= *cell as f64 / WIDTH as f64)
            .count();
        format!("  {}{}", "█".repeat(full), "░".repeat(WIDTH - full))
    }

    fn traffic(&self) -> String {
        let Rates {
            legacy,
            candidate,
            answers,
        } = self.rates;
        format!(
            "   requests   legacy {legacy:>5.0}/s   candidate {candidate:>5.0}/s   answers \
             {answers:>4.0}/s   unserved {}   repeats {}",
            self.total.unserved, self.total.retries
        )
    }

    fn answers(&self) -> String {
        let Quantiles { p50, p99 } = self.recent;
        let overall = self.total.accepted_quantiles();
        format!(
            "   answers    now p50 {p50:>5.0} ms  p99 {p99:>5.0} ms   overall p50 {:>5.0} ms  p99 \
             {:>5.0} ms   {}",
            overall.p50,
            overall.p99,
            self.outcomes()
        )
    }

    /// What clients were told, and where sagas stand.
    fn outcomes(&self) -> String {
        let accepted = self.total.accepted_legacy + self.total.accepted_candidate;
        format!("{accepted} accepted {} compensated", self.total.compensated)
    }

    fn log(&self) -> String {
        let Some(sample) = self.sample else {
            return "   log        the system does not answer".to_owned();
        };
        let lags: Vec<_> = sample
            .lag
            .iter()
            .map(|(service, lag)| format!("{service} {lag}"))
            .collect();
        format!(
            "   log        head {}   sagas {} completed, {} compensated, {} undecided   lag {}",
            sample.head,
            sample.completed - self.baseline.completed,
            sample.compensated - self.baseline.compensated,
            sample.undecided(),
            lags.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::steps::SCRIPT;

    fn scene<'a>(
        commands: &'a [String],
        total: &'a Tally,
        sample: Option<&'a Sample>,
        baseline: &'a Sample,
    ) -> Scene<'a> {
        Scene {
            script: SCRIPT,
            step: 2,
            elapsed: Duration::from_secs(4),
            lasts: Duration::from_secs(8),
            commands,
            total,
            rates: Rates {
                legacy: 90.4,
                candidate: 10.2,
                answers: 40.0,
            },
            recent: Quantiles {
                p50: 12.0,
                p99: 48.0,
            },
            sample,
            baseline,
        }
    }

    #[test]
    fn the_block_shows_the_steps_the_commands_and_the_figures() {
        let commands = ["banyan flags set quiz-cutover --percent 10".to_owned()];
        let (total, baseline) = (Tally::default(), Sample::default());
        let sample = Sample {
            head: 77,
            submitted: 12,
            completed: 9,
            compensated: 1,
            revoked: 1,
            lag: vec![("quiz", 0), ("leaderboard", 41)],
        };
        let block = scene(&commands, &total, Some(&sample), &baseline)
            .block()
            .join("\n");
        assert!(block.contains(" ✔  2  auth moves"), "{block}");
        assert!(block.contains(" ▶  3  questions"), "{block}");
        assert!(block.contains("██████████░░░░░░░░░░"), "{block}");
        assert!(block.contains("$ banyan flags set quiz-cutover"), "{block}");
        assert!(block.contains("legacy    90/s"), "{block}");
        assert!(
            block.contains("9 completed, 1 compensated, 2 undecided"),
            "{block}"
        );
        assert!(block.contains("leaderboard 41"), "{block}");
    }

    #[test]
    fn a_line_says_the_same_in_short_also_while_the_system_is_down() {
        let (total, baseline) = (Tally::default(), Sample::default());
        let line = scene(&[], &total, None, &baseline).line();
        assert!(line.contains("candidate   10/s"), "{line}");
        assert!(line.contains("no answer"), "{line}");
        assert!(!line.contains('\n'));
    }

    #[test]
    fn rates_are_differences_over_time() {
        let (before, mut now) = (Tally::default(), Tally::default());
        now.legacy = 30;
        now.accepted_candidate = 5;
        now.compensated = 1;
        let rates = Rates::between(&before, &now, 2.0);
        assert_eq!(
            rates,
            Rates {
                legacy: 15.0,
                candidate: 0.0,
                answers: 3.0
            }
        );
        assert_eq!(Rates::between(&before, &now, 0.0), Rates::default());
    }
}
