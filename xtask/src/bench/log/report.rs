//! The page and the plot, from the figures alone.

use std::fmt::Write;

use super::Figures;
use super::measures::{BACKLOG, Kind, Load, ON_POSTGRES, ON_SQLITE, Place, RATE, What};
use super::peers::Peer;
use super::verdict::{self, load_name, place_name};
use crate::bench::options::Named;
use crate::bench::page::{self, Row, cell};

const ABOUT: &str = "\
`cargo xtask bench log` builds the log as `banyan` has it, installs the others, and lets each write the
same payloads of some 300 bytes, a hundred events in a stream, into an empty database of its own.
PostgreSQL is one server with its own defaults and fsync on; SQLite has `synchronous=FULL`. Writer and
server share the machine's processors; repetitions are interleaved, and only figures of one run compare.

What each makes durable, and in which order: **Banyan** answers when the commit has reached the disk, with
a position that is contiguous and in commit order, after it looked for the event's id and its stream's
version; callers that wait share a commit. **By hand** are prepared inserts into the log's own table with
its indexes, without any of those checks, a connection for each caller, positions in no order; **one lock**
is a statement for each event that takes the head's row and inserts. On SQLite one thread writes.
**Emmett** checks the stream's version and numbers events by a sequence. **eventsourcing** takes a lock of
its table for each transaction, so that notification ids are in commit order; its rows have four columns
and one index beside the key.
";

const CONSUMING: &str = "\
Consumers, over PostgreSQL; the hop over NATS too, an open model: one process appends, one forwards the
log, one handles, each event in a commit of its own database that moves the checkpoint:
";

/// The page, but for where it was measured.
pub(super) fn markdown(figures: &Figures, place: &str) -> String {
    let mut text = format!(
        "# The log beside other event stores\n\n<!-- Written by `cargo xtask bench log`. -->\n\n\
         {ABOUT}\n{place}\n\n"
    );
    text.push_str(&page::bars(&verdict::bars(figures)));
    text.push_str("\n## Figures\n\nMedians, with the least and the most of the repetitions.\n");
    let kinds: [Kind; 3] = [
        ("Events a second", What::Rate),
        ("p50 until the caller has its answer, ms", What::P50),
        ("p99 until the caller has its answer, ms", What::P99),
    ];
    for (title, what) in kinds {
        for place in [Place::Postgres, Place::Sqlite] {
            let title = format!("{title}, {}", place_name(place));
            text.push_str(&table(figures, &title, &loads(place), what));
        }
    }
    text.push_str(&consuming(figures));
    text
}

/// What consumers do, which nobody else has.
fn consuming(figures: &Figures) -> String {
    let rows = [
        (
            format!("append to its effect, {RATE}/s, p50, ms"),
            What::HopP50,
        ),
        (
            format!("append to its effect, {RATE}/s, p99, ms"),
            What::HopP99,
        ),
        (
            format!("backlog of {BACKLOG} events, events a second"),
            What::Backlog,
        ),
        ("backlog, most memory, MiB".to_owned(), What::BacklogMemory),
    ];
    let mut text = String::new();
    for (name, what) in rows {
        if let Some(figure) = figures.of(what, Peer::Banyan) {
            let _ = writeln!(text, "| {name} | {} |", cell(Some(figure)));
        }
    }
    match text.is_empty() {
        true => text,
        false => format!("\n{CONSUMING}\n| | Banyan |\n| --- | ---: |\n{text}"),
    }
}

fn loads(place: Place) -> Vec<Load> {
    let (callers, narrow): (&[usize], _) = match place {
        Place::Postgres => (&ON_POSTGRES, None),
        Place::Sqlite => (&ON_SQLITE, Some(Load::narrow())),
    };
    let singles = callers.iter().map(|count| Load::singles(place, *count));
    singles
        .chain([Load::batches(place)])
        .chain(narrow)
        .collect()
}

/// Nothing where there are no figures.
fn table(figures: &Figures, title: &str, loads: &[Load], what: fn(Load) -> What) -> String {
    let has = |peer: &Peer| {
        loads
            .iter()
            .any(|load| figures.of(what(*load), *peer).is_some())
    };
    let peers: Vec<Peer> = Peer::ALL.iter().copied().filter(has).collect();
    if peers.is_empty() {
        return String::new();
    }
    let heads: Vec<String> = loads.iter().map(|load| load_name(*load)).collect();
    let mut text = format!("\n{title}:\n\n| | {} |\n| --- |", heads.join(" | "));
    text.push_str(&" ---: |".repeat(loads.len()));
    text.push('\n');
    for peer in peers {
        let cells = loads.iter().map(|load| cell(figures.of(what(*load), peer)));
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "| {} | {} |", peer.name(), cells.join(" | "));
    }
    text
}

/// The plot: events a second, a chart for each kind of load.
pub(super) fn svg(figures: &Figures) -> String {
    let mut charts = Vec::new();
    for place in [Place::Postgres, Place::Sqlite] {
        for load in loads(place) {
            let row = |peer: &Peer| {
                Some(Row {
                    name: peer.name(),
                    figure: figures.of(What::Rate(load), *peer)?,
                    is_ours: peer.is_ours(),
                })
            };
            let rows: Vec<Row> = Peer::ALL.iter().filter_map(row).collect();
            if !rows.is_empty() {
                let title = format!(
                    "Events a second, {}, {}",
                    place_name(place),
                    load_name(load)
                );
                charts.push((title, rows));
            }
        }
    }
    page::plot(&charts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_the_plot_name_who_was_measured_and_nobody_else() {
        let mut figures = Figures::default();
        let load = Load::singles(Place::Postgres, 16);
        figures.add(What::Rate(load), Peer::Banyan, 12_000.0);
        figures.add(What::Rate(load), Peer::Emmett, 6_000.0);
        let page = markdown(&figures, "here");
        assert!(
            page.contains("| Emmett | – | 6,000 (6,000–6,000) | – | – |"),
            "{page}"
        );
        assert!(
            page.contains("| 2.00 × | ≥ 2.50 × | **missed** |"),
            "{page}"
        );
        assert!(
            !page.contains("| eventsourcing |")
                && !page.contains("p99 until the caller has its answer, ms, SQLite"),
            "{page}"
        );
        let plot = svg(&figures);
        assert!(
            plot.contains(">Banyan<") && !plot.contains("SQLite"),
            "{plot}"
        );
    }
}
