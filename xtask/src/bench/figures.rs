//! Samples of what is measured side by side; their median, least and most.

use std::{collections::BTreeMap, fmt::Debug};

/// A median between its least and its most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::bench) struct Figure {
    pub(in crate::bench) median: f64,
    pub(in crate::bench) least: f64,
    pub(in crate::bench) most: f64,
}

/// All samples: of each thing `W`, from each `P` that it is measured of.
#[derive(Debug)]
pub(in crate::bench) struct Figures<W, P>(BTreeMap<(W, P), Vec<f64>>);

impl<W, P> Default for Figures<W, P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<W: Copy + Debug + Ord, P: Copy + Debug + Ord> Figures<W, P> {
    pub(in crate::bench) fn add(&mut self, what: W, peer: P, value: f64) {
        let name = format!("{peer:?}");
        println!("      {name:<16} {what:?} {value:.2}");
        self.0.entry((what, peer)).or_default().push(value);
    }

    pub(in crate::bench) fn of(&self, what: W, peer: P) -> Option<Figure> {
        let mut samples = self.0.get(&(what, peer))?.clone();
        samples.sort_unstable_by(f64::total_cmp);
        Some(Figure {
            median: median(&samples)?,
            least: *samples.first()?,
            most: *samples.last()?,
        })
    }

    /// How often one is of the other: the median of the ratios of what ran side by side.
    pub(in crate::bench) fn ratio(&self, over: (W, P), under: (W, P)) -> Option<f64> {
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
            figures.add("memory", "ours", value);
        }
        let figure = figures.of("memory", "ours").unwrap();
        assert_eq!((figure.median, figure.least, figure.most), (3.5, 1.0, 9.0));
        assert_eq!(figures.of("idle", "ours"), None);
    }

    #[test]
    fn a_ratio_compares_what_ran_side_by_side() {
        let mut figures = Figures::default();
        for (ours, theirs) in [(1.0, 2.0), (30.0, 60.0), (7.0, 7.0)] {
            figures.add("memory", "ours", ours);
            figures.add("memory", "theirs", theirs);
        }
        let ratio = figures.ratio(("memory", "ours"), ("memory", "theirs"));
        assert_eq!(ratio, Some(0.5));
        figures.add("memory", "ours", 3.0);
        figures.add("memory", "theirs", 2.0);
        let ratio = figures.ratio(("memory", "ours"), ("memory", "theirs"));
        assert_eq!(ratio, Some(0.75), "between the two in the middle");
    }
}
