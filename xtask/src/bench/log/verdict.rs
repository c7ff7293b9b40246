//! The bars, and whether they are met.

use super::Figures;
use super::measures::{BACKLOG, Load, Place, RATE, What};
use super::peers::Peer;
use crate::bench::options::Named;
use crate::bench::page::{Bar, Limit};

/// All bars for which there are figures.
pub(super) fn bars(figures: &Figures) -> Vec<Bar> {
    let fixed = [(Place::Postgres, 20_000.0), (Place::Sqlite, 25_000.0)];
    let fixed = fixed.into_iter().filter_map(|(place, limit)| {
        let load = Load::singles(place, 32);
        Some(Bar {
            what: format!("{}, {}", place_name(place), load_name(load)),
            measured: figures.of(What::Rate(load), Peer::Banyan)?.median,
            limit: Limit::AtLeast(limit),
            unit: "/s",
        })
    });
    let ratios = ratios()
        .into_iter()
        .filter_map(|(ours, peer, theirs, limit)| {
            let over = (What::Rate(ours), Peer::Banyan);
            let under = (What::Rate(theirs), peer);
            let place = place_name(ours.place);
            Some(Bar {
                what: format!("{place}, {}, of {}'s", load_name(ours), peer.name()),
                measured: figures.ratio(over, under)?,
                limit: Limit::AtLeast(limit),
                unit: "×",
            })
        });
    let consuming = [
        (
            format!("append to its effect in another process, {RATE}/s, p50"),
            What::HopP50,
            Limit::AtMost(3.0),
            "ms",
        ),
        (
            format!("append to its effect in another process, {RATE}/s, p99"),
            What::HopP99,
            Limit::AtMost(10.0),
            "ms",
        ),
        (
            format!("a new consumer, backlog of {BACKLOG} events"),
            What::Backlog,
            Limit::AtLeast(30_000.0),
            "/s",
        ),
        (
            "a new consumer, most memory".to_owned(),
            What::BacklogMemory,
            Limit::AtMost(100.0),
            "MiB",
        ),
    ];
    let consuming = consuming
        .into_iter()
        .filter_map(|(name, what, limit, unit)| {
            Some(Bar {
                what: name,
                measured: figures.of(what, Peer::Banyan)?.median,
                limit,
                unit,
            })
        });
    fixed.chain(ratios).chain(consuming).collect()
}

/// What of ours is held against what of whose, and how much of it there must be.
fn ratios() -> Vec<(Load, Peer, Load, f64)> {
    let [postgres, sqlite] = [Place::Postgres, Place::Sqlite].map(Load::batches);
    let alone = |place| Load::singles(place, 1);
    let at_16 = Load::singles(Place::Postgres, 16);
    let same = |load, peer, limit| (load, peer, load, limit);
    vec![
        same(postgres, Peer::ByHand, 0.8),
        same(sqlite, Peer::ByHand, 0.5),
        same(at_16, Peer::Emmett, 2.5),
        same(postgres, Peer::Emmett, 1.1),
        same(alone(Place::Postgres), Peer::Eventsourcing, 1.0),
        same(at_16, Peer::Eventsourcing, 1.0),
        same(postgres, Peer::Eventsourcing, 1.0),
        same(alone(Place::Sqlite), Peer::Eventsourcing, 1.0),
        (Load::narrow(), Peer::Eventsourcing, sqlite, 1.0),
    ]
}

pub(super) fn place_name(place: Place) -> &'static str {
    match place {
        Place::Postgres => "PostgreSQL",
        Place::Sqlite => "SQLite",
    }
}

pub(super) fn load_name(load: Load) -> String {
    let width = if load.is_narrow { ", narrow rows" } else { "" };
    match (load.batch, load.callers) {
        (1, 1) => "one at a time".to_owned(),
        (1, callers) => format!("{callers} callers"),
        (batch, _) => format!("batches of {batch}{width}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_held_against_what_was_measured_and_missing_figures_have_no_bar() {
        let mut figures = Figures::default();
        assert!(bars(&figures).is_empty());
        let load = Load::batches(Place::Postgres);
        figures.add(What::Rate(load), Peer::Banyan, 60_000.0);
        figures.add(What::Rate(load), Peer::ByHand, 70_000.0);
        figures.add(What::Rate(load), Peer::Emmett, 60_000.0);
        let judged: Vec<bool> = bars(&figures).iter().map(Bar::is_met).collect();
        assert_eq!(judged, [true, false], "0.86 of 0.8, and 1 of 1.1");
        let fixed = What::Rate(Load::singles(Place::Sqlite, 32));
        figures.add(fixed, Peer::Banyan, 30_000.0);
        assert_eq!(bars(&figures)[0].what, "SQLite, 32 callers");
    }
}
