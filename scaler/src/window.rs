//! Windows over monotonic counters: differences per reporter, spread over the time that they cover.

use std::collections::VecDeque;

/// Seconds that a ring remembers.
const SPAN: i64 = 300;

/// One reporter's monotonic counter. Differences are taken, so that a lost report loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counter {
    last: Option<Reading>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
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
        const YOUNG: f64 = 10.0;
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
}

/// Amounts by second, for the last five minutes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ring {
    seconds: VecDeque<f64>,
    /// The second of the last bucket.
    head: i64,
    since: Option<f64>,
    until: f64,
}

impl Ring {
    /// Adds what came between `from` and `to`, evenly.
    pub fn add(&mut self, increase: Increase) {
        let Increase { amount, from, to } = increase;
        if !from.is_finite() || !to.is_finite() || to < from {
            return;
        }
        self.advance(to.floor() as i64);
        self.since = Some(self.since.map_or(from, |since| since.min(from)));
        self.until = self.until.max(to);
        let length = to - from;
        let first = (from.floor() as i64).max(self.head - SPAN + 1);
        for second in first..=to.floor() as i64 {
            let covered = (to.min((second + 1) as f64) - from.max(second as f64)).max(0.0);
            let share = if length > 0.0 { covered / length } else { 1.0 };
            if let Some(bucket) = self.bucket(second) {
                *bucket += amount as f64 * share;
            }
        }
    }

    /// The rate per second over the last `window` seconds until the last report; `None` before the first one.
    #[must_use]
    pub fn rate(&self, now: f64, window: f64) -> Option<f64> {
        let since = self.since?;
        let end = if now - self.until < 5.0 { self.until.min(now) } else { now };
        let first = (end.floor() as i64) - (window.max(1.0).ceil() as i64) + 1;
        let seconds = (end - (first as f64).max(since)).max(1.0);
        Some(self.sum(first, end.floor() as i64) / seconds)
    }

    /// The highest rate over any `width` seconds within the last `span` seconds; `None` before the first report.
    #[must_use]
    pub fn peak(&self, now: f64, span: f64, width: f64) -> Option<f64> {
        let since = self.since?;
        let last = (now.min(self.until)).floor() as i64;
        let width = (width.max(1.0).ceil() as i64).min(SPAN);
        let oldest = now.floor() as i64 - (span.clamp(1.0, SPAN as f64).ceil() as i64);
        let mut best = self.rate(now, width as f64)?;
        for end in oldest..last {
            let first = end - width + 1;
            let seconds = ((end + 1) as f64 - (first as f64).max(since)).max(1.0);
            best = best.max(self.sum(first, end) / seconds);
        }
        Some(best)
    }

    fn sum(&self, first: i64, last: i64) -> f64 {
        (first.max(self.head - self.seconds.len() as i64 + 1)..=last.min(self.head))
            .map(|second| self.seconds[self.index(second)])
            .sum()
    }

    fn index(&self, second: i64) -> usize {
        (self.seconds.len() as i64 - 1 - (self.head - second)) as usize
    }

    fn bucket(&mut self, second: i64) -> Option<&mut f64> {
        let oldest = self.head - self.seconds.len() as i64;
        if second <= oldest || second > self.head {
            return None;
        }
        let index = self.index(second);
        self.seconds.get_mut(index)
    }

    fn advance(&mut self, second: i64) {
        if self.seconds.is_empty() || second - self.head >= SPAN {
            self.seconds = VecDeque::from(vec![0.0; SPAN as usize]);
            self.head = second;
        }
        while self.head < second {
            self.seconds.pop_front();
            self.seconds.push_back(0.0);
            self.head += 1;
        }
    }
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
    fn a_gap_loses_nothing() {
        let mut ring = Ring::default();
        ring.add(Increase { amount: 0, from: 100.0, to: 101.0 });
        ring.add(Increase { amount: 300, from: 101.0, to: 131.0 });
        let rate = ring.rate(131.0, 10.0).unwrap();
        assert!((rate - 10.0).abs() < 1e-9, "{rate}");
        assert_eq!(ring.rate(131.0, 300.0).map(f64::round), Some(10.0));
    }

    #[test]
    fn rate_dies_away_and_peak_stays() {
        let mut ring = Ring::default();
        ring.add(Increase { amount: 100, from: 0.0, to: 10.0 });
        ring.add(Increase { amount: 0, from: 10.0, to: 40.0 });
        assert_eq!(ring.rate(40.0, 10.0), Some(0.0));
        assert!(ring.peak(40.0, 60.0, 10.0).unwrap() > 9.9);
        assert!(ring.peak(40.0, 10.0, 10.0).unwrap() < 1e-9);
        assert_eq!(Ring::default().rate(1.0, 10.0), None);
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

        #[test]
        fn ring_keeps_the_amount(pieces in prop::collection::vec((0u64..1_000, 0.0f64..20.0), 1..12)) {
            let (mut ring, mut now, mut total) = (Ring::default(), 1_000.5, 0);
            for (amount, length) in pieces {
                ring.add(Increase { amount, from: now, to: now + length });
                now += length;
                total += amount;
            }
            let sum = ring.sum(0, i64::MAX);
            prop_assert!((sum - total as f64).abs() < 1e-6 * (1.0 + total as f64), "{sum} of {total}");
        }
    }
}
