//! A summary to paste.

use std::fmt::Write;

use super::number;
use crate::{
    figures::{Phase, Run},
    run::IDLE,
};

/// Journeys by parts: CPU-milliseconds of one journey beyond what an idle system uses.
pub(super) struct Matrix {
    /// Columns.
    pub(super) journeys: Vec<String>,
    /// Part, its values by journey, and what it uses idle in milliseconds a second.
    pub(super) rows: Vec<(String, Vec<f64>, f64)>,
}

impl Matrix {
    /// Of a run with `--costs`.
    pub(super) fn of(run: &Run) -> Self {
        let (idle, loaded): (Vec<&Phase>, Vec<&Phase>) =
            run.phases.iter().partition(|phase| phase.name == IDLE);
        let cores = |phase: &Phase, part: &str| {
            let cost = phase.costs.iter().find(|cost| cost.part == part);
            cost.map_or(0.0, |cost| cost.cores)
        };
        let mut parts: Vec<String> = Vec::new();
        for cost in run.phases.iter().flat_map(|phase| &phase.costs) {
            if !parts.contains(&cost.part) {
                parts.push(cost.part.clone());
            }
        }
        let rows = parts.into_iter().map(|part| {
            let resting = idle.first().map_or(0.0, |phase| cores(phase, &part));
            let beyond = |phase: &&Phase| {
                let used = (cores(phase, &part) - resting).max(0.0);
                used * 1_000.0 / phase.achieved.max(f64::MIN_POSITIVE)
            };
            let values = loaded.iter().map(beyond).collect();
            (part, values, resting * 1_000.0)
        });
        Self {
            journeys: loaded.iter().map(|phase| phase.name.clone()).collect(),
            rows: rows.collect(),
        }
    }
}

/// The whole summary.
pub fn summary(run: &Run) -> String {
    let mut out = String::new();
    write(&mut out, run).ok();
    out
}

fn write(out: &mut String, run: &Run) -> std::fmt::Result {
    let verdict = if run.passed() { "passed" } else { "NOT PASSED" };
    writeln!(
        out,
        "**{}** ({}, commit {}): {verdict}",
        run.system, run.at, run.commit
    )?;
    for bar in &run.bars {
        let sign = match bar.passed {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "–",
        };
        writeln!(out, "- {sign} {}: {}", bar.name, bar.detail)?;
    }
    if let Some(peak) = run.peak {
        writeln!(out, "- peak: {} arrivals/s", number(peak))?;
    }
    if run.phases.iter().any(|phase| phase.name == IDLE) {
        costs(out, run)?;
    }
    writeln!(
        out,
        "\n| measurement | arrivals/s | requests/s | answers/s | answer p50 ms | p95 | p99 | p99.9 | \
         longest | faults | machine busy |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | \
         --- | --- |"
    )?;
    for phase in &run.phases {
        let latency = phase.answers.as_ref().map(|answers| answers.corrected);
        let latency = latency.unwrap_or_default();
        let times = [
            latency.p50,
            latency.p95,
            latency.p99,
            latency.p999,
            latency.max,
        ];
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {:.0} % |",
            phase.name,
            number(phase.achieved),
            number(phase.requests_per_second),
            number(phase.answers_per_second),
            times.map(number).join(" | "),
            phase.faults,
            phase.machine_busy * 100.0
        )?;
    }
    for phase in run.phases.iter().filter(|phase| phase.name != IDLE) {
        parts(out, phase)?;
    }
    let machine = run
        .machine
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    let machine: Vec<String> = machine.collect();
    let parameters = run
        .parameters
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    let parameters: Vec<String> = parameters.collect();
    writeln!(out, "\nMachine: {}.", machine.join("; "))?;
    writeln!(
        out,
        "Parameters: {}. It took {:.0} s.",
        parameters.join("; "),
        run.took_seconds
    )
}

fn parts(out: &mut String, phase: &Phase) -> std::fmt::Result {
    let parts = phase.costs.iter().map(|cost| {
        format!(
            "{} {} ms/request, {} MiB",
            cost.part,
            number(cost.ms_per_request),
            number(cost.memory_mib)
        )
    });
    let parts: Vec<String> = parts.collect();
    writeln!(
        out,
        "\nCPU and memory, {}: {}.",
        phase.name,
        parts.join("; ")
    )?;
    let answers = phase.answers_per_second * phase.seconds;
    if let (Some(events), true) = (phase.events, answers > 0.0) {
        let grown = phase.grown.iter();
        let grown =
            grown.map(|(store, bytes)| format!("{store} {} KiB", number(*bytes as f64 / 1024.0)));
        let grown: Vec<String> = grown.collect();
        writeln!(out, "Events {events}; grown: {}.", grown.join("; "))?;
    }
    Ok(())
}

fn costs(out: &mut String, run: &Run) -> std::fmt::Result {
    let matrix = Matrix::of(run);
    writeln!(
        out,
        "\nCPU-milliseconds of one journey, beyond what is used idle:\n"
    )?;
    writeln!(
        out,
        "| part | {} | idle, ms/s |",
        matrix.journeys.join(" | ")
    )?;
    writeln!(
        out,
        "| --- |{} --- |",
        " --- |".repeat(matrix.journeys.len())
    )?;
    for (part, values, idle) in &matrix.rows {
        let values: Vec<String> = values.iter().map(|value| number(*value)).collect();
        writeln!(
            out,
            "| {part} | {} | {} |",
            values.join(" | "),
            number(*idle)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::tests::run;

    #[test]
    fn the_summary_says_the_verdict_each_bar_and_each_measurement() {
        let text = summary(&run());
        for part in [
            "NOT PASSED",
            "✓ an answer's p99 is below 100 ms",
            "✗ every request ended as it was asked to: 2 of 400 did not",
            "1 × 503 answer_compensated (POST /api/answers)",
            "| half of the peak | 99.0 |",
            "seed 7",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }

    #[test]
    fn what_a_journey_costs_is_what_the_idle_system_does_not_use() {
        let mut run = run();
        run.phases[0].name = IDLE.to_owned();
        run.phases[0].costs[0].cores = 0.25;
        run.phases[1].achieved = 100.0;
        let matrix = Matrix::of(&run);
        assert_eq!(matrix.journeys, ["80 % of the peak"]);
        let (part, values, idle) = &matrix.rows[0];
        assert_eq!(part, "banyan <up>");
        assert!(
            (values[0] - 5.0).abs() < 1e-9,
            "{values:?}: 0.5 cores of 100/s"
        );
        assert!((idle - 250.0).abs() < 1e-9);
    }
}
