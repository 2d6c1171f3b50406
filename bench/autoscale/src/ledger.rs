//! What became of the requests of one service, as gateways count them.

use millrace_crds::report::LATENCY_BOUNDS;

/// Buckets of the gateways' latency histogram.
pub const BUCKETS: usize = LATENCY_BOUNDS.len() + 1;
/// Buckets of our own histogram: 40 to a decade, from 0.1 ms.
const FINE: usize = 280;

/// Counters and sums. Numbers of requests are real, because the fluid model cuts them.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Requests that arrived before this time aren't measured.
    pub from: f64,
    /// Seconds within which an answer is in time.
    pub target: f64,
    /// All that arrived, since the beginning.
    pub arrivals: f64,
    /// All that were answered.
    pub answered: f64,
    /// All that were given up.
    pub expired: f64,
    /// In a server, or on the way there.
    pub in_flight: f64,
    /// Waiting for a replica.
    pub held: f64,
    /// When the last one came.
    pub last_arrival: Option<f64>,
    /// Answers by the gateways' buckets.
    pub latency: [f64; BUCKETS],
    /// Measured: arrived.
    pub measured: f64,
    /// Measured: in time.
    pub in_time: f64,
    /// Measured: answered late or given up.
    pub late: f64,
    /// In flight or held, times seconds.
    pub concurrency: f64,
    /// Latest moment of `concurrency`.
    pub until: f64,
    fine: Vec<f64>,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(from: f64, target: f64) -> Self {
        Self {
            from,
            target,
            arrivals: 0.0,
            answered: 0.0,
            expired: 0.0,
            in_flight: 0.0,
            held: 0.0,
            last_arrival: None,
            latency: [0.0; BUCKETS],
            measured: 0.0,
            in_time: 0.0,
            late: 0.0,
            concurrency: 0.0,
            until: 0.0,
            fine: vec![0.0; FINE],
        }
    }

    /// Brings the sums up to `now`.
    pub fn pass(&mut self, now: f64) {
        self.concurrency += (self.in_flight + self.held) * (now - self.until).max(0.0);
        self.until = now;
    }

    /// `count` requests came.
    pub fn arrive(&mut self, now: f64, count: f64) {
        self.arrivals += count;
        self.last_arrival = Some(now);
        if now >= self.from {
            self.measured += count;
        }
    }

    /// `count` requests that came at `arrived` are answered after `latency` seconds.
    pub fn answer(&mut self, arrived: f64, latency: f64, count: f64) {
        self.answered += count;
        self.latency[LATENCY_BOUNDS.partition_point(|bound| *bound < latency)] += count;
        if arrived >= self.from {
            self.fine[fine(latency)] += count;
            if latency <= self.target {
                self.in_time += count;
            } else {
                self.late += count;
            }
        }
    }

    /// `count` requests that came at `arrived` are given up.
    pub fn give_up(&mut self, arrived: f64, count: f64) {
        self.expired += count;
        if arrived >= self.from {
            self.late += count;
            self.fine[FINE - 1] += count;
        }
    }

    /// Share in time of what was measured and has ended.
    #[must_use]
    pub fn attainment(&self) -> f64 {
        let ended = self.in_time + self.late;
        if ended > 0.0 { self.in_time / ended } else { 1.0 }
    }

    /// Seconds within which this share was answered, within 6 %.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let all: f64 = self.fine.iter().sum();
        let mut passed = 0.0;
        for (index, count) in self.fine.iter().enumerate() {
            passed += count;
            if passed >= share * all && all > 0.0 {
                return 1e-4 * 10f64.powf((index as f64 + 1.0) / 40.0);
            }
        }
        0.0
    }
}

fn fine(latency: f64) -> usize {
    ((latency.max(1e-4) / 1e-4).log10() * 40.0).floor().clamp(0.0, (FINE - 1) as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_measured() {
        let mut ledger = Ledger::new(10.0, 0.1);
        for at in 0..20 {
            ledger.arrive(f64::from(at), 1.0);
            ledger.answer(f64::from(at), if at % 10 == 0 { 0.2 } else { 0.05 }, 1.0);
        }
        assert_eq!((ledger.arrivals, ledger.measured, ledger.in_time, ledger.late), (20.0, 10.0, 9.0, 1.0));
        assert!((ledger.attainment() - 0.9).abs() < 1e-12);
        assert!((ledger.quantile(0.5) / 0.05 - 1.0).abs() < 0.07, "{}", ledger.quantile(0.5));
        assert!((ledger.quantile(0.99) / 0.2 - 1.0).abs() < 0.07);
    }
}
