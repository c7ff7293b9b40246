//! What a run must show, judged from its figures alone.

use crate::figures::{Bar, Phase, Run, SearchStep};

/// Below this part of what is offered, a rate is not sustained.
const KEPT_UP: f64 = 0.98;
/// Journeys that may miss besides: those that were under way where the window ends.
const EDGE: f64 = 3.0;
/// Above this an answer's p99, in milliseconds, means that the system falls behind.
const TOO_SLOW: f64 = 1_000.0;

/// Why a step of the search does not count as sustained; nothing when it does.
pub fn broken(phase: &Phase) -> Vec<String> {
    let mut why = Vec::new();
    let kept_up = phase.achieved / phase.offered.max(f64::MIN_POSITIVE);
    let missing = (phase.offered - phase.achieved) * phase.seconds;
    if missing > phase.offered * phase.seconds * (1.0 - KEPT_UP) + EDGE {
        let percent = kept_up * 100.0;
        why.push(format!(
            "only {percent:.1} % of what was offered ended in time"
        ));
    }
    let p99 = phase.answers.as_ref().map(|answers| answers.corrected.p99);
    if let Some(p99) = p99.filter(|p99| *p99 > TOO_SLOW) {
        why.push(format!("an answer's p99 is {p99:.0} ms"));
    }
    if phase.faults > 0 {
        why.push(format!(
            "{} requests did not end as asked for",
            phase.faults
        ));
    }
    why.extend(phase.generator.faults.iter().cloned());
    why
}

/// A step of the search, from the phase that it was.
pub fn step(phase: &Phase) -> SearchStep {
    SearchStep {
        rate: phase.rate,
        offered: phase.offered,
        achieved: phase.achieved,
        answers_per_second: phase.answers_per_second,
        p99: phase
            .answers
            .as_ref()
            .map_or(0.0, |answers| answers.corrected.p99),
        faults: phase.faults,
        machine_busy: phase.machine_busy,
        broken: broken(phase),
    }
}

/// All bars; the one for latency is about the phase called `judged`.
pub fn bars(run: &Run, judged: &str) -> Vec<Bar> {
    vec![
        latency(run, judged, run.p99_bar),
        faults(run),
        generator(run),
        audit(run),
    ]
}

fn latency(run: &Run, judged: &str, slowest: f64) -> Bar {
    let name = format!("an answer's p99 is below {slowest:.0} ms, {judged}");
    let phase = run.phases.iter().find(|phase| phase.name == judged);
    let answers = phase.and_then(|phase| phase.answers.as_ref());
    match answers {
        Some(answers) => Bar {
            name,
            passed: Some(answers.corrected.p99 < slowest),
            detail: format!(
                "{:.1} ms at {:.0} answers/s",
                answers.corrected.p99, answers.rate
            ),
        },
        // A search that found nothing has failed; a run without answers has nothing to judge.
        None => Bar {
            name,
            passed: (!run.search.is_empty() && run.peak.is_none()).then_some(false),
            detail: "there were no answers".to_owned(),
        },
    }
}

fn faults(run: &Run) -> Bar {
    let count: u64 = run.phases.iter().map(|phase| phase.faults).sum();
    let requests: u64 = run
        .phases
        .iter()
        .flat_map(|phase| &phase.requests)
        .map(|row| row.count)
        .sum();
    let mut kinds: Vec<String> = Vec::new();
    for row in run.phases.iter().flat_map(|phase| &phase.requests) {
        if row.faults > 0 {
            let bad = row
                .outcomes
                .iter()
                .filter(|(kind, _)| !kind.starts_with("20") || kind.contains(' '));
            kinds.extend(bad.map(|(kind, count)| format!("{} × {kind} ({})", count, row.request)));
        }
    }
    Bar {
        name: "every request ended as it was asked to".to_owned(),
        passed: Some(count == 0),
        detail: match kinds.is_empty() {
            true => format!("{count} of {requests} did not"),
            false => format!("{count} of {requests} did not: {}", kinds.join(", ")),
        },
    }
}

