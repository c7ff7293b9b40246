//! What was measured: samples of each thing and proxy; their median, least and most.

use std::collections::BTreeMap;

use super::peers::Peer;

/// A thing that is measured. Numbers are connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// CPU-seconds per million small answers.
    Cpu(usize),
    /// Answers a second.
    Rate(usize),
    /// Milliseconds.
    P50(usize),
    P99(usize),
    /// MiB at 256 connections.
    Memory,
    /// µs at the fixed rate.
    SteadyP50,
    AddedP50,
    /// CPU-seconds per million.
    Post,
    Large,
    Unchecked,
    Checked,
    FewRoutes,
    ManyRoutes,
    /// MiB.
    Empty,
    Idle,
    Stalled,
    /// CPU-seconds per GiB, and MiB at most meanwhile.
    Download,
    DownloadMemory,
    Upload,
    UploadMemory,
}

/// A median between its least and its most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// All samples.
#[derive(Debug, Default)]
pub(super) struct Figures(BTreeMap<(What, Peer), Vec<f64>>);

impl Figures {
    pub(super) fn add(&mut self, what: What, peer: Peer, value: f64) {
        println!("      {:<10} {what:?} {value:.2}", peer.name());
        self.0.entry((what, peer)).or_default().push(value);
    }

    pub(super) fn of(&self, what: What, peer: Peer) -> Option<Figure> {
        let mut samples = self.0.get(&(what, peer))?.clone();
        samples.sort_unstable_by(f64::total_cmp);
        Some(Figure {
            median: median(&samples)?,
            least: *samples.first()?,
            most: *samples.last()?,
        })
    }

    /// How often one is of the other: the median of the ratios of what ran side by side.
    pub(super) fn ratio(&self, over: (What, Peer), under: (What, Peer)) -> Option<f64> {
        let (over, under) = (self.0.get(&over)?, self.0.get(&under)?);
        let ratios = over.iter().zip(under).map(|(over, under)| over / under);
        let mut ratios: Vec<f64> = ratios.collect();
        ratios.sort_unstable_by(f64::total_cmp);
        median(&ratios)
    }
}

/// Of sorted values: the middle one, or what lies between the two in the middle.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], upper)
    } else {
        upper
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_with_its_ends() {
        let mut figures = Figures::default();
        for value in [3.0, 1.0, 9.0, 4.0] {
            figures.add(What::Memory, Peer::Banyan, value);
        }
        let figure = figures.of(What::Memory, Peer::Banyan).unwrap();
        assert_eq!((figure.median, figure.least, figure.most), (3.5, 1.0, 9.0));
        assert_eq!(figures.of(What::Idle, Peer::Banyan), None);
    }

    #[test]
    fn a_ratio_compares_what_ran_side_by_side() {
        let mut figures = Figures::default();
        for (ours, theirs) in [(1.0, 2.0), (30.0, 60.0), (7.0, 7.0)] {
            figures.add(What::Memory, Peer::Banyan, ours);
            figures.add(What::Memory, Peer::Nginx, theirs);
        }
        let ratio = figures.ratio((What::Memory, Peer::Banyan), (What::Memory, Peer::Nginx));
        assert_eq!(ratio, Some(0.5));
        figures.add(What::Memory, Peer::Banyan, 3.0);
        figures.add(What::Memory, Peer::Nginx, 2.0);
        let ratio = figures.ratio((What::Memory, Peer::Banyan), (What::Memory, Peer::Nginx));
        assert_eq!(ratio, Some(0.75), "between the two in the middle");
    }
}
