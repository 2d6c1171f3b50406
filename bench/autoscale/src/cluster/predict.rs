//! The simulator on a run's own arrivals, with its measured times.

use super::{Run, Step, steps};
use crate::model::{Curve, ServiceModel, Start};
use crate::pods::PoolSetup;
use crate::policy::faults::Faults;
use crate::policy::law::Law;
use crate::trace::Trace;
use crate::world::{Mode, Policy, Scene, ServiceSetup, Setup, run as simulate};
use std::sync::Arc;

/// Deviation of a request's time against its mean: a replica has a part of a processor, in turns.
const NOISE: f64 = 0.2;
/// Replicas that the pool has room for.
const ROOM: u32 = 1_000;
/// A gateway gives a request up after so many seconds.
const PATIENCE: f64 = 30.0;

/// What the simulator says.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Replicas over time.
    pub replicas: Vec<Step>,
    /// Decisions that changed something, with their reasons.
    pub decisions: Vec<(f64, String)>,
    /// Share in time.
    pub in_time: f64,
    /// Seconds: median, 99 % and 99.9 % of answers.
    pub latency: [f64; 3],
}

/// Simulates the run.
#[must_use]
pub fn predict(run: &Run) -> Prediction {
    let setup = setup(run);
    let law = Law::new(&setup, Faults::default()).logged();
    let mut noted = Noted { law, known: Some(run.start_seconds), steps: Vec::new() };
    let outcome = simulate(&setup, &mut noted);
    Prediction {
        replicas: noted.steps,
        decisions: noted.law.log.unwrap_or_default(),
        in_time: outcome.attainment,
        latency: outcome.latency,
    }
}

fn setup(run: &Run) -> Setup {
    let curve = Curve { fixed: run.service_seconds, per_row: 0.0, max_batch: 1, noise: NOISE };
    let model = ServiceModel { name: "cluster", curve, h100: 1.0, target: run.target };
    let service = ServiceSetup {
        model,
        trace: Arc::new(trace(run)),
        target: run.target,
        percentile: run.percentile,
        min: run.bounds.0,
        max: run.bounds.1,
        idle_after: 300.0,
        initial: vec![steps::at(&run.replicas, 0.0).asked],
    };
    Setup {
        services: vec![service],
        pools: vec![PoolSetup::plain("cpu", ROOM, run.hourly_cost, Start::of(run.start_seconds))],
        mode: Mode::Events,
        warm_up: 0.0,
        patience: PATIENCE,
        tick: 1.0,
        seed: 1,
        series: false,
    }
}

/// The arrivals as they were sent.
fn trace(run: &Run) -> Trace {
    let mut instants: Vec<f64> = run.requests.iter().map(|(at, ..)| *at).collect();
    instants.sort_by(f64::total_cmp);
    let mut counts = vec![0; run.seconds.ceil() as usize];
    instants.iter().for_each(|at| counts[*at as usize] += 1);
    Trace { instants, ..Trace::new(&run.trace, counts, "as it was sent") }
}

/// The law, and what it asked for.
struct Noted {
    law: Law,
    /// Seconds of a start that the scaler knew before the run began: the first replica's.
    known: Option<f64>,
    steps: Vec<Step>,
}

impl Policy for Noted {
    fn decide(&mut self, now: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]) {
        let known = self.known.take().map(|seconds| (0, 0, seconds));
        let started: Vec<_> = scene.started.iter().copied().chain(known).collect();
        self.law.decide(now, &Scene { setup: scene.setup, live: scene.live, started: &started }, want);
        let ready = scene.live.iter().map(crate::world::Live::ready).sum();
        self.steps.push(Step { at: now, asked: want.iter().flatten().sum(), ready });
    }

    fn woken(&self) -> bool {
        self.law.woken()
    }
}
