//! What is remembered of one service's traffic, over all gateways.

use crate::{History, Increase};
use serde::{Deserialize, Serialize};

const LATENCY_SPAN: f64 = 30.0;
/// Answers are counted in bins of so many seconds.
const LATENCY_BIN: f64 = 5.0;
/// Bins that may hold answers of the last half minute.
const LATENCY_BINS: i64 = (LATENCY_SPAN / LATENCY_BIN) as i64;
/// Seconds over which requests in flight are averaged, the present one included.
const LEVELS: i64 = 11;

#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) history: Option<History>,
    pub(crate) last_arrival: Option<f64>,
    levels: Levels,
    answers: Answers,
    /// Answers since the last rehearsal.
    pub(crate) since: Answered,
    /// Answers since the last pass.
    pub(crate) fresh: Answered,
    /// The share of late answers that a predecessor saw last, and until when it counts.
    inherited: Option<(f64, f64)>,
}

/// Answers, and how many of them came after the target: a bucket that the target cuts counts in proportion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) all: f64,
    pub(crate) late: f64,
}

/// Requests in flight as they were told, second by second.
#[derive(Clone, Debug, Default)]
struct Levels {
    /// The newest second.
    head: i64,
    /// Sum and number of what was told in a second, at its number modulo their count.
    sums: [u32; LEVELS as usize],
    counts: [u8; LEVELS as usize],
}

/// Answers of the last bins, and how many were late.
#[derive(Clone, Debug, Default)]
struct Answers {
    /// The newest bin.
    head: i64,
    /// At a bin's number modulo their count.
    bins: [(f32, f32); LATENCY_BINS as usize],
}

impl Traffic {
    pub(crate) fn add(&mut self, increase: Increase) {
        History::add(&mut self.history, increase);
    }

    /// Notes answers that came since the last report.
    pub(crate) fn note_answers(&mut self, now: f64, answered: Answered) {
        self.answers.add((now / LATENCY_BIN).floor() as i64, answered);
        self.since.add(answered);
        self.fresh.add(answered);
    }

    /// Notes how many requests were in flight.
    pub(crate) fn note_level(&mut self, now: f64, level: u64) {
        self.levels.note(now.floor() as i64, u32::try_from(level).unwrap_or(u32::MAX));
    }

    /// Requests in flight, mean of the last ten seconds.
    pub(crate) fn level(&self, now: f64) -> Option<f64> {
        self.levels.mean(now.floor() as i64)
    }

    pub(crate) fn rate(&self, now: f64, window: f64) -> f64 {
        self.history.as_ref().map_or(0.0, |history| history.rate(now, window))
    }

    /// The part of a rate that counts: what came in the very first seconds is spread over ten, for one second is none.
    pub(crate) fn told(&self, now: f64) -> f64 {
        const ENOUGH: f64 = 10.0;
        self.history.as_ref().map_or(1.0, |history| (history.age(now) / ENOUGH).clamp(1.0 / ENOUGH, 1.0))
    }

    /// Whether it has been watched for so short a time that a quiet moment says nothing of the next one.
    pub(crate) fn is_young(&self, now: f64) -> bool {
        const YOUNG: f64 = 300.0;
        self.history.as_ref().is_none_or(|history| history.age(now) < YOUNG)
    }

    pub(crate) fn peak(&self, now: f64, span: f64) -> f64 {
        self.history.as_ref().map_or(0.0, |history| history.peak(now, span, 10.0))
    }

    /// The share of answers of the last half minute that came after the target. Until that has passed for a new leader,
    /// what its predecessor saw counts as well.
    pub(crate) fn late(&self, now: f64) -> Option<f64> {
        let inherited = self.inherited.filter(|(until, _)| now < *until).map(|(_, share)| share);
        [self.recent(now), inherited].into_iter().flatten().reduce(f64::max)
    }

    /// The same without what a predecessor saw.
    pub(crate) fn recent(&self, now: f64) -> Option<f64> {
        self.answers.since(((now - LATENCY_SPAN) / LATENCY_BIN).ceil() as i64).share()
    }

    /// Takes over which share a predecessor saw late in its last half minute.
    pub(crate) fn inherit(&mut self, now: f64, late: Option<f64>) {
        self.inherited = late.filter(|share| share.is_finite()).map(|share| (now + LATENCY_SPAN, share));
    }
}

impl Answered {
    /// Of answers by latency bucket.
    pub(crate) fn of(counts: &[u64], bounds: &[f64], target: f64) -> Self {
        let mut answered = Self::default();
        for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let lower = if index == 0 { 0.0 } else { bounds.get(index - 1).copied().unwrap_or(f64::INFINITY) };
            let upper = bounds.get(index).copied().unwrap_or(f64::INFINITY);
            let beyond = if upper <= target {
                0.0
            } else if lower >= target || upper.is_infinite() {
                1.0
            } else {
                (upper - target) / (upper - lower)
            };
            answered.all += *count as f64;
            answered.late += *count as f64 * beyond;
        }
        answered
    }

    /// Counts these as well.
    pub(crate) fn add(&mut self, more: Self) {
        self.all += more.all;
        self.late += more.late;
    }

    /// What came since `before`; all of it, if the counters have begun anew.
    pub(crate) fn since(self, before: Self) -> Self {
        if self.all < before.all {
            return self;
        }
        Self { all: self.all - before.all, late: (self.late - before.late).clamp(0.0, self.all - before.all) }
    }

    /// The share that was late; `None`: there was no answer.
    pub(crate) fn share(self) -> Option<f64> {
        (self.all > 0.0).then(|| self.late / self.all)
    }
}

