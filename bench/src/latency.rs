//! Latencies of a run, and their percentiles.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What a load run saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Requests with the expected answer.
    pub answered: u64,
    /// Others.
    pub failed: u64,
    /// The first failure, in words.
    pub first_failure: Option<String>,
    /// Seconds from the first request to the last answer.
    pub seconds: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// The longest, in milliseconds.
    pub max_ms: f64,
}

impl Summary {
    /// Sums up; the latencies of the answered requests, in any order.
    #[must_use]
    pub fn of(mut latencies: Vec<Duration>, failures: &[String], seconds: f64) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| percentile(&latencies, share).as_secs_f64() * 1e3;
        Self {
            answered: latencies.len() as u64,
            failed: failures.len() as u64,
            first_failure: failures.first().cloned(),
            seconds,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, failed, first_failure, seconds, p50_ms, p99_ms, max_ms } = self;
        write!(
            f,
            "{answered} answered in {seconds:.1} s, {failed} failed; p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, max {max_ms:.1} ms"
        )?;
        first_failure.as_ref().map_or(Ok(()), |failure| write!(f, "; first failure: {failure}"))
    }
}

/// The value that `share` (0 to 1) of sorted values don't exceed: nearest rank.
fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 0.5), Duration::from_millis(50));
        assert_eq!(percentile(&sorted, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&sorted, 1.0), Duration::from_millis(100));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
