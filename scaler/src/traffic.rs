//! What is remembered of one service's traffic, over all gateways.

use crate::{History, Increase, Objective};
use std::collections::VecDeque;

const LATENCY_SPAN: f64 = 30.0;
/// Answers are counted in bins of so many seconds.
const LATENCY_BIN: f64 = 5.0;
const LEVEL_SPAN: f64 = 10.0;
const LEVELS: usize = 64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) history: Option<History>,
    pub(crate) last_arrival: Option<f64>,
    levels: VecDeque<(f64, u64)>,
    answers: VecDeque<Answers>,
    /// Answers by latency bucket since the last rehearsal.
    pub(crate) since: Vec<u64>,
    /// What a predecessor counted last, and until when it counts.
    inherited: Option<(f64, Vec<u64>)>,
}

/// Answers by latency bucket, of a few seconds.
#[derive(Clone, Debug)]
struct Answers {
    bin: i64,
    counts: Vec<u32>,
}

impl Traffic {
    pub(crate) fn add(&mut self, increase: Increase) {
        History::add(&mut self.history, increase);
    }

    pub(crate) fn note_answers(&mut self, now: f64, risen: &[u64]) {
        let bin = (now / LATENCY_BIN).floor() as i64;
        while self.answers.front().is_some_and(|answers| bin - answers.bin >= (LATENCY_SPAN / LATENCY_BIN) as i64) {
            self.answers.pop_front();
        }
        if risen.iter().all(|count| *count == 0) {
            return;
        }
        self.since.resize(risen.len(), 0);
        self.since.iter_mut().zip(risen).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
        if self.answers.back().is_none_or(|answers| answers.bin < bin || answers.counts.len() != risen.len()) {
            self.answers.push_back(Answers { bin, counts: vec![0; risen.len()] });
        }
        if let Some(answers) = self.answers.back_mut() {
            for (sum, count) in answers.counts.iter_mut().zip(risen) {
                *sum = sum.saturating_add(u32::try_from(*count).unwrap_or(u32::MAX));
            }
        }
    }

    pub(crate) fn note_level(&mut self, now: f64, level: u64) {
        self.levels.push_back((now, level));
        while self.levels.len() > LEVELS || self.levels.front().is_some_and(|(at, _)| now - at > LEVEL_SPAN) {
            self.levels.pop_front();
        }
    }

    /// Requests in flight, mean of the last ten seconds.
    pub(crate) fn level(&self, now: f64) -> Option<f64> {
        let recent: Vec<f64> =
            self.levels.iter().filter(|(at, _)| now - at <= LEVEL_SPAN).map(|(_, level)| *level as f64).collect();
        (!recent.is_empty()).then(|| recent.iter().sum::<f64>() / recent.len() as f64)
    }

    pub(crate) fn rate(&self, now: f64, window: f64) -> f64 {
        self.history.as_ref().map_or(0.0, |history| history.rate(now, window))
    }

    pub(crate) fn peak(&self, now: f64, span: f64) -> f64 {
        self.history.as_ref().map_or(0.0, |history| history.peak(now, span, 10.0))
    }

    /// The share of answers of the last half minute that came after the target. Until that has passed for a new leader,
    /// what its predecessor saw counts as well.
    pub(crate) fn late(&self, now: f64, bounds: &[f64], objective: Option<Objective>) -> Option<f64> {
        let target = objective?.target;
        let inherited = self.inherited.as_ref().filter(|(until, _)| now < *until);
        let inherited = inherited.and_then(|(_, counts)| share_late(counts, bounds, target));
        let own = share_late(&self.recent(now), bounds, target);
        [own, inherited].into_iter().flatten().reduce(f64::max)
    }

    /// Answers of the last half minute by latency bucket.
    pub(crate) fn recent(&self, now: f64) -> Vec<u64> {
        let mut sums: Vec<u64> = Vec::new();
        for answers in self.answers.iter().filter(|answers| now - answers.bin as f64 * LATENCY_BIN <= LATENCY_SPAN) {
            sums.resize(sums.len().max(answers.counts.len()), 0);
            sums.iter_mut().zip(&answers.counts).for_each(|(sum, count)| *sum += u64::from(*count));
        }
        sums
    }

    /// Takes over what a predecessor counted in its last half minute.
    pub(crate) fn inherit(&mut self, now: f64, answers: Vec<u64>) {
        self.inherited = (!answers.is_empty()).then_some((now + LATENCY_SPAN, answers));
    }
}

/// The share of answers beyond the target. A bucket that the target cuts counts in proportion.
pub(crate) fn share_late(counts: &[u64], bounds: &[f64], target: f64) -> Option<f64> {
    let (mut all, mut late) = (0.0, 0.0);
    for (index, count) in counts.iter().enumerate() {
        let lower = if index == 0 { 0.0 } else { bounds.get(index - 1).copied().unwrap_or(f64::INFINITY) };
        let upper = bounds.get(index).copied().unwrap_or(f64::INFINITY);
        let beyond = if upper <= target {
            0.0
        } else if lower >= target {
            1.0
        } else if upper.is_finite() {
            (upper - target) / (upper - lower)
        } else {
            1.0
        };
        all += *count as f64;
        late += *count as f64 * beyond;
    }
    (all > 0.0).then_some(late / all)
}
