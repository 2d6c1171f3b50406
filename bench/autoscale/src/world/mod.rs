//! A run: time passes, policies decide, pods come and go, requests are answered.

mod turn;

use crate::ledger::Ledger;
use crate::model::ServiceModel;
use crate::picture::Series;
use crate::pods::PoolSetup;
use crate::queue::Queue;
use crate::queue::table::Table;
use crate::trace::Trace;
use serde::Serialize;
use std::sync::Arc;
use turn::World;

/// A service to simulate.
#[derive(Clone, Debug)]
pub struct ServiceSetup {
    /// Its kind.
    pub model: ServiceModel,
    /// What arrives.
    pub trace: Arc<Trace>,
    /// Seconds within which an answer is in time.
    pub target: f64,
    /// Percent of answers that are to be in time.
    pub percentile: f64,
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// Seconds without a request before a service with floor 0 may go to zero.
    pub idle_after: f64,
    /// Ready replicas at the start, by pool.
    pub initial: Vec<u32>,
}

/// How requests are simulated.
#[derive(Clone, Debug)]
pub enum Mode {
    /// One by one.
    Events,
    /// As a fluid; tables by service and pool.
    Fluid(Vec<Vec<Arc<Table>>>),
}

/// Everything about a run but the policy.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Services.
    pub services: Vec<ServiceSetup>,
    /// Pools; each service may use all of them.
    pub pools: Vec<PoolSetup>,
    /// How requests are simulated.
    pub mode: Mode,
    /// Seconds at the beginning that aren't measured.
    pub warm_up: f64,
    /// Seconds after which a request is given up.
    pub patience: f64,
    /// Seconds between decisions.
    pub tick: f64,
    /// Of all that is drawn.
    pub seed: u64,
    /// Whether a picture will be drawn.
    pub series: bool,
}

/// One slot's pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotScene {
    /// Asked for.
    pub desired: u32,
    /// Ready.
    pub ready: u32,
    /// When each that starts was made.
    pub starting: Vec<f64>,
    /// Since when each is refused.
    pub refused: Vec<f64>,
    /// On their way out.
    pub terminating: u32,
}

/// A service while it runs.
pub struct Live {
    /// Its counters.
    pub ledger: Ledger,
    /// Its replicas.
    pub queue: Box<dyn Queue>,
    /// Its slots by pool.
    pub slots: Vec<SlotScene>,
}

impl Live {
    /// Ready replicas.
    #[must_use]
    pub fn ready(&self) -> u32 {
        self.slots.iter().map(|slot| slot.ready).sum()
    }

    /// Pods that are to live: ready, starting or refused.
    #[must_use]
    pub fn pods(&self) -> u32 {
        self.slots.iter().map(|slot| slot.ready + (slot.starting.len() + slot.refused.len()) as u32).sum()
    }

    /// Replicas asked for.
    #[must_use]
    pub fn desired(&self) -> u32 {
        self.slots.iter().map(|slot| slot.desired).sum()
    }
}

/// What a policy sees.
pub struct Scene<'a> {
    /// The run.
    pub setup: &'a Setup,
    /// Its services.
    pub live: &'a [Live],
    /// Starts that ended since the last look: service, pool, seconds.
    pub started: &'a [(usize, usize, f64)],
}

/// Decides how many replicas there are to be.
pub trait Policy {
    /// Changes `want`, by service and pool, which holds what is asked for now.
    fn decide(&mut self, now: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]);

    /// Whether it is told at once when a request is held without a replica.
    fn woken(&self) -> bool {
        false
    }
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Measured requests.
    pub requests: f64,
    /// Of those, in time.
    pub in_time: f64,
    /// Share in time.
    pub attainment: f64,
    /// Accelerator-hours by pool.
    pub hours: Vec<f64>,
    /// Their price.
    pub dollars: f64,
    /// For a thousand requests.
    pub dollars_per_1000: f64,
    /// Pods started.
    pub starts: u64,
    /// Most accelerators held at once, by pool.
    pub most: Vec<u32>,
    /// Seconds: median, 99 % and 99.9 % of answers.
    pub latency: [f64; 3],
    /// Of each service: share in time.
    pub by_service: Vec<f64>,
    /// Requests that arrived less those answered, given up, in flight or held; nothing but rounding.
    pub lost: f64,
    /// For a picture.
    #[serde(skip)]
    pub series: Option<Series>,
}

/// When a run is of no further interest.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// More dollars than that.
    pub dollars: f64,
    /// More late answers than that.
    pub late: f64,
}

/// What a run went beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// It is too dear.
    Dollars,
    /// Too much is late.
    Late,
}

/// Seconds between two looks at the limits.
const LOOK: usize = 64;

/// Runs `policy` over the longest of the traces.
#[must_use]
pub fn run(setup: &Setup, policy: &mut dyn Policy) -> Outcome {
    let none = Limits { dollars: f64::INFINITY, late: f64::INFINITY };
    race(setup, policy, none).unwrap_or_else(|_| World::new(setup).outcome(0.0))
}

/// The same, until it goes beyond the limits: neither cost nor late answers ever become fewer.
///
/// # Errors
/// What it went beyond.
pub fn race(setup: &Setup, policy: &mut dyn Policy, limits: Limits) -> Result<Outcome, Beyond> {
    let mut world = World::new(setup);
    let seconds = setup.services.iter().map(|service| service.trace.seconds()).max().unwrap_or(0);
    let mut decided = f64::NEG_INFINITY;
    for second in 0..seconds {
        let (start, end) = (second as f64, (second + 1) as f64);
        if start - decided >= setup.tick {
            world.decide(start, policy);
            decided = start;
        }
        world.draw(second);
        let mut now = start;
        while now < end {
            let wake = if policy.woken() { world.wake(now) } else { f64::INFINITY };
            let cut = world.pods.next().min(wake).clamp(now, end);
            // A wake-up that lies a moment ahead must not be cut off.
            let cut = if cut <= now { (now + 1e-6).min(end) } else { cut };
            world.advance(second, now, cut);
            world.pass(cut);
            if cut == wake && cut < end {
                world.decide(cut, policy);
            }
            now = cut;
        }
        if second % LOOK == 0 && world.late() > limits.late {
            return Err(Beyond::Late);
        }
        if second % LOOK == 0 && world.dollars(end) > limits.dollars {
            return Err(Beyond::Dollars);
        }
    }
    Ok(world.outcome(seconds as f64))
}
