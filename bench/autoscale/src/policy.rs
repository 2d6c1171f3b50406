//! Who decides: the production law, re-implementations of what others ship, and schedules that know the future.

pub mod faults;
pub mod hpa;
pub mod keda;
pub mod kpa;
pub mod law;
pub mod saturation;
pub mod schedule;
pub mod unit;

pub use crate::world::Policy;

/// Fills pools in `order` with `total` replicas; what doesn't fit stays wanted on the last pool, where it waits.
pub fn fill(total: u32, order: &[usize], capacity: &[u32], want: &mut [u32]) {
    want.fill(0);
    let mut left = total;
    for pool in order {
        let here = left.min(capacity[*pool]);
        want[*pool] = here;
        left -= here;
    }
    if let Some(last) = order.last() {
        want[*last] += left;
    }
}

/// Values of the last so many seconds.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    values: std::collections::VecDeque<(f64, f64)>,
}

impl Recent {
    /// Adds a value and forgets what is older than `span`.
    pub fn push(&mut self, now: f64, value: f64, span: f64) {
        self.values.push_back((now, value));
        while self.values.front().is_some_and(|(at, _)| now - at > span) {
            self.values.pop_front();
        }
    }

    /// How much a growing sum rose over the last `span`, per second.
    #[must_use]
    pub fn slope(&self, span: f64) -> Option<f64> {
        let last = self.values.back()?;
        let first = self.values.get(self.values.partition_point(|(at, _)| last.0 - at > span))?;
        (last.0 > first.0).then(|| (last.1 - first.1) / (last.0 - first.0))
    }

    /// The value so many seconds ago, or the oldest.
    #[must_use]
    pub fn before(&self, now: f64, seconds: f64) -> Option<f64> {
        self.values.get(self.values.partition_point(|(at, _)| now - at > seconds)).map(|(_, value)| *value)
    }
}

/// The largest value over the last so many seconds.
#[derive(Clone, Debug, Default)]
pub struct Highest {
    /// Values that nothing later exceeds, the largest first.
    values: std::collections::VecDeque<(f64, f64)>,
}

impl Highest {
    /// Adds a value, and gives the largest that isn't older than `span`.
    pub fn push(&mut self, now: f64, value: f64, span: f64) -> f64 {
        while self.values.back().is_some_and(|(_, last)| *last <= value) {
            self.values.pop_back();
        }
        self.values.push_back((now, value));
        while self.values.front().is_some_and(|(at, _)| now - at > span) {
            self.values.pop_front();
        }
        self.values.front().map_or(value, |(_, highest)| *highest)
    }
}
