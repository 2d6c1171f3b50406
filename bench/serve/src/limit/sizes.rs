//! Batch sizes of a loop: one, or those that a server reached.

use std::{collections::BTreeMap, fmt};

/// Steps after which a mix begins anew.
const STEPS: usize = 64;

/// Which batches a loop runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sizes {
    /// As a server ran them in the same turn.
    Reached,
    /// All of one size.
    All(usize),
}

impl fmt::Display for Sizes {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached => to.write_str("as reached"),
            Self::All(size) => size.fmt(to),
        }
    }
}

/// Sizes in the shares of these runs (by size), in an order that has no trend.
pub fn mix(runs: &BTreeMap<usize, u64>) -> Vec<usize> {
    let all: u64 = runs.values().sum();
    let at = |step: usize| {
        let mut left = all * (2 * step as u64 + 1) / (2 * STEPS as u64);
        let found = runs.iter().find(|(_, count)| {
            let here = left < **count;
            left = left.saturating_sub(**count);
            here
        });
        found.map_or(1, |(size, _)| *size)
    };
    // 27 and the number of steps have no divisor in common: each step comes once.
    (0..STEPS).map(|step| at(step * 27 % STEPS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_the_shares_of_its_runs() {
        let mixed = mix(&BTreeMap::from([(1, 10), (4, 20), (16, 10)]));
        let of = |size| mixed.iter().filter(|one| **one == size).count();
        assert_eq!((of(1), of(4), of(16), mixed.len()), (16, 32, 16, STEPS));
        let half = &mixed[..STEPS / 2];
        assert!(half.iter().filter(|size| **size == 4).count().abs_diff(16) <= 1, "{half:?}");
        assert_eq!(mix(&BTreeMap::from([(8, 3)])), [8; STEPS]);
    }
}
