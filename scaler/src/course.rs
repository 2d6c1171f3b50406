//! A replay: what a forecast would have cost, and how many requests would have been late.

use crate::series::Series;

/// Share of its raw throughput that a replica is planned to run at: beyond it queues grow for ever.
const PLANNED: f64 = 0.85;

/// What a replay is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course<'a> {
    pub(crate) series: &'a Series,
    /// The first bin that counts.
    pub(crate) from: usize,
    /// Seconds of a start.
    pub(crate) lead: f64,
    /// Requests per second that a replica sustains within the objective.
    pub(crate) rate: f64,
    /// Fewest replicas.
    pub(crate) least: f64,
    /// Seconds that a request may wait.
    pub(crate) patience: f64,
}

/// How one went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Run {
    /// Replica-bins, those of starts included.
    pub(crate) cost: f64,
    /// Requests that were late.
    pub(crate) late: f64,
}

impl Course<'_> {
    /// Replays `multiplier` times a forecast. The law around it is the live one in short: up at once, down step by step,
    /// and never below what came last and its backlog.
    pub(crate) fn run(&self, forecast: &[f32], multiplier: f64) -> Run {
        let step = self.series.step;
        let lag = ((self.lead / step - 0.5).round().max(0.0) as usize).min(63);
        let pace = (self.lead.max(10.0) / step).ceil().max(1.0) as usize;
        // The least that was asked for in the last bins is what is ready.
        let mut asked = [0.0f64; 64];
        let begin = self.from.saturating_sub(lag + 4 * pace).max(1);
        let mut run = Run::default();
        let (mut desired, mut moved, mut queue) = (0.0f64, begin, 0.0f64);
        for index in begin..self.series.mean.len() {
            let load = f64::from(self.series.mean[index]);
            let before = f64::from(self.series.mean[index - 1]);
            let backlog = queue / self.lead.max(self.patience).max(step);
            let need = (f64::from(forecast[index - 1]) * multiplier).max(before + backlog);
            let want = (need / self.rate - 1e-6).ceil().max(self.least);
            let was = desired;
            if index == begin {
                desired = want.max((before / self.rate).ceil());
                asked.fill(desired);
            } else if want > desired {
                (desired, moved) = (want, index);
            } else if want < desired && index - moved >= pace {
                (desired, moved) = (want.max(desired - down(desired)), index);
            }
            asked[index % 64] = desired;
            let ready = (0..=lag).map(|back| asked[(index + 64 - back) % 64]).fold(f64::INFINITY, f64::min);
            let (late, left) = self.late(index, queue, ready);
            queue = left;
            if index >= self.from && self.series.known[index] {
                run.cost += desired + (desired - was).max(0.0) * 0.5 * self.lead / step;
                run.late += late * load * step;
            }
        }
        run
    }

    /// The share of a bin's requests that is late with so many ready, and the queue that it leaves.
    fn late(&self, index: usize, queue: f64, ready: f64) -> (f64, f64) {
        let (load, high) = (f64::from(self.series.mean[index]), f64::from(self.series.high[index]));
        let planned = ready * self.rate;
        let most = planned / PLANNED;
        let left = (queue + (load - most) * self.series.step).max(0.0);
        let waits = |queue: f64| queue > most * self.patience;
        if waits(queue) || waits(left) {
            return (if waits(queue) && waits(left) { 1.0 } else { 0.75 }, left);
        }
        if high <= planned {
            return (0.0, left);
        }
        // So much of the bin lies above what is planned, and some of what comes then is late.
        let above = if load >= planned { 1.0 } else { 0.1 + 0.4 * (high - planned) / (high - load).max(1e-9) };
        let excess = ((high.max(load) / planned.max(1e-9) - 1.0) / (1.0 / PLANNED - 1.0)).min(1.0);
        (above * excess * excess.max(0.2), left)
    }

    /// What serving each bin with just enough would have cost, and how many requests there were.
    pub(crate) fn ideal(&self) -> (f64, f64) {
        let bins = (self.from..self.series.mean.len()).filter(|index| self.series.known[*index]);
        bins.fold((0.0, 0.0), |(cost, all), index| {
            let load = f64::from(self.series.mean[index]);
            (cost + (load / self.rate).ceil().max(self.least).max(0.05), all + load * self.series.step)
        })
    }
}

/// How many replicas go in one step.
pub(crate) fn down(desired: f64) -> f64 {
    (desired * 0.125).floor().max(1.0)
}
