//! Which replica: a revision by weight, then the less busy of two random replicas.

/// What is known of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Requests of ours that it has now.
    pub in_flight: usize,
    /// Consecutive failures put it out for a while.
    pub ejected: bool,
    /// This very request has been there.
    pub tried: bool,
}

/// The revision for a request: `dice` falls into the weights of those that have a ready replica.
#[must_use]
pub fn revision(weights: &[(String, u32)], ready: impl Fn(&str) -> bool, dice: u64) -> Option<&str> {
    let live = || weights.iter().filter(|(revision, _)| ready(revision));
    let total: u64 = live().map(|(_, weight)| u64::from(*weight)).sum();
    let mut left = dice.checked_rem(total)?;
    for (revision, weight) in live() {
        let weight = u64::from(*weight);
        if left < weight {
            return Some(revision);
        }
        left -= weight;
    }
    None
}

/// The index of the replica to use: the better of two that `dice` names. Ejected ones are left out while they are at most
/// half of all: when more fail, the fault isn't theirs, and to send everything to the rest would fell these too.
#[must_use]
pub fn replica(candidates: &[Candidate], dice: u64) -> Option<usize> {
    let ejected = candidates.iter().filter(|candidate| candidate.ejected).count();
    let heed = ejected * 2 <= candidates.len();
    let usable = |heed: bool| -> Vec<usize> {
        let fits = |c: &Candidate| !(c.tried || heed && c.ejected);
        (0..candidates.len()).filter(|index| fits(&candidates[*index])).collect()
    };
    let mut open = usable(heed);
    if open.is_empty() {
        open = usable(false);
    }
    let count = u64::try_from(open.len()).ok().filter(|count| *count > 0)?;
    let at = |number: u64| open[usize::try_from(number % count).unwrap_or(0)];
    let first = at(dice);
    if count == 1 {
        return Some(first);
    }
    // The second is another one: an offset of 1 to count - 1 from the first.
    let second = at(dice % count + 1 + (dice >> 32) % (count - 1));
    Some(if candidates[second].in_flight < candidates[first].in_flight { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(in_flight: &[usize]) -> Vec<Candidate> {
        in_flight.iter().map(|n| Candidate { in_flight: *n, ejected: false, tried: false }).collect()
    }

    #[test]
    fn less_busy_of_two() {
        for dice in [0, 1, 7 << 32, u64::MAX] {
            assert_eq!(replica(&of(&[5, 1]), dice), Some(1), "{dice}");
        }
        assert_eq!(replica(&of(&[9]), 3), Some(0));
        assert_eq!(replica(&[], 3), None);
    }

    #[test]
    fn ejected_ones_are_left_out_up_to_half() {
        let mut two = of(&[0, 9]);
        two[0].ejected = true;
        assert!((0..64).all(|dice| replica(&two, dice) == Some(1)));
        two[1].ejected = true;
        assert!((0..64).all(|dice| replica(&two, dice) == Some(0)), "all ejected: as if none were");
        let mut three = of(&[0, 0, 0]);
        three[0].ejected = true;
        three[1].ejected = true;
        let seen: Vec<_> = (0..64).map(|dice| replica(&three, dice)).collect();
        assert!(seen.contains(&Some(0)) && seen.contains(&Some(1)), "more than half: {seen:?}");
    }

    #[test]
    fn an_ejected_one_is_better_than_none_and_a_tried_one_is_not() {
        let mut two = of(&[0, 0]);
        two[0].ejected = true;
        two[1].tried = true;
        assert_eq!(replica(&two, 5), Some(0));
        two[0].tried = true;
        assert_eq!(replica(&two, 5), None);
    }

    #[test]
    fn weights() {
        let weights = vec![("old".to_owned(), 95), ("new".to_owned(), 5)];
        let count = (0..100).filter(|dice| revision(&weights, |_| true, *dice) == Some("new")).count();
        assert_eq!(count, 5);
        assert_eq!(revision(&weights, |name| name == "new", 3), Some("new"));
        assert_eq!(revision(&weights, |_| false, 3), None);
    }

    proptest! {
        #[test]
        fn never_tried_and_never_ejected_while_a_sound_one_is_there(
            states in prop::collection::vec((0usize..9, any::<bool>(), any::<bool>()), 0..9), dice: u64
        ) {
            let all: Vec<_> = states.iter().map(|(n, e, t)| Candidate { in_flight: *n, ejected: *e, tried: *t }).collect();
            let picked = replica(&all, dice);
            prop_assert_eq!(picked.is_some(), all.iter().any(|c| !c.tried));
            if let Some(index) = picked {
                prop_assert!(!all[index].tried);
                let sound = all.iter().any(|c| !c.tried && !c.ejected);
                let few = all.iter().filter(|c| c.ejected).count() * 2 <= all.len();
                prop_assert!(!(all[index].ejected && sound && few));
            }
        }
    }
}
