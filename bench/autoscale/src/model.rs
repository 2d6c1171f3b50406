//! What is simulated: service times, starts, prices. All of it is input.

use crate::random::Random;
use serde::Serialize;

/// Engine time of a batch of b rows, in seconds: fixed + per_row × b.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Seconds for the batch.
    pub fixed: f64,
    /// Seconds for each row.
    pub per_row: f64,
    /// Most rows in a batch.
    pub max_batch: u32,
    /// Deviation of the time against its mean.
    pub noise: f64,
}

impl Curve {
    /// Mean time of a batch.
    #[must_use]
    pub fn time(&self, rows: f64) -> f64 {
        self.fixed + self.per_row * rows
    }

    /// Requests per second with full batches.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        f64::from(self.max_batch) / self.time(f64::from(self.max_batch))
    }

    /// The same work on something so many times as fast.
    #[must_use]
    pub fn faster(&self, times: f64) -> Self {
        Self { fixed: self.fixed / times, per_row: self.per_row / times, ..*self }
    }
}

/// A kind of service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ServiceModel {
    /// Name.
    pub name: &'static str,
    /// On one L40S.
    pub curve: Curve,
    /// How many times as fast one H100 is.
    pub h100: f64,
    /// Seconds within which an answer is in time.
    pub target: f64,
}

/// MLPerf Inference 4.0, offline, one accelerator: ResNet-50 87,971/s on an H100 and 43,937/s on an L40S.
const RESNET: f64 = 87_971.0 / 43_937.0;
/// The same for BERT-99: 8,765/s and 3,385/s.
const BERT: f64 = 8_765.0 / 3_385.0;

/// Engine times of the real server on a processor, as `cargo xtask bench serve` measures them (rows `curve-*` of
/// `bench/results/serve.json`): the part of a lone row's time that a batch takes once, and the largest batch that is worth
/// it. `lone` is a row's time on an L40S, in seconds.
const fn curve(lone: f64, once: f64, max_batch: u32) -> Curve {
    Curve { fixed: lone * once, per_row: lone * (1.0 - once), max_batch, noise: 0.05 }
}

/// The four kinds. A lone request takes 2, 10, 30 and 400 ms on an L40S, and is promised within ten times that (the
/// heavy one within five times). Convolutions take the ratio of ResNet-50, transformers that of BERT. Measured were trees
/// of five numbers, a sentence encoder on 32 tokens, an image classifier, and the encoder on 512 tokens.
pub const SERVICES: [ServiceModel; 4] = [
    ServiceModel { name: "fast", curve: curve(0.002, 0.84, 32), h100: RESNET, target: 0.020 },
    ServiceModel { name: "text", curve: curve(0.010, 0.47, 4), h100: BERT, target: 0.100 },
    ServiceModel { name: "images", curve: curve(0.030, 0.12, 4), h100: RESNET, target: 0.300 },
    ServiceModel { name: "heavy", curve: curve(0.400, 0.14, 2), h100: BERT, target: 2.0 },
];

/// Dollars for an hour of one accelerator, within what public clouds list; an input with a date, for listings differ
/// by two and change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// When they were taken.
    pub date: &'static str,
    /// One L40S.
    pub l40s: f64,
    /// One H100.
    pub h100: f64,
}

/// The prices of a run that names none.
pub const PRICES: Prices = Prices { date: "2026-11", l40s: 1.20, h100: 3.00 };

/// Phases of a start and their share of its mean.
pub const PHASES: [(&str, f64); 8] = [
    ("schedule", 0.05),
    ("image", 0.20),
    ("fetch", 0.30),
    ("load", 0.20),
    ("engine", 0.10),
    ("warm-up", 0.08),
    ("probe", 0.05),
    ("route", 0.02),
];

/// How long starts take: each phase is drawn by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Mean of the sum, in seconds.
    pub mean: f64,
    /// Deviation of a phase against its mean.
    pub spread: f64,
    /// Measured seconds to draw the phases fetch and load from, scaled to their mean; empty: as the others.
    pub loads: Vec<f64>,
}

impl Start {
    /// Starts of this mean; phases deviate by a quarter.
    #[must_use]
    pub fn of(mean: f64) -> Self {
        Self { mean, spread: 0.25, loads: Vec::new() }
    }

