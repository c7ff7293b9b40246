//! The page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{number, plots};
use crate::{
    figures::{Bar, Latency, Phase, Row, Run},
    run::IDLE,
};

const STYLE: &str = include_str!("page.css");
const PERCENTILES: [&str; 6] = ["p50", "p90", "p95", "p99", "p99.9", "longest"];

/// The whole page.
pub fn page(run: &Run) -> String {
    let is_costs = run.phases.iter().any(|phase| phase.name == IDLE);
    let body = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Load: " (run.system) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Load on Banyan" }
                p.quiet { (run.system) " · " (run.at) " · commit " (run.commit) }
                (verdict(run))
                (tiles(run))
                @if is_costs { (costs(run)) }
                @if !run.search.is_empty() { (search(run)) }
                @for phase in &run.phases { (measurement(phase, run.p99_bar)) }
                (conditions(run))
            }
        }
    };
    body.into_string()
}

fn verdict(run: &Run) -> Markup {
    let class = if run.passed() {
        "verdict"
    } else {
        "verdict bad"
    };
    html! {
        div class=(class) {
            strong { @if run.passed() { "Passed" } @else { "Not passed" } }
            ul { @for bar in &run.bars { (judged(bar)) } }
        }
    }
}

fn judged(bar: &Bar) -> Markup {
    let (class, sign) = match bar.passed {
        Some(true) => ("good", "✓"),
        Some(false) => ("bad", "✗"),
        None => ("quiet", "–"),
    };
    html! { li { b class=(class) { (sign) "  " } (bar.name) ": " (bar.detail) } }
}

fn tiles(run: &Run) -> Markup {
    html! {
        div.tiles {
            @if let Some(peak) = run.peak {
                (tile(&number(peak), "arrivals/s at the peak"))
            }
            @for phase in run.phases.iter().filter(|phase| phase.name != IDLE).take(2) {
                @if let Some(answers) = &phase.answers {
                    (tile(&format!("{} /s", number(answers.rate)), &format!("answers, {}", phase.name)))
                    (tile(&format!("{} ms", number(answers.corrected.p50)), &format!("answer p50, {}", phase.name)))
                    (tile(&format!("{} ms", number(answers.corrected.p99)), &format!("answer p99, {}", phase.name)))
                }
            }
        }
    }
}

fn tile(value: &str, what: &str) -> Markup {
    html! { div { strong { (value) } span { (what) } } }
}

fn search(run: &Run) -> Markup {
    html! {
        h2 { "The peak" }
        p { "The rate is raised until a step breaks twice, then the bounds close in. A step breaks \
             when less than 98 % of what is offered ends in time, when an answer's p99 is above one \
             second, when anything ends otherwise than asked, or when the generator falls behind." }
        @for plot in plots::search(&run.search) { (plot) }
        div.wide { table {
            thead { tr {
                th.left { "arrivals/s" } th { "ended/s" } th { "answers/s" } th { "answer p99 ms" }
                th { "faults" } th { "machine busy" } th.left { "" }
            } }
            tbody { @for step in &run.search { tr {
                td.left { (number(step.rate)) }
                td { (number(step.achieved)) }
                td { (number(step.answers_per_second)) }
                td { (number(step.p99)) }
                td { (step.faults) }
                td { (percent(step.machine_busy)) }
                td.text {
                    @if step.broken.is_empty() { span.good { "sustained" } }
                    @else { (step.broken.join("; ")) }
                }
            } } }
        } }
    }
}

fn measurement(phase: &Phase, bar: f64) -> Markup {
    html! {
        h2 { (phase.name) }
        p {
            (number(phase.offered)) " arrivals/s offered, " (number(phase.achieved)) "/s ended; "
            (number(phase.requests_per_second)) " requests/s, of them "
            (number(phase.answers_per_second)) " answers/s; " (phase.faults) " faults; "
            "measured for " (number(phase.seconds)) " s; the machine was "
            (percent(phase.machine_busy)) " busy, " (number(phase.other_cores))
            " processors of it with what is no part of this, load average "
            (number(phase.load_average)) "."
        }
        @for fault in &phase.generator.faults { p.bad { strong { "Invalid: " (fault) } } }
        @if phase.rate > 0.0 {
            (plots::throughput(phase))
            @if phase.answers.is_some() { (plots::latency(phase, bar)) }
            (plots::distribution(phase, bar))
            h3 { "Requests: corrected latency, in ms" }
            (rows(phase.answers.iter().chain(&phase.requests), |row| row.corrected))
            h3 { "Requests: uncorrected, as a client alone sees it, in ms" }
            (rows(phase.answers.iter().chain(&phase.requests), |row| row.service))
            h3 { "Whole journeys: corrected, in ms" }
            (rows(phase.journeys.iter(), |row| row.corrected))
        }
        (cost(phase))
        (generator(phase))
    }
}

