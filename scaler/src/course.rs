//! A replay: what a forecast would have cost, and how many requests would have been late.

use crate::experience::BEYOND;
use crate::expert::{DAY, Expert, means};
use crate::noise::{sure, sure_peak};
use crate::profile::Sustained;
use crate::rehearse::Terms;
use crate::series::Series;

/// Most replicas whose capacity is told apart; beyond it grows evenly.
const TABLE: usize = 4_096;

/// What a replay is about.
#[derive(Clone, Debug)]
pub(crate) struct Course<'a> {
    pub(crate) series: &'a Series,
    /// The first bin that counts.
    pub(crate) from: usize,
    /// Seconds of a start.
    pub(crate) lead: f64,
    /// Requests per second that replicas sustain within the objective, and that of so many together.
    sustained: Sustained,
    capacities: Vec<f64>,
    /// The highest load of a day, at each bin.
    peaks: Vec<f32>,
    /// Mean and highest load of each bin, as far as they are no chance: a replica bears that by its profile.
    loads: Vec<(f64, f64)>,
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

impl<'a> Course<'a> {
    /// What counts from bin `from` on, by these terms.
    pub(crate) fn new(series: &'a Series, from: usize, terms: &Terms) -> Self {
        let sustained = terms.sustained;
        let highest = series.high.iter().fold(0.0f32, |highest, rate| highest.max(*rate));
        let most = (4.0 * f64::from(highest) / sustained.one()).clamp(8.0, TABLE as f64) as usize;
        let capacities = (0..=most).map(|replicas| replicas as f64 * sustained.each(replicas as f64)).collect();
        let (lead, least, patience) = (terms.lead, terms.least, terms.patience);
        let peaks = Expert::Highest(DAY).over(series, lead);
        Self { series, from, lead, least, patience, sustained, capacities, peaks, loads: loads(series) }
    }

    /// Requests per second that so many replicas sustain.
    fn capacity(&self, replicas: f64) -> f64 {
        let known = self.capacities.get(replicas as usize).copied();
        known.unwrap_or_else(|| replicas * self.sustained.each(replicas))
    }

    /// Replicas that sustain so many requests per second.
    fn replicas(&self, rate: f64) -> f64 {
        let replicas = self.capacities.partition_point(|capacity| *capacity < rate - 1e-6 * self.sustained.one());
        if replicas < self.capacities.len() {
            return replicas as f64;
        }
        (rate / self.sustained.each(replicas as f64)).ceil()
    }

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
            let (load, before) = (self.loads[index].0, self.loads[index - 1].0);
            let backlog = queue / self.lead.max(self.patience).max(step);
            let most = BEYOND * f64::from(self.peaks[index - 1]);
            let need = (f64::from(forecast[index - 1]) * multiplier).min(most).max(before + backlog);
            let want = self.replicas(need).max(self.least);
            let was = desired;
            if index == begin {
                desired = want.max(self.replicas(before));
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
        let (load, high) = self.loads[index];
        let planned = self.capacity(ready);
        let most = ready * self.sustained.full;
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
        let excess = ((high.max(load) - planned) / (most - planned).max(1e-9)).min(1.0);
        (above * excess * excess.max(0.2), left)
    }

    /// What serving each bin with just enough would have cost, and how many requests there were.
    pub(crate) fn ideal(&self) -> (f64, f64) {
        let bins = (self.from..self.series.mean.len()).filter(|index| self.series.known[*index]);
        bins.fold((0.0, 0.0), |(cost, all), index| {
            let load = f64::from(self.series.mean[index]);
            (cost + self.replicas(load).max(self.least).max(0.05), all + load * self.series.step)
        })
    }
}

/// Mean and highest load of each bin; what it has beyond its last minute counts as far as it is sure.
fn loads(series: &Series) -> Vec<(f64, f64)> {
    let minutes = means(&series.mean, (60.0 / series.step).max(1.0) as usize);
    let of = |(index, minute): (usize, f32)| {
        let (load, high, minute) = (f64::from(series.mean[index]), f64::from(series.high[index]), f64::from(minute));
        let load = load.min(sure(load, series.step).max(minute));
        (load, sure_peak(high).max(load))
    };
    minutes.into_iter().enumerate().map(of).collect()
}

/// How many replicas go in one step.
pub(crate) fn down(desired: f64) -> f64 {
    (desired * 0.25).floor().max(1.0)
}