impl Levels {
    fn note(&mut self, second: i64, level: u32) {
        for passed in self.head.max(second - LEVELS) + 1..=second {
            let place = passed.rem_euclid(LEVELS) as usize;
            (self.sums[place], self.counts[place]) = (0, 0);
        }
        self.head = self.head.max(second);
        let place = second.rem_euclid(LEVELS) as usize;
        if second > self.head - LEVELS && self.counts[place] < u8::MAX {
            self.sums[place] = self.sums[place].saturating_add(level);
            self.counts[place] += 1;
        }
    }

    fn mean(&self, now: i64) -> Option<f64> {
        let recent = (self.head - LEVELS + 1).max(now - LEVELS + 1)..=self.head;
        let (mut sum, mut count) = (0.0, 0.0);
        for second in recent {
            let place = second.rem_euclid(LEVELS) as usize;
            sum += f64::from(self.sums[place]);
            count += f64::from(self.counts[place]);
        }
        (count > 0.0).then(|| sum / count)
    }
}

impl Answers {
    fn add(&mut self, bin: i64, answered: Answered) {
        for passed in self.head.max(bin - LATENCY_BINS) + 1..=bin {
            self.bins[passed.rem_euclid(LATENCY_BINS) as usize] = (0.0, 0.0);
        }
        self.head = self.head.max(bin);
        let (all, late) = &mut self.bins[self.head.rem_euclid(LATENCY_BINS) as usize];
        (*all, *late) = (*all + answered.all as f32, *late + answered.late as f32);
    }

    /// From bin `first` on.
    fn since(&self, first: i64) -> Answered {
        let recent = (first.max(self.head - LATENCY_BINS + 1)..=self.head)
            .map(|bin| self.bins[bin.rem_euclid(LATENCY_BINS) as usize]);
        recent.fold(Answered::default(), |sum, (all, late)| Answered {
            all: sum.all + f64::from(all),
            late: sum.late + f64::from(late),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_the_mean_of_ten_seconds() {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.level(1_000.0), None);
        for second in 0..30u64 {
            traffic.note_level(1_000.0 + second as f64, if second < 20 { 100 } else { second });
        }
        // Seconds 19 to 29: one of 100, and 20 to 29.
        let mean = (100.0 + (20..30).sum::<u64>() as f64) / 11.0;
        assert!((traffic.level(1_029.0).unwrap() - mean).abs() < 1e-9);
        assert!((traffic.level(1_039.0).unwrap() - 29.0).abs() < 1e-9, "the last one alone is left");
        assert_eq!(traffic.level(1_040.0), None);
        traffic.note_level(2_000.0, 4);
        assert_eq!(traffic.level(2_000.0), Some(4.0), "what lay between is nothing");
    }

    #[test]
    fn answers_of_half_a_minute_count_and_no_longer() {
        let mut traffic = Traffic::default();
        for second in 0..60 {
            let late = if second < 50 { 0.0 } else { 1.0 };
            traffic.note_answers(1_000.0 + f64::from(second), Answered { all: 2.0, late });
        }
        // Bins of 5 s: the last two of six are late by half.
        assert_eq!(traffic.recent(1_059.0), Some(10.0 / 60.0));
        assert_eq!(traffic.since, Answered { all: 120.0, late: 10.0 });
        traffic.note_answers(1_075.0, Answered::default());
        assert_eq!(traffic.recent(1_075.0), Some(0.5));
        traffic.note_answers(1_100.0, Answered::default());
        assert_eq!(traffic.recent(1_100.0), None);
        traffic.inherit(1_100.0, Some(0.25));
        assert_eq!((traffic.late(1_129.0), traffic.late(1_130.0)), (Some(0.25), None));
    }

    #[test]
    fn the_target_cuts_a_bucket_in_proportion() {
        let answered = |counts: &[u64], target| Answered::of(counts, &[0.1, 1.0], target);
        assert_eq!(answered(&[6, 3, 1], 0.1), Answered { all: 10.0, late: 4.0 });
        assert!((answered(&[6, 3, 1], 0.7).late - 2.0).abs() < 1e-9);
        assert_eq!(answered(&[6, 3, 1], 5.0).share(), Some(0.1), "beyond the last bound nobody knows");
        assert_eq!(answered(&[6, 3, 1], 0.1).since(answered(&[4, 3, 0], 0.1)), Answered { all: 3.0, late: 1.0 });
        assert_eq!(answered(&[1, 0, 0], 0.1).since(answered(&[4, 3, 0], 0.1)), Answered { all: 1.0, late: 0.0 });
    }

    #[test]
    fn the_first_second_is_no_rate() {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.told(5.0), 1.0);
        traffic.add(Increase { amount: 50, from: 100.0, to: 101.0 });
        assert!((traffic.told(101.0) - 0.1).abs() < 1e-9);
        assert_eq!(traffic.told(150.0), 1.0);
    }
}
