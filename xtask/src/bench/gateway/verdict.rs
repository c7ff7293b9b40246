//! The bars, and whether they are met.

use super::figures::{Figures, What};
use super::measures::{CONNECTIONS, MANY_ROUTES, RATE, ROUTES};
use super::peers::Peer;
use crate::bench::page::{Bar, Limit};

/// The peers that the gateway's cost is held against, and how much of theirs it may be.
const COSTS: [(Peer, f64); 5] = [
    (Peer::Nginx, 1.1),
    (Peer::Haproxy, 1.0),
    (Peer::Pingora, 0.6),
    (Peer::Traefik, 0.4),
    (Peer::Caddy, 0.4),
];

/// All bars for which there are figures.
pub(super) fn bars(figures: &Figures) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (peer, share) in COSTS {
        for connections in CONNECTIONS {
            let what = What::Cpu(connections);
            if let Some(ratio) = figures.ratio((what, Peer::Banyan), (what, peer)) {
                bars.push(Bar {
                    what: format!("CPU per request at {connections}, of {}'s", peer.name()),
                    measured: ratio,
                    limit: Limit::AtMost(share),
                    unit: "×",
                });
            }
        }
    }
    // No bar: how much a change has changed.
    for connections in CONNECTIONS {
        let what = What::Cpu(connections);
        if let Some(ratio) = figures.ratio((what, Peer::Banyan), (what, Peer::Before)) {
            println!("    CPU per request at {connections}, of before: {ratio:.3}");
        }
    }
    bars.extend(latencies(figures));
    bars.extend(memories(figures));
    let ratios = [
        (
            "JWT check, 1,000 tokens in turn, of the same without".to_owned(),
            (What::Checked, What::Unchecked),
            1.2,
        ),
        (
            format!("{MANY_ROUTES} routes, of {ROUTES}"),
            (What::ManyRoutes, What::FewRoutes),
            1.05,
        ),
    ];
    for (what, (over, under), at_most) in ratios {
        if let Some(measured) = figures.ratio((over, Peer::Banyan), (under, Peer::Banyan)) {
            bars.push(Bar {
                what: format!("CPU per request: {what}"),
                measured,
                limit: Limit::AtMost(at_most),
                unit: "×",
            });
        }
    }
    bars
}

fn latencies(figures: &Figures) -> Vec<Bar> {
    let median = |what, peer| figures.of(what, peer).map(|figure| figure.median);
    let against_nginx = |name: String, what, unit| {
        Some(Bar {
            what: name,
            measured: median(what, Peer::Banyan)?,
            limit: Limit::AtMost(median(what, Peer::Nginx)?),
            unit,
        })
    };
    let mut bars: Vec<Bar> = CONNECTIONS
        .into_iter()
        .filter_map(|connections| {
            let name = format!("p99 at full load, {connections} connections; nginx's");
            against_nginx(name, What::P99(connections), "ms")
        })
        .collect();
    let name = format!("added p50 at {RATE}/s; nginx's");
    bars.extend(against_nginx(name, What::AddedP50, "µs"));
    bars
}

fn memories(figures: &Figures) -> Vec<Bar> {
    let fixed = [
        ("memory at 256 connections", What::Memory, 40.0, "MiB"),
        (
            "memory with 10,000 idle connections",
            What::Idle,
            200.0,
            "MiB",
        ),
        ("CPU of a 1 GiB download", What::Download, 0.5, "s/GiB"),
        ("CPU of a 1 GiB upload", What::Upload, 0.5, "s/GiB"),
    ];
    let median = |what| figures.of(what, Peer::Banyan).map(|figure| figure.median);
    let mut bars: Vec<Bar> = fixed
        .into_iter()
        .filter_map(|(what, key, at_most, unit)| {
            Some(Bar {
                what: what.to_owned(),
                measured: median(key)?,
                limit: Limit::AtMost(at_most),
                unit,
            })
        })
        .collect();
    // What the process holds before anybody came is not the downloads'.
    if let (Some(stalled), Some(empty)) = (median(What::Stalled), median(What::Empty)) {
        bars.push(Bar {
            what: "memory that 64 stalled downloads add".to_owned(),
            measured: stalled - empty,
            limit: Limit::AtMost(16.0),
            unit: "MiB",
        });
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_by_what_lies_below_and_missing_figures_have_none() {
        let mut figures = Figures::default();
        assert!(bars(&figures).is_empty());
        figures.add(What::Cpu(64), Peer::Banyan, 11.0);
        figures.add(What::Cpu(64), Peer::Nginx, 10.0);
        figures.add(What::Cpu(64), Peer::Haproxy, 10.0);
        let judged: Vec<bool> = bars(&figures).iter().map(Bar::is_met).collect();
        assert_eq!(judged, [true, false]);
        figures.add(What::Stalled, Peer::Banyan, 40.0);
        figures.add(What::Empty, Peer::Banyan, 30.0);
        assert!(
            bars(&figures)
                .iter()
                .any(|bar| bar.measured == 10.0 && bar.is_met())
        );
    }
}
