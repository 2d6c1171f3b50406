//! Monotonic counters of reporters: differences, so that a lost report loses nothing.

use serde::{Deserialize, Serialize};

/// A reporter whose life is younger has counted nothing before it was first heard.
const YOUNG: f64 = 10.0;

/// One reporter's monotonic counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    last: Option<Reading>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    life: f64,
    value: u64,
    at: f64,
}

/// By how much a counter rose, and over which time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Increase {
    /// How much.
    pub amount: u64,
    /// From when.
    pub from: f64,
    /// Until when.
    pub to: f64,
}

impl Counter {
    /// Reads `value` at `now` in the reporter's life that began at `life`.
    ///
    /// A new life, or a value that fell, means that the counter began anew: all of it is new. The first reading of a
    /// reporter is only a baseline, unless its life is a few seconds old: nobody knows when an old value came about.
    pub fn advance(&mut self, now: f64, life: f64, value: u64) -> Option<Increase> {
        let reading = Reading { life, value, at: now };
        let last = self.last.replace(reading);
        match last {
            None if now - life >= 0.0 && now - life < YOUNG => Some(Increase { amount: value, from: life, to: now }),
            None => None,
            Some(last) if now < last.at => {
                self.last = Some(last);
                None
            }
            Some(last) if last.life == life && value >= last.value => {
                Some(Increase { amount: value - last.value, from: last.at, to: now })
            }
            Some(last) => Some(Increase { amount: value, from: last.at.max(life.min(now)), to: now }),
        }
    }

    /// How a reading in the life that began at `life` would follow on the last one.
    pub(crate) fn follows(&self, now: f64, life: f64) -> Life {
        match self.last {
            Some(last) if last.life == life => Life::GoesOn,
            None if !(0.0..YOUNG).contains(&(now - life)) => Life::Unknown,
            _ => Life::Anew,
        }
    }

    /// The same counter of a service that slept: when it was read last is no news, and isn't kept.
    pub(crate) fn asleep(mut self) -> Self {
        if let Some(last) = &mut self.last {
            last.at = 0.0;
        }
        self
    }

    /// The same counter, read no longer ago than at `from`.
    pub(crate) fn not_before(mut self, from: f64) -> Self {
        if let Some(last) = &mut self.last {
            last.at = last.at.max(from);
        }
        self
    }

    /// The same counter on the clock of a successor: a reading from its future would be waited for.
    pub(crate) fn not_after(mut self, now: f64) -> Self {
        if let Some(last) = &mut self.last {
            last.at = last.at.min(now);
        }
        self
    }
}

/// How a reading follows on the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// In the same life.
    GoesOn,
    /// In a life that is new, or young: all was counted since.
    Anew,
    /// For the first time, in an old life: nobody knows when it was counted.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_reading_of_an_old_life_is_a_baseline() {
        let mut counter = Counter::default();
        assert_eq!(counter.advance(1_000.0, 0.0, 50), None);
        assert_eq!(counter.advance(1_001.0, 0.0, 53), Some(Increase { amount: 3, from: 1_000.0, to: 1_001.0 }));
    }

    #[test]
    fn a_restart_counts_from_zero() {
        let mut counter = Counter::default();
        assert_eq!(counter.advance(5.0, 4.0, 2), Some(Increase { amount: 2, from: 4.0, to: 5.0 }));
        assert_eq!(counter.advance(9.0, 7.0, 6), Some(Increase { amount: 6, from: 7.0, to: 9.0 }));
        // Without a new life, a fallen value is a restart all the same.
        assert_eq!(counter.advance(10.0, 7.0, 1), Some(Increase { amount: 1, from: 9.0, to: 10.0 }));
        assert_eq!(counter.advance(9.5, 7.0, 5), None, "a late answer changes nothing");
    }

    #[test]
    fn a_successor_with_a_slower_clock_goes_on_at_once() {
        let mut counter = Counter::default();
        counter.advance(1_000.0, 0.0, 50);
        let mut counter = counter.not_after(990.0);
        assert_eq!(counter.advance(991.0, 0.0, 60), Some(Increase { amount: 10, from: 990.0, to: 991.0 }));
    }

    proptest! {
        /// Whatever reports are lost, the differences add up to the counter.
        #[test]
        fn differences_add_up(steps in prop::collection::vec((0u64..1_000, any::<bool>()), 1..100)) {
            let mut counter = Counter::default();
            counter.advance(0.0, -100.0, 0);
            let (mut value, mut seen, mut reported) = (0, 0, 0);
            for (second, (step, heard)) in steps.into_iter().enumerate() {
                value += step;
                if heard {
                    seen += counter.advance(second as f64 + 1.0, -100.0, value).unwrap().amount;
                    reported = value;
                }
            }
            prop_assert_eq!(seen, reported);
        }
    }
}
