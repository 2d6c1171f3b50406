//! A run on a real cluster beside what the simulator makes of the same arrivals.
//!
//! What was measured (arrivals, answers, replicas, decisions, the time of a request and of a start) goes in; the simulator
//! runs the production law on these arrivals with these times; the gap in replica-hours says how far it can be believed.

mod picture;
mod predict;
mod report;
mod steps;

pub use predict::{Prediction, predict};
pub use steps::{Step, hours};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The gap in replica-hours, as a share of the measured ones, that is still called agreement.
pub const TOLERATED: f64 = 0.2;
/// Seconds of a row of the timeline.
const ROW: f64 = 10.0;

/// What was measured. Times are seconds since the first moment of the run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// What arrived, in words.
    pub trace: String,
    /// Where it ran, in words.
    pub machine: String,
    /// Its length.
    pub seconds: f64,
    /// Of each request: when it was sent, how long it took, its status (0: no answer).
    pub requests: Vec<(f64, f64, u16)>,
    /// Replicas over time: one entry for each change.
    pub replicas: Vec<Step>,
    /// Decisions, with their reasons.
    pub decisions: Vec<(f64, String)>,
    /// Seconds of the engine for a request, mean over the run.
    pub service_seconds: f64,
    /// Seconds of a start until a gateway routes to it, mean.
    pub start_seconds: f64,
    /// Fewest and most replicas.
    pub bounds: (u32, u32),
    /// Seconds within which an answer is in time.
    pub target: f64,
    /// Percent of answers that are to be in time.
    pub percentile: f64,
    /// Price of a replica and hour.
    pub hourly_cost: f64,
}

/// A measured figure and what the simulator says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// On the cluster.
    pub measured: f64,
    /// In the simulator.
    pub predicted: f64,
}

impl Pair {
    /// How far the prediction is off, as a share of what was measured: above 0 if it is too high.
    #[must_use]
    pub fn gap(&self) -> f64 {
        (self.predicted - self.measured) / self.measured
    }
}

/// One row of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Seconds at its beginning.
    pub at: f64,
    /// Requests that were sent in it.
    pub arrivals: u32,
    /// Of those, not answered with 200.
    pub failed: u32,
    /// Median and 99th percentile of the answers to those, in seconds; absent without answers.
    pub latency: Option<(f64, f64)>,
    /// Replicas asked for at its end.
    pub asked: Pair,
    /// Replicas that take requests at its end.
    pub ready: Pair,
}

/// Everything that is reported.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// Replica-hours asked for.
    pub replica_hours: Pair,
    /// Their gap, as a share of the measured ones.
    pub gap: f64,
    /// Whether it is within what is tolerated.
    pub agrees: bool,
    /// Share of requests in time.
    pub in_time: Pair,
    /// Median, in seconds.
    pub median: Pair,
    /// 99th percentile, in seconds.
    pub p99: Pair,
    /// Most replicas asked for at once.
    pub most: Pair,
    /// Requests, and those that failed.
    pub requests: (usize, usize),
    /// The timeline.
    pub rows: Vec<Row>,
    /// The simulator's decisions.
    pub predicted_decisions: Vec<(f64, String)>,
    /// What was measured.
    pub run: Run,
}

impl Run {
    /// Checks what the simulator can't do without.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<()> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        ensure!(positive(self.seconds) && self.seconds >= 60.0, "a run takes at least a minute");
        ensure!(positive(self.service_seconds), "serviceSeconds must be above 0");
        ensure!(positive(self.start_seconds), "startSeconds must be above 0");
        ensure!(positive(self.target) && (50.0..100.0).contains(&self.percentile), "the objective can't be read");
        ensure!(!self.requests.is_empty() && !self.replicas.is_empty(), "requests and replicas must be there");
        ensure!(
            self.requests.iter().all(|(at, ..)| (0.0..self.seconds).contains(at)),
            "a request lies outside the run"
        );
        ensure!(self.bounds.0 <= self.bounds.1 && self.bounds.1 > 0, "bounds are (fewest, most)");
        Ok(())
    }
}

/// Simulates what was measured, and sets both side by side.
///
/// # Errors
/// As [`Run::check`].
pub fn compare(run: Run) -> Result<Compared> {
    run.check()?;
    let prediction = predict(&run);
    let pair = |figure: &dyn Fn(&[Step]) -> f64| Pair {
        measured: figure(&run.replicas),
        predicted: figure(&prediction.replicas),
    };
    let replica_hours = pair(&|steps| hours(steps, run.seconds));
    let mut took: Vec<f64> =
        run.requests.iter().filter(|(.., status)| *status == 200).map(|(_, took, _)| *took).collect();
    took.sort_by(f64::total_cmp);
    let in_time = took.partition_point(|took| *took <= run.target) as f64 / run.requests.len() as f64;
    let gap = replica_hours.gap();
    Ok(Compared {
        replica_hours,
        gap,
        agrees: gap.abs() <= TOLERATED,
        in_time: Pair { measured: in_time, predicted: prediction.in_time },
        median: Pair { measured: percentile(&took, 0.5), predicted: prediction.latency[0] },
        p99: Pair { measured: percentile(&took, 0.99), predicted: prediction.latency[1] },
        most: pair(&|steps| f64::from(steps.iter().map(|step| step.asked).max().unwrap_or(0))),
        requests: (run.requests.len(), run.requests.len() - took.len()),
        rows: rows(&run, &prediction),
        predicted_decisions: prediction.decisions,
        run,
    })
}

