//! Which endpoint takes the next request: power of two choices over what is in flight.
//!
//! Two endpoints are drawn at random and the less loaded one wins: nearly as even as asking all,
//! without herding onto the one that was idle a moment ago (Mitzenmacher, "The Power of Two
//! Choices in Randomized Load Balancing").

/// Chooses among the endpoints for which `is_eligible` holds.
///
/// `draw(n)` returns a number below `n`; `load(i)` is how busy endpoint `i` is.
pub(super) fn choose(
    count: usize,
    is_eligible: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> usize,
    mut draw: impl FnMut(usize) -> usize,
) -> Option<usize> {
    if count == 1 {
        return is_eligible(0).then_some(0);
    }
    let eligible = (0..count).filter(|index| is_eligible(*index)).count();
    let nth = |n: usize| (0..count).filter(|index| is_eligible(*index)).nth(n);
    match eligible {
        0 => None,
        1 => nth(0),
        _ => {
            let first = draw(eligible);
            let mut second = draw(eligible - 1);
            if second >= first {
                second += 1;
            }
            let (first, second) = (nth(first)?, nth(second)?);
            Some(if load(second) < load(first) {
                second
            } else {
                first
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_loaded_of_two_wins() {
        let loads = [5, 1];
        for drawn in 0..2 {
            let mut draws = [drawn, 0].into_iter();
            let chosen = choose(2, |_| true, |i| loads[i], |_| draws.next().unwrap());
            assert_eq!(chosen, Some(1));
        }
    }

    #[test]
    fn ineligible_endpoints_are_never_chosen() {
        for first in 0..2 {
            let mut draws = [first, 0].into_iter();
            let chosen = choose(3, |i| i != 1, |_| 0, |_| draws.next().unwrap());
            assert!(matches!(chosen, Some(0 | 2)));
        }
        assert_eq!(choose(3, |i| i == 1, |_| 0, |_| 0), Some(1));
        assert_eq!(choose(3, |_| false, |_| 0, |_| 0), None);
        assert_eq!(choose(1, |_| false, |_| 0, |_| 0), None);
    }
}
