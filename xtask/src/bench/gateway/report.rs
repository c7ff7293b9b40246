//! The page and the plot, from the figures alone.

use std::fmt::Write;

use super::figures::{Figures, What};
use super::measures::{CONNECTIONS, RATE, ROUTES};
use super::peers::Peer;
use super::verdict;
use crate::bench::page::{self, Row, cell};

/// The page, but for where it was measured.
pub(super) fn markdown(figures: &Figures, place: &str) -> String {
    let mut text = format!(
        "# The gateway beside other proxies\n\n\
         <!-- Written by `cargo xtask bench gateway`. -->\n\n\
         `cargo xtask bench gateway` builds the gateway as it ships, installs the others, and puts the\n\
         same load on each in turn: {ROUTES} routes, half of the users (by `X-User-Id`) on the candidate,\n\
         trace headers to both sides, no access log, connections kept on both sides. Load, proxy and\n\
         origin share the machine's processors; repetitions are interleaved, and only figures of one run\n\
         compare. CPU is what the system accounts to the proxy's own processes.\n\n{place}\n\n"
    );
    text.push_str(&page::bars(&verdict::bars(figures)));
    text.push_str("\n## Figures\n\nMedians, with the least and the most of the repetitions.\n");
    for (title, columns) in tables() {
        text.push_str(&table(figures, title, &columns));
    }
    text
}

/// The tables: a title, and the columns' heads and contents.
fn tables() -> Vec<(&'static str, Vec<(String, What)>)> {
    let at = |connections: usize| format!("at {connections}");
    let each = |what: fn(usize) -> What| CONNECTIONS.map(|count| (at(count), what(count))).to_vec();
    let named = |columns: &[(&str, What)]| {
        let owned = columns
            .iter()
            .map(|(name, what)| ((*name).to_owned(), *what));
        owned.collect::<Vec<_>>()
    };
    vec![
        ("CPU-seconds per million answers of 1 KiB", each(What::Cpu)),
        (
            "Answers of 1 KiB a second, as many as it can",
            each(What::Rate),
        ),
        ("p50 at that load, ms", each(What::P50)),
        ("p99 at that load, ms", each(What::P99)),
        (
            "At a fixed rate, open model, µs",
            vec![
                (format!("p50 at {RATE}/s"), What::SteadyP50),
                ("added to going direct".to_owned(), What::AddedP50),
            ],
        ),
        (
            "Other bodies, CPU-seconds per million, 64 connections",
            named(&[
                ("POST of 16 KiB", What::Post),
                ("answer of 64 KiB", What::Large),
            ]),
        ),
        (
            "The gateway with other settings, CPU-seconds per million, 64 connections",
            named(&[
                ("token sent, not checked", What::Unchecked),
                ("token checked", What::Checked),
                ("200 routes", What::FewRoutes),
                ("10,000 routes", What::ManyRoutes),
            ]),
        ),
        (
            "One GiB, CPU-seconds and MiB at most",
            named(&[
                ("download", What::Download),
                ("memory", What::DownloadMemory),
                ("upload", What::Upload),
                ("memory", What::UploadMemory),
            ]),
        ),
        (
            "Memory, MiB",
            named(&[
                ("256 connections", What::Memory),
                ("before anybody came", What::Empty),
                ("10,000 idle", What::Idle),
                ("64 stalled downloads", What::Stalled),
            ]),
        ),
    ]
}

/// Nothing where there are no figures.
fn table(figures: &Figures, title: &str, columns: &[(String, What)]) -> String {
    let has = |peer: &Peer| {
        columns
            .iter()
            .any(|(_, what)| figures.of(*what, *peer).is_some())
    };
    let peers: Vec<Peer> = Peer::ALL.into_iter().filter(has).collect();
    if peers.is_empty() {
        return String::new();
    }
    let heads: Vec<&str> = columns.iter().map(|(head, _)| head.as_str()).collect();
    let mut text = format!("\n{title}:\n\n| | {} |\n| --- |", heads.join(" | "));
    text.push_str(&" ---: |".repeat(columns.len()));
    text.push('\n');
    for peer in peers {
        let cells = columns
            .iter()
            .map(|(_, what)| cell(figures.of(*what, peer)));
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "| {} | {} |", peer.name(), cells.join(" | "));
    }
    text
}

/// The plot: CPU for a million answers at 64 connections, a bar for each proxy, with its ends.
pub(super) fn svg(figures: &Figures) -> String {
    let row = |peer: Peer| {
        Some(Row {
            name: peer.name(),
            figure: figures.of(What::Cpu(64), peer)?,
            is_ours: peer == Peer::Banyan,
        })
    };
    let rows: Vec<Row> = Peer::ALL.into_iter().filter_map(row).collect();
    let title = format!(
        "CPU-seconds per million answers of 1 KiB, 64 connections, {ROUTES} routes (less is better)"
    );
    page::plot(&[(title, rows)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_the_plot_name_who_was_measured_and_nobody_else() {
        let mut figures = Figures::default();
        figures.add(What::Cpu(64), Peer::Banyan, 12.0);
        figures.add(What::Cpu(64), Peer::Nginx, 13.0);
        let page = markdown(&figures, "here");
        assert!(
            page.contains("| nginx | – | 13.0 (13.0–13.0) | – |"),
            "{page}"
        );
        assert!(page.contains("| 0.92 × | ≤ 1.10 × | met |"), "{page}");
        assert!(!page.contains("HAProxy") && !page.contains("GiB"), "{page}");
        let plot = svg(&figures);
        assert!(
            plot.contains(">Banyan<") && !plot.contains(">Caddy<"),
            "{plot}"
        );
    }
}