    /// Whether a phase is left of a start once a standby server has a model: its image and process are there, the model's files
    /// and its built engine lie on the node, and the operator sees it ready at once.
    #[must_use]
    pub fn is_assigned(phase: &str) -> bool {
        matches!(phase, "load" | "warm-up" | "route")
    }

    /// Seconds until a standby server has a model, the mean.
    #[must_use]
    pub fn assigned(&self) -> f64 {
        PHASES.iter().filter(|(name, _)| Self::is_assigned(name)).map(|(_, share)| self.mean * share).sum()
    }

    /// One start, in seconds.
    pub fn draw(&self, random: &mut Random) -> f64 {
        self.draw_phases(random, |_| true)
    }

    /// The phases of a start for which `counts` holds, in seconds.
    pub fn draw_phases(&self, random: &mut Random, counts: impl Fn(&str) -> bool) -> f64 {
        let measured = self.loads.iter().sum::<f64>() / self.loads.len().max(1) as f64;
        let phases = PHASES.iter().filter(|(name, _)| counts(name)).map(|(name, share)| {
            let mean = self.mean * share;
            if matches!(*name, "fetch" | "load") && measured > 0.0 {
                return mean * self.loads[random.below(self.loads.len())] / measured;
            }
            random.lognormal(mean, self.spread)
        });
        phases.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn phases_add_up_to_the_mean() {
        assert!((PHASES.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        let mut random = Random::new(1, 1);
        for start in [Start::of(60.0), Start { loads: vec![1.0, 9.0], ..Start::of(60.0) }] {
            let mean = (0..4_000).map(|_| start.draw(&mut random)).sum::<f64>() / 4_000.0;
            assert!((mean - 60.0).abs() < 1.5, "{mean}");
        }
    }

    /// Line through points by least squares of the relative error.
    fn line(points: &[(f64, f64)]) -> (f64, f64) {
        let sum = |term: fn(f64, f64) -> f64| points.iter().map(|(rows, ms)| term(*rows, *ms)).sum::<f64>();
        let (ones, rows, squares) = (sum(|_, t| 1.0 / t / t), sum(|b, t| b / t / t), sum(|b, t| b * b / t / t));
        let (times, products) = (sum(|_, t| 1.0 / t), sum(|b, t| b / t));
        let over = ones * squares - rows * rows;
        ((times * squares - products * rows) / over, (products * ones - times * rows) / over)
    }

    #[test]
    fn curves_are_those_that_the_real_server_was_measured_with() {
        let results: Value = serde_json::from_str(include_str!("../../results/serve.json")).unwrap();
        for service in SERVICES {
            let runs = results["rows"][format!("curve-{}", service.name)]["engine_runs"].as_array().unwrap();
            let point = |run: &Value| (run["rows"].as_f64().unwrap(), run["ms"].as_f64().unwrap());
            let points: Vec<(f64, f64)> = runs.iter().map(point).collect();
            let most = f64::from(service.curve.max_batch);
            let within: Vec<(f64, f64)> = points.iter().copied().filter(|(rows, _)| *rows <= most).collect();
            let (fixed, per_row) = line(&within);
            let (is, measured) = (service.curve.fixed / service.curve.time(1.0), fixed / (fixed + per_row));
            assert!((is - measured).abs() < 0.05, "{}: {is} of a row is taken once, measured {measured}", service.name);
            let cost = |(rows, ms): &(f64, f64)| ms / rows;
            let least = points.iter().map(cost).fold(f64::INFINITY, f64::min);
            let (last, smaller) = within.split_last().unwrap();
            assert!(cost(last) <= least * 1.05, "{}: larger batches are faster", service.name);
            assert!(smaller.iter().all(|one| cost(one) > least), "{}: smaller batches are as fast", service.name);
        }
    }

    #[test]
    fn lone_requests_take_what_the_kinds_say() {
        let lone: Vec<f64> = SERVICES.iter().map(|service| (service.curve.time(1.0) * 1e3).round()).collect();
        assert_eq!(lone, [2.0, 10.0, 30.0, 400.0]);
    }
}
