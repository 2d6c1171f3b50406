//! What is counted, as plain numbers that can be added up.

use super::stripes::Merge;
use millrace_crds::report::LATENCY_BOUNDS;
use std::{collections::BTreeMap, time::Duration};

/// A count and a sum of time, as the protocol's statistics have them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// How many.
    pub count: u64,
    /// Their sum in nanoseconds.
    pub nanos: u64,
}

impl Span {
    pub(super) fn add(&mut self, time: Duration) {
        self.count += 1;
        self.nanos += nanos(time);
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.nanos += other.nanos;
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}

/// Totals since the start.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Milliseconds since the epoch of the last request.
    pub last: u64,
    /// Rows.
    pub rows: u64,
    /// Requests that ended, well or not.
    pub completed: u64,
    /// Requests that ended well.
    pub success: Span,
    /// Requests that failed.
    pub fail: Span,
    /// Time in the queue.
    pub queue: Span,
    /// Decoding and pre-processing.
    pub input: Span,
    /// In the engine.
    pub infer: Span,
    /// Post-processing and encoding.
    pub output: Span,
    /// Engine runs by rows.
    pub batches: BTreeMap<usize, Span>,
}

impl Totals {
    fn merge(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
        self.rows += other.rows;
        self.completed += other.completed;
        self.success.merge(other.success);
        self.fail.merge(other.fail);
        self.queue.merge(other.queue);
        self.input.merge(other.input);
        self.infer.merge(other.infer);
        self.output.merge(other.output);
        add_up(&mut self.batches, &other.batches, Span::merge);
    }
}

/// Times by [`LATENCY_BOUNDS`].
#[derive(Clone, Debug, Default)]
pub struct Bars {
    counts: [u64; LATENCY_BOUNDS.len() + 1],
    nanos: u64,
}

impl Bars {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.counts[LATENCY_BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.nanos += nanos(time);
    }

    /// Upper bound and count of each bar.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        LATENCY_BOUNDS.into_iter().chain([f64::MAX]).zip(self.counts)
    }

    /// Their sum in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanos).as_secs_f64()
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(own, other)| *own += other);
        self.nanos += other.nanos;
    }
}

/// All that one thread has counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Totals.
    pub totals: Totals,
    /// Time from arrival to the answer, of those that ended well.
    pub duration: Bars,
    /// Time in the queue.
    pub queued: Bars,
    /// Time of engine runs.
    pub computed: Bars,
    /// Requests that failed, by status code.
    pub codes: BTreeMap<u16, u64>,
    /// The same by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

impl Merge for Tally {
    fn merge(&mut self, other: &Self) {
        self.totals.merge(&other.totals);
        self.duration.merge(&other.duration);
        self.queued.merge(&other.queued);
        self.computed.merge(&other.computed);
        let plus = |own: &mut u64, other| *own += other;
        add_up(&mut self.codes, &other.codes, plus);
        add_up(&mut self.reasons, &other.reasons, plus);
    }
}

fn add_up<K: Ord + Copy, V: Copy + Default>(own: &mut BTreeMap<K, V>, other: &BTreeMap<K, V>, add: fn(&mut V, V)) {
    other.iter().for_each(|(&key, &value)| add(own.entry(key).or_default(), value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_bar_whose_bound_it_does_not_pass() {
        let mut bars = Bars::default();
        for millis in [0, 1, 2, 3, 60_000] {
            bars.add(Duration::from_millis(millis));
        }
        let counts: Vec<u64> = bars.buckets().map(|(_, count)| count).collect();
        assert_eq!(&counts[..4], &[2, 1, 1, 0]);
        assert_eq!(counts[LATENCY_BOUNDS.len()], 1);
        assert!((bars.seconds() - 60.006).abs() < 1e-9);
    }

    #[test]
    fn tallies_add_up() {
        let mut one = Tally::default();
        one.totals.batches.entry(2).or_default().add(Duration::from_nanos(5));
        one.codes.insert(400, 1);
        let mut both = one.clone();
        both.merge(&one);
        assert_eq!((both.totals.batches[&2].count, both.totals.batches[&2].nanos, both.codes[&400]), (2, 10, 2));
    }
}
