//! Chance, as one seed has it. Whatever is left to chance asks here and nowhere else.

/// A sequence of numbers that its seed decides (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..sides`.
    pub(crate) const fn below(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    /// True so often of a thousand times.
    pub(crate) const fn permille(&mut self, times: u64) -> bool {
        self.below(1_000) < times
    }

    /// One of some, none of none.
    pub(crate) fn one_of<'a, T>(&mut self, some: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(some.len()).ok().filter(|count| *count > 0)?;
        some.get(usize::try_from(self.below(count)).ok()?)
    }
}