fn rows<'a>(rows: impl Iterator<Item = &'a Row>, latency: fn(&Row) -> Latency) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th.left { "journey" } th.left { "request" } th { "count" } th { "/s" }
                @for name in PERCENTILES { th { (name) } }
                th.left { "what became of them" }
            } }
            tbody { @for row in rows { tr {
                td { (row.journey) }
                td.left { (row.request) }
                td { (row.count) }
                td { (number(row.rate)) }
                @for value in latency(row).columns() { td { (number(value)) } }
                td class={ "text" @if row.faults > 0 { " bad" } } { (outcomes(row)) }
            } } }
        } }
    }
}

fn outcomes(row: &Row) -> String {
    let all = row
        .outcomes
        .iter()
        .map(|(what, count)| format!("{count} × {what}"));
    all.collect::<Vec<_>>().join(", ")
}

fn cost(phase: &Phase) -> Markup {
    html! {
        h3 { "What it cost" }
        (plots::processors(phase))
        div.wide { table {
            thead { tr {
                th.left { "part" } th { "CPU s" } th { "cores" } th { "CPU ms / request" }
                th { "CPU ms / journey" } th { "memory MiB" }
            } }
            tbody { @for cost in &phase.costs { tr {
                td { (cost.part) }
                td { (number(cost.cpu_seconds)) }
                td { (number(cost.cores)) }
                td { (number(cost.ms_per_request)) }
                td { (number(cost.ms_per_journey)) }
                td { (number(cost.memory_mib)) }
            } } }
        } }
        @if let Some(events) = phase.events {
            p { (events) " events came into the log." }
        }
        @for (store, bytes) in &phase.grown {
            p { (store) " grew by " (number(*bytes as f64 / 1024.0)) " KiB." }
        }
    }
}

fn generator(phase: &Phase) -> Markup {
    let generator = &phase.generator;
    html! {
        p.quiet {
            "Generator: 99 % of the arrivals were looked at within " (number(generator.lag_p99))
            " ms; at most " (generator.longest_queue) " of " (generator.queue_bound)
            " waited for a player; " (generator.dropped) " were dropped."
        }
    }
}

/// Journeys by parts: processor time beyond what an idle system takes.
fn costs(run: &Run) -> Markup {
    let matrix = super::markdown::Matrix::of(run);
    html! {
        h2 { "What each journey costs" }
        p { "CPU-milliseconds of one journey by part, beyond what the idle system uses anyhow." }
        div.wide { table {
            thead { tr {
                th.left { "part" }
                @for journey in &matrix.journeys { th { (journey) } }
                th { "idle, ms/s" }
            } }
            tbody { @for (part, values, idle) in &matrix.rows { tr {
                td { (part) }
                @for value in values { td { (number(*value)) } }
                td { (number(*idle)) }
            } } }
        } }
    }
}

fn conditions(run: &Run) -> Markup {
    html! {
        h2 { "Conditions" }
        dl {
            @for (name, value) in run.machine.iter().chain(&run.parameters) {
                dt { (name) } dd { (value) }
            }
            @for (journey, share) in &run.mix {
                dt { "arrivals for " (journey.name()) } dd { (percent(*share)) }
            }
            dt { "the whole run took" } dd { (number(run.took_seconds)) " s" }
        }
        p.quiet { "Generator, gateway, services and stores share the machine. Latency counts from the \
                   moment at which an arrival was due (corrected for coordinated omission)." }
    }
}

fn percent(part: f64) -> String {
    format!("{} %", number(part * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::tests::run;

    #[test]
    fn the_page_holds_everything_and_nothing_from_elsewhere() {
        let page = page(&run());
        for part in [
            "Not passed",
            "half of the peak",
            "80 % of the peak",
            "503 answer_compensated",
            "commit abc1234",
            "banyan &lt;up&gt;",
            "a &lt;system&gt;",
            "seed",
            "Conditions",
        ] {
            assert!(page.contains(part), "{part}");
        }
        // Two for the search, three for each of the two measurements.
        assert_eq!(page.matches("<svg").count(), 2 + 2 * 3);
        for foreign in ["<script", "http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert_eq!(
            page.matches("<table").count(),
            page.matches("</table>").count()
        );
    }

    #[test]
    fn figures_that_are_not_there_leave_a_whole_page() {
        let mut run = run();
        run.phases.clear();
        run.search.clear();
        run.peak = None;
        run.audit = None;
        assert!(page(&run).ends_with("</html>"));
    }
}