fn rows(run: &Run, prediction: &Prediction) -> Vec<Row> {
    let count = (run.seconds / ROW).ceil() as usize;
    let row = |index: usize| {
        let (from, to) = (index as f64 * ROW, ((index + 1) as f64 * ROW).min(run.seconds));
        let sent: Vec<_> = run.requests.iter().filter(|(at, ..)| (from..to).contains(at)).collect();
        let answered = sent.iter().filter(|(.., status)| *status == 200);
        let mut took: Vec<f64> = answered.map(|(_, took, _)| *took).collect();
        took.sort_by(f64::total_cmp);
        let pair = |figure: fn(Step) -> u32| Pair {
            measured: f64::from(figure(steps::at(&run.replicas, to))),
            predicted: f64::from(figure(steps::at(&prediction.replicas, to))),
        };
        Row {
            at: from,
            arrivals: sent.len() as u32,
            failed: (sent.len() - took.len()) as u32,
            latency: (!took.is_empty()).then(|| (percentile(&took, 0.5), percentile(&took, 0.99))),
            asked: pair(|step| step.asked),
            ready: pair(|step| step.ready),
        }
    };
    (0..count).map(row).collect()
}

/// The value that `share` of sorted values don't exceed: nearest rank.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Five minutes at a rate, with answers of a fifth of a second.
    fn run(rate: f64) -> Run {
        let mut random = Random::new(1, 1);
        let mut at = random.exponential(1.0 / rate);
        let mut requests = Vec::new();
        while at < 300.0 {
            requests.push((at, 0.2, 200));
            at += random.exponential(1.0 / rate);
        }
        Run {
            trace: "steady".to_owned(),
            machine: "a test".to_owned(),
            seconds: 300.0,
            requests,
            replicas: vec![Step { at: 0.0, asked: 1, ready: 1 }],
            decisions: Vec::new(),
            service_seconds: 0.2,
            start_seconds: 3.0,
            bounds: (1, 6),
            target: 1.0,
            percentile: 99.0,
            hourly_cost: 0.1,
        }
    }

    #[test]
    fn a_light_load_needs_one_replica_in_both() {
        let compared = compare(Run { target: 4.0, ..run(0.2) }).unwrap();
        assert_eq!(compared.replica_hours.predicted, 300.0 / 3_600.0, "{:?}", compared.predicted_decisions);
        assert!(compared.agrees && compared.gap == 0.0);
        assert_eq!(compared.in_time.measured, 1.0);
        assert_eq!(compared.rows.len(), 30);
        assert_eq!(compared.rows.iter().map(|row| row.arrivals as usize).sum::<usize>(), compared.requests.0);
        let files = [compared.svg(), compared.markdown(), serde_json::to_string(&compared).unwrap()];
        assert!(files.iter().all(|file| file.contains("steady")));
    }

    #[test]
    fn a_load_beyond_one_replica_shows_as_a_gap_if_one_was_measured() {
        let compared = compare(run(12.0)).unwrap();
        assert!(compared.most.predicted >= 3.0, "{:?}", compared.most);
        assert!(!compared.agrees && compared.gap > 1.0, "{}", compared.gap);
        assert!(!compared.predicted_decisions.is_empty());
        assert!(compared.markdown().contains("NOT within"), "{}", compared.markdown());
    }

    #[test]
    fn failures_are_never_in_time() {
        let mut failing = run(1.0);
        let half = failing.requests.len() / 2;
        failing.requests.iter_mut().take(half).for_each(|request| request.2 = 503);
        let compared = compare(failing).unwrap();
        assert_eq!(compared.requests.1, half);
        assert!((compared.in_time.measured - 0.5).abs() < 0.01);
        assert_eq!(compared.rows[0].failed, compared.rows[0].arrivals);
        assert_eq!(compared.rows[0].latency, None);
    }

    #[test]
    fn what_cannot_be_simulated_is_refused() {
        let check = |change: &dyn Fn(&mut Run)| {
            let mut run = run(1.0);
            change(&mut run);
            run.check().unwrap_err().to_string()
        };
        assert!(check(&|run| run.service_seconds = f64::NAN).contains("serviceSeconds"));
        assert!(check(&|run| run.start_seconds = 0.0).contains("startSeconds"));
        assert!(check(&|run| run.requests[0].0 = 400.0).contains("outside"));
        assert!(check(&|run| run.replicas.clear()).contains("replicas"));
        assert!(check(&|run| run.bounds = (3, 2)).contains("bounds"));
    }
}
