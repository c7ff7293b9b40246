//! The bars, and whether they are met.

use super::Figures;
use super::measures::What;
use super::peers::Peer;
use crate::bench::page::{Bar, Limit};

/// All bars for which there are figures.
pub(super) fn bars(figures: &Figures) -> Vec<Bar> {
    let fixed = [
        (
            "embedded, 64 callers",
            Peer::Embedded,
            What::Rate(64),
            Limit::AtLeast(2_000.0),
            "/s",
        ),
        (
            "embedded, 64 callers, p99",
            Peer::Embedded,
            What::P99(64),
            Limit::AtMost(60.0),
            "ms",
        ),
        (
            "embedded, 64 callers, CPU",
            Peer::Embedded,
            What::Cpu(64),
            Limit::AtMost(0.8),
            "ms",
        ),
        (
            "embedded, one caller, p50",
            Peer::Embedded,
            What::P50(1),
            Limit::AtMost(2.5),
            "ms",
        ),
        (
            "embedded, one caller, p99",
            Peer::Embedded,
            What::P99(1),
            Limit::AtMost(6.0),
            "ms",
        ),
        (
            "distributed, 64 callers, p99",
            Peer::Distributed,
            What::P99(64),
            Limit::AtMost(100.0),
            "ms",
        ),
    ];
    let mut bars: Vec<Bar> = fixed
        .into_iter()
        .filter_map(|(name, peer, what, limit, unit)| {
            Some(Bar {
                what: name.to_owned(),
                measured: figures.of(what, peer)?.median,
                limit,
                unit,
            })
        })
        .collect();
    let what = What::Rate(64);
    let ratio = figures.ratio((what, Peer::Distributed), (what, Peer::Restate));
    bars.extend(ratio.map(|measured| Bar {
        what: "distributed, 64 callers, of Restate's".to_owned(),
        measured,
        limit: Limit::AtLeast(1.25),
        unit: "×",
    }));
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_held_against_bars_and_restate() {
        let mut figures = Figures::default();
        assert!(bars(&figures).is_empty());
        figures.add(What::P50(1), Peer::Embedded, 3.0);
        figures.add(What::Rate(64), Peer::Distributed, 900.0);
        figures.add(What::Rate(64), Peer::Restate, 700.0);
        let judged: Vec<bool> = bars(&figures).iter().map(Bar::is_met).collect();
        assert_eq!(judged, [false, true]);
    }
}
