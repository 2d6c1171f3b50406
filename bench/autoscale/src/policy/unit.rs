//! What one replica does: the rivals' targets are given as parts of it, so that one configuration means the same for
//! every kind of service. That favours them: their users must find the number for each model.

use crate::queue::table::Table;

/// One replica at the edge of its objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// Requests per second.
    pub rate: f64,
    /// Requests in it at that rate.
    pub concurrency: f64,
}

impl Unit {
    /// Of a replica among four, with one answer in a hundred late.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let rate = table.sustained(4.0, 0.01) / 4.0;
        let latency = table.at(4.0, rate / table.throughput).latency;
        Self { rate, concurrency: rate * latency }
    }
}
