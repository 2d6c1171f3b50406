//! Arrivals: how many requests in each second, and when in it.

use crate::random::Random;
use serde::{Deserialize, Serialize};

/// Which rows of the table a trace belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Load moves over hours.
    Diurnal,
    /// Load jumps within seconds or minutes.
    Bursty,
}

/// Arrivals of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Requests in each second.
    pub counts: Vec<u32>,
    /// The instants, if they are known; they agree with `counts`.
    pub instants: Vec<f64>,
    /// Where it comes from and how it was scaled.
    pub note: String,
}

impl Trace {
    /// A trace of counts; its kind is found out.
    #[must_use]
    pub fn new(name: &str, counts: Vec<u32>, note: &str) -> Self {
        let kind = classify(&counts);
        Self { name: name.to_owned(), kind, counts, instants: Vec::new(), note: note.to_owned() }
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> usize {
        self.counts.len()
    }

    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// Requests per second, mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.total() as f64 / self.seconds().max(1) as f64
    }

    /// The highest rate over ten seconds against the mean.
    #[must_use]
    pub fn peak_to_mean(&self) -> f64 {
        let peak = self.counts.chunks(10).map(|ten| sum(ten) as f64 / ten.len() as f64).fold(0.0, f64::max);
        peak / self.mean().max(1e-9)
    }

    /// Puts the arrivals of `second` into `into`, in order. Where only the number is known they lie evenly at random,
    /// the same for each policy.
    pub fn arrivals(&self, second: usize, seed: u64, into: &mut Vec<f64>) {
        into.clear();
        let start = second as f64;
        if !self.instants.is_empty() {
            let first = self.instants.partition_point(|at| *at < start);
            into.extend(self.instants[first..].iter().take_while(|at| **at < start + 1.0));
            return;
        }
        let count = self.counts.get(second).copied().unwrap_or(0);
        if count == 0 {
            return;
        }
        let mut random = Random::new(seed, second as u64);
        into.extend((0..count).map(|_| start + random.unit()));
        into.sort_unstable_by(f64::total_cmp);
    }

    /// The part from `from`, of at most `seconds`.
    #[must_use]
    pub fn part(&self, from: usize, seconds: usize) -> Self {
        let (from, to) = (from.min(self.seconds()), (from + seconds).min(self.seconds()));
        let inside = self.instants.iter().filter(|at| **at >= from as f64 && **at < to as f64);
        Self {
            counts: self.counts[from..to].to_vec(),
            instants: inside.map(|at| at - from as f64).collect(),
            ..self.clone()
        }
    }
}

fn sum(counts: &[u32]) -> u64 {
    counts.iter().map(|count| u64::from(*count)).sum()
}

/// Bursty: once in a thousand, ten seconds hold over 1.6 times the mean of the ten minutes around them, beyond what
/// chance explains (four deviations of a Poisson count).
#[must_use]
pub fn classify(counts: &[u32]) -> Kind {
    let (mut all, mut bursts) = (0_u64, 0_u64);
    for ten_minutes in counts.chunks(600) {
        let mean = sum(ten_minutes) as f64 / ten_minutes.len() as f64 * 10.0;
        for ten in ten_minutes.chunks(10) {
            all += 1;
            bursts += u64::from(sum(ten) as f64 > (1.6 * mean).max(mean + 4.0 * mean.sqrt()) && mean > 0.0);
        }
    }
    if bursts * 1_000 > all { Kind::Bursty } else { Kind::Diurnal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_as_many_as_counted_and_the_same_each_time() {
        let trace = Trace::new("t", vec![3, 0, 5], "");
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for second in 0..3 {
            trace.arrivals(second, 7, &mut first);
            trace.arrivals(second, 7, &mut again);
            assert_eq!(first, again);
            assert_eq!(first.len() as u32, trace.counts[second]);
            assert!(first.iter().all(|at| (second as f64..second as f64 + 1.0).contains(at)));
        }
    }

    #[test]
    fn kinds() {
        let mut random = Random::new(3, 0);
        let steady: Vec<u32> = (0..36_000).map(|_| random.poisson(5.0)).collect();
        assert_eq!(classify(&steady), Kind::Diurnal);
        let jumps = (0..36_000).map(|second| random.poisson(if second % 1_800 < 60 { 25.0 } else { 5.0 })).collect();
        assert_eq!(Trace::new("j", jumps, "").kind, Kind::Bursty);
    }

    #[test]
    fn parts_keep_instants() {
        let trace = Trace { instants: vec![0.5, 1.25, 2.0], ..Trace::new("t", vec![1, 1, 1], "") };
        let part = trace.part(1, 2);
        assert_eq!((part.counts.as_slice(), part.instants.as_slice()), ([1, 1].as_slice(), [0.25, 1.0].as_slice()));
    }
}
