//! Random questions: each of a pool as likely as the others, and for somebody who is known none
//! twice before all of them came.

use std::collections::HashSet;

use uuid::Uuid;

/// Draws of one pool that are remembered for one user, 8 bytes each; of a pool that is larger the
/// oldest ones are forgotten.
pub const REMEMBERED: usize = 20_000;

/// The questions that a user got from a pool since it was last used up, in their order.
///
/// A question is remembered by the last eight bytes of its id: those are random in a UUIDv7 and a
/// hash in a UUIDv5, so that two of ten thousand share them once in a hundred billion pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn(Vec<u64>);

/// One of the pool, each as likely as the others; none from an empty one. `random` is uniform over
/// all 64 bits; the choice is off by less than `pool.len()` in 2^64 (Lemire, "Fast random integer
/// generation in an interval", 2019, without its rejection).
#[must_use]
pub fn one_of<T: Copy>(pool: &[T], random: u64) -> Option<T> {
    let place = (u128::from(random) * pool.len() as u128) >> 64;
    usize::try_from(place)
        .ok()
        .and_then(|place| pool.get(place).copied())
}

impl Drawn {
    /// As it was stored; a part of an entry at the end is ignored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (marks, _) = bytes.as_chunks::<8>();
        Self(marks.iter().map(|mark| u64::from_be_bytes(*mark)).collect())
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|mark| mark.to_be_bytes()).collect()
    }

    /// Draws one that was not drawn yet, each of those as likely as the others. When all were, it
    /// begins again, and not with the one that came last, unless there is no other. None from an
    /// empty pool.
    pub fn draw(&mut self, pool: &[Uuid], random: u64) -> Option<Uuid> {
        let drawn: HashSet<u64> = self.0.iter().copied().collect();
        let mut left: Vec<Uuid> = pool
            .iter()
            .copied()
            .filter(|id| !drawn.contains(&mark(*id)))
            .collect();
        if left.is_empty() {
            let last = self.0.last().copied();
            self.0.clear();
            left = pool.to_vec();
            if left.len() > 1 {
                left.retain(|id| Some(mark(*id)) != last);
            }
        }
        let id = one_of(&left, random)?;
        self.0.push(mark(id));
        let forgotten = self.0.len().saturating_sub(REMEMBERED);
        self.0.drain(..forgotten);
        Some(id)
    }
}

fn mark(id: Uuid) -> u64 {
    id.as_u64_pair().1
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const SEED: u64 = 20_261_120;

    /// Above this, one of a thousand fair runs lies with 19 degrees of freedom.
    const CHI_SQUARE_19: f64 = 43.82;

    fn pool(size: u128) -> Vec<Uuid> {
        (1..=size).map(Uuid::from_u128).collect()
    }

    fn chi_square(counts: &[u32]) -> f64 {
        let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
        let off = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
        counts.iter().map(off).sum()
    }

    #[test]
    fn each_question_is_as_likely_as_the_others() {
        let (mut random, pool) = (StdRng::seed_from_u64(SEED), pool(20));
        let mut counts = [0_u32; 20];
        for _ in 0..20_000 {
            let id = one_of(&pool, random.next_u64()).expect("a question");
            counts[usize::try_from(id.as_u128()).expect("small") - 1] += 1;
        }
        assert!(
            chi_square(&counts) < CHI_SQUARE_19,
            "seed {SEED}: {counts:?}"
        );
    }

    #[test]
    fn each_place_of_a_round_is_as_likely_for_each_question() {
        let (mut random, pool) = (StdRng::seed_from_u64(SEED), pool(20));
        let mut counts = [[0_u32; 20]; 20];
        let mut drawn = Drawn::default();
        for round in 0..4_000 {
            for counts in &mut counts {
                let id = drawn.draw(&pool, random.next_u64()).expect("a question");
                counts[usize::try_from(id.as_u128()).expect("small") - 1] += 1;
            }
            assert_eq!(drawn.0.len(), 20, "round {round}");
        }
        for (place, counts) in counts.iter().enumerate() {
            assert!(
                chi_square(counts) < CHI_SQUARE_19 * 1.5,
                "seed {SEED}, place {place}: {counts:?}"
            );
        }
    }

    #[test]
    fn nothing_comes_twice_before_all_came_nor_twice_in_a_row() {
        let (mut random, pool) = (StdRng::seed_from_u64(SEED), pool(5));
        let (mut drawn, mut last) = (Drawn::default(), None);
        for _ in 0..200 {
            let mut round = HashSet::new();
            for _ in 0..5 {
                let id = drawn.draw(&pool, random.next_u64());
                assert_ne!(id, last, "twice in a row");
                assert!(round.insert(id), "twice in a round");
                last = id;
                drawn = Drawn::from_bytes(&drawn.to_bytes());
            }
        }
    }

    #[test]
    fn a_question_that_comes_later_belongs_to_the_round() {
        let mut drawn = Drawn::default();
        let small = pool(3);
        let first: HashSet<_> = (0..3).map(|_| drawn.draw(&small, 7)).collect();
        assert_eq!(first.len(), 3);
        assert_eq!(drawn.draw(&pool(4), 7), Some(Uuid::from_u128(4)));
    }

    #[test]
    fn a_pool_of_one_gives_it_again_and_an_empty_one_nothing() {
        let mut drawn = Drawn::default();
        assert_eq!(drawn.draw(&pool(1), u64::MAX), Some(Uuid::from_u128(1)));
        assert_eq!(drawn.draw(&pool(1), u64::MAX), Some(Uuid::from_u128(1)));
        assert_eq!(drawn.draw(&[], 0), None);
        assert_eq!(one_of::<Uuid>(&[], u64::MAX), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut drawn = Drawn((0..REMEMBERED as u64).rev().collect());
        drawn.draw(&pool(REMEMBERED as u128 + 5), 0);
        assert_eq!(drawn.0.len(), REMEMBERED);
    }
}
