//! The page and the plot, from the figures alone.

use std::fmt::Write;

use super::Figures;
use super::measures::{CALLERS, Kind, PARTS, What};
use super::peers::Peer;
use super::verdict;
use crate::bench::options::Named;
use crate::bench::page::{self, Row, cell};

const ABOUT: &str = "\
`cargo xtask bench sagas` lets callers submit answers over HTTP, each its own user, each waiting for the
end of one saga before it begins the next: the answer is recorded, two participants do their part at the
same time, and the saga is done. Each engine is started afresh in each repetition, one at a time. CPU is
what the system accounts to all processes of the engine, its databases among them and the load generator
not. Only figures of one run compare.

What each makes durable before it answers (fsync on, everywhere):

- **Banyan** (`POST /api/answers` of the quiz service, a token that is verified): answer, stats, saga,
  deadlines and outbox in one commit of the quiz service; the event in the log; each participant's ledger,
  effect and reply in a commit of its own, each reply in the log; the saga's end with the answer's. With
  deadlines, compensation, one undecided saga for each user, and an event log that others read. *Embedded*
  is `banyan up`, one process with SQLite files; *distributed* is a process for each service, PostgreSQL
  and NATS, and the CPU of all of them counts, of those that have nothing to do with answers too.
- **Restate**: virtual objects for answers and for both participants. The request, the calls and their
  answers, and all state, in the server's own log and store.
- **DBOS** (in TypeScript and in Rust): a workflow of four steps over PostgreSQL. The workflow's input and
  result, each step's outcome, and the rows that a step writes, in a commit before its outcome's.
- **mire-sagas**: a saga of four steps with effects in its own process, over PostgreSQL. The start, each
  step's request and its answer as events of the saga's stream, and the rows that an effect writes.
- **duroxide**: an orchestration of four activities over PostgreSQL. The orchestration's input and result,
  each activity's request and outcome in its history, the queues between both, and the rows that an
  activity writes, in a commit before its outcome's.
- **dtmrs**: a saga of four branches in the coordinator's own process, over PostgreSQL, the participants one
  after the other: its sagas know no steps at the same time. The transaction with all its branches, each
  branch's outcome, the end, and the rows that a branch writes, in a commit before its outcome's.
- **By hand**: the four writes as four statements, each with its commit, on PostgreSQL, from Rust. No
  engine: what a crash interrupts stays so.
";

/// The page, but for where it was measured.
pub(super) fn markdown(figures: &Figures, place: &str) -> String {
    let mut text = format!(
        "# Sagas beside other engines\n\n<!-- Written by `cargo xtask bench sagas`. -->\n\n\
         {ABOUT}\n{place}\n\n"
    );
    text.push_str(&page::bars(&verdict::bars(figures)));
    text.push_str("\n## Figures\n\nMedians, with the least and the most of the repetitions.\n");
    let kinds: [Kind; 4] = [
        ("Sagas a second", What::Rate),
        ("p50, ms", What::P50),
        ("p99, ms", What::P99),
        ("CPU-milliseconds for a saga", What::Cpu),
    ];
    for (title, what) in kinds {
        let heads = CALLERS.map(|count| match count {
            1 => "one caller".to_owned(),
            count => format!("{count} callers"),
        });
        let row = |peer: &Peer| {
            let cells = CALLERS.map(|count| figures.of(what(count), *peer));
            let is_there = cells.iter().any(Option::is_some);
            is_there.then(|| (peer.name(), cells.map(cell).to_vec()))
        };
        let rows = Peer::ALL.iter().filter_map(row).collect();
        text.push_str(&table(title, &heads, rows));
    }
    for peer in Peer::ALL {
        let row = |part: &&'static str| {
            let cells = CALLERS.map(|count| figures.of(What::PartCpu(count, part), *peer));
            let is_there = cells.iter().any(Option::is_some);
            is_there.then(|| (*part, cells.map(cell).to_vec()))
        };
        let rows: Vec<_> = PARTS.iter().filter_map(row).collect();
        if rows.len() > 1 {
            let title = format!("Whose CPU, ms for a saga: {}", peer.name());
            let heads = CALLERS.map(|count| format!("at {count}"));
            text.push_str(&table(&title, &heads, rows));
        }
    }
    text
}

/// Nothing where there are no rows.
fn table(title: &str, heads: &[String], rows: Vec<(&str, Vec<String>)>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{title}:\n\n| | {} |\n| --- |", heads.join(" | "));
    text.push_str(&" ---: |".repeat(heads.len()));
    text.push('\n');
    for (name, cells) in rows {
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text
}

/// The plot: rate and CPU with 64 callers, latency with one.
pub(super) fn svg(figures: &Figures) -> String {
    let charts = [
        ("Sagas a second, 64 callers", What::Rate(64)),
        (
            "CPU-milliseconds for a saga, 64 callers (less is better)",
            What::Cpu(64),
        ),
        ("p99 with 64 callers, ms (less is better)", What::P99(64)),
        ("p50 with one caller, ms (less is better)", What::P50(1)),
    ];
    let charts = charts.map(|(title, what)| {
        let row = |peer: &Peer| {
            Some(Row {
                name: peer.name(),
                figure: figures.of(what, *peer)?,
                is_ours: peer.is_ours(),
            })
        };
        (title.to_owned(), Peer::ALL.iter().filter_map(row).collect())
    });
    page::plot(&charts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_whose_cpu_it_was_where_there_are_several() {
        let mut figures = Figures::default();
        figures.add(What::Cpu(64), Peer::Restate, 2.9);
        figures.add(What::PartCpu(64, "Restate"), Peer::Restate, 2.0);
        figures.add(What::PartCpu(64, "Node"), Peer::Restate, 0.9);
        figures.add(What::PartCpu(64, "banyan up"), Peer::Embedded, 0.7);
        let page = markdown(&figures, "here");
        assert!(
            page.contains("| Restate | – | – | 2.90 (2.90–2.90) |"),
            "{page}"
        );
        assert!(
            page.contains("| Node | – | – | 0.90 (0.90–0.90) |"),
            "{page}"
        );
        assert!(
            !page.contains("banyan up |") && !page.contains("| DBOS, Rust |"),
            "{page}"
        );
        let plot = svg(&figures);
        assert!(
            plot.contains(">Restate<") && !plot.contains(">DBOS, Rust<"),
            "{plot}"
        );
    }
}