fn generator(run: &Run) -> Bar {
    let faults: Vec<String> = run
        .phases
        .iter()
        .flat_map(|phase| {
            let faults = phase.generator.faults.iter();
            faults.map(|fault| format!("{}: {fault}", phase.name))
        })
        .collect();
    let lag = run.phases.iter().map(|phase| phase.generator.lag_p99);
    let lag = lag.fold(0.0, f64::max);
    let others = run.phases.iter().map(|phase| phase.other_cores);
    let others = others.fold(0.0, f64::max);
    Bar {
        name: "the run is valid: the generator kept its rate".to_owned(),
        passed: Some(faults.is_empty()),
        detail: match faults.is_empty() {
            true => format!(
                "99 % of the arrivals began within {lag:.1} ms; others on the machine used up to \
                 {others:.2} processors"
            ),
            false => format!("INVALID: {}", faults.join("; ")),
        },
    }
}

fn audit(run: &Run) -> Bar {
    let audit = run.audit.as_ref();
    Bar {
        name: "the audit agrees: no answer is lost, none counted twice".to_owned(),
        passed: audit.map(|audit| audit.agrees && audit.unknown == 0),
        detail: match audit {
            None => "not asked: no --operator".to_owned(),
            Some(audit) if audit.unknown > 0 => {
                format!("{}; {} without an outcome", audit.text, audit.unknown)
            }
            Some(audit) => audit.text.clone(),
        },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::figures::{Audit, tests::phase};

    /// A run of two phases, in whose figures nothing is hidden.
    pub(crate) fn run() -> Run {
        let phases = vec![phase("half of the peak"), phase("80 % of the peak")];
        let search = phases.iter().map(step).collect();
        let mut run = Run {
            system: "a <system>".to_owned(),
            at: "2026-01-02T03:04:05Z".to_owned(),
            commit: "abc1234".to_owned(),
            machine: vec![("processors".to_owned(), "2".to_owned())],
            parameters: vec![("seed".to_owned(), "7".to_owned())],
            mix: vec![(crate::mix::Journey::Answer, 1.0)],
            search,
            peak: Some(200.0),
            phases,
            audit: Some(Audit {
                agrees: true,
                text: "everything agrees".to_owned(),
                unknown: 0,
            }),
            bars: Vec::new(),
            p99_bar: 100.0,
            took_seconds: 9.0,
        };
        run.bars = bars(&run, "half of the peak");
        run
    }

    fn passed(run: &Run) -> [Option<bool>; 4] {
        let bars = bars(run, "half of the peak");
        [0, 1, 2, 3].map(|number: usize| bars[number].passed)
    }

    #[test]
    fn each_bar_is_judged_by_its_own_figures() {
        let mut run = run();
        assert_eq!(
            passed(&run),
            [Some(true), Some(false), Some(true), Some(true)]
        );
        assert!(
            !run.passed(),
            "an answer that was taken back is not what was asked for"
        );
        run.p99_bar = 10.0;
        assert_eq!(passed(&run)[0], Some(false));
        run.p99_bar = 100.0;
        for phase in &mut run.phases {
            phase.faults = 0;
            phase.generator.faults = vec!["late".to_owned()];
        }
        assert_eq!(passed(&run)[1..3], [Some(true), Some(false)]);
        run.audit = None;
        assert_eq!(passed(&run)[3], None, "not judged is not passed");
    }

    #[test]
    fn an_answer_whose_outcome_nobody_knows_fails_the_audit() {
        let mut run = run();
        if let Some(audit) = &mut run.audit {
            audit.unknown = 1;
        }
        assert_eq!(passed(&run)[3], Some(false));
    }

    #[test]
    fn a_rate_is_sustained_only_without_loss_slowness_or_faults() {
        let mut good = phase("step");
        good.faults = 0;
        assert_eq!(broken(&good), Vec::<String>::new());
        let mut slow = good;
        slow.achieved = slow.offered * 0.9;
        if let Some(answers) = &mut slow.answers {
            answers.corrected.p99 = 1_001.0;
        }
        slow.faults = 2;
        slow.generator.faults = vec!["late".to_owned()];
        assert_eq!(broken(&slow).len(), 4);
    }

    #[test]
    fn a_search_that_found_no_peak_has_failed() {
        let mut run = run();
        run.phases.clear();
        run.peak = None;
        assert_eq!(passed(&run)[0], Some(false));
    }
}
