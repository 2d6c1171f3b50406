//! One case of the table: a trace, a kind of service, a start time.

use crate::bound::{Bound, Lateness, Plan};
use crate::ledger::Ledger;
use crate::model::{PRICES, ServiceModel, Start};
use crate::pods::PoolSetup;
use crate::policy::unit::Unit;
use crate::queue::fluid::Fluid;
use crate::queue::table::Table;
use crate::queue::{Arrivals, Queue};
use crate::sight;
use crate::trace::Trace;
use crate::world::{Mode, ServiceSetup, Setup};
use std::sync::Arc;

/// Seconds at the beginning of a long trace that aren't measured.
const WARM_UP: usize = 600;

/// Seconds of a stage of the bounds, where seconds one by one aren't told apart.
const COARSE: usize = 5;

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What arrives.
    pub trace: Arc<Trace>,
    /// The kind of service.
    pub model: ServiceModel,
    /// Mean seconds of a start.
    pub start: Start,
    /// The kind's steady states.
    pub table: Arc<Table>,
    /// What one replica does.
    pub unit: Unit,
    /// Of all that is drawn.
    pub seed: u64,
}

impl Case {
    /// A case on one pool of L40S.
    #[must_use]
    pub fn new(trace: Arc<Trace>, model: ServiceModel, start: Start, table: Arc<Table>, seed: u64) -> Self {
        let unit = Unit::of(&table);
        Self { trace, model, start, table, unit, seed }
    }

    /// Seconds that aren't measured.
    #[must_use]
    pub fn warm_up(&self) -> usize {
        if self.trace.seconds() >= 6 * WARM_UP { WARM_UP } else { self.trace.seconds() / 10 }
    }

    /// Requests that are measured.
    #[must_use]
    pub fn measured(&self) -> f64 {
        self.trace.counts[self.warm_up().min(self.trace.seconds())..].iter().map(|count| f64::from(*count)).sum()
    }

    /// Hours that are measured.
    #[must_use]
    pub fn hours(&self) -> f64 {
        (self.trace.seconds() - self.warm_up()) as f64 / 3_600.0
    }

    /// About the share of them that is late at first sight.
    #[must_use]
    pub fn unseen(&self) -> f64 {
        sight::unseen(&self.trace, self.warm_up(), self.start.mean)
    }

    /// Seconds after which a request is given up.
    #[must_use]
    pub fn patience(&self) -> f64 {
        30.0_f64.max(5.0 * self.model.target)
    }

    /// The run. All policies begin with the replicas that the first minutes' mean load needs.
    #[must_use]
    pub fn setup(&self, percentile: f64, events: bool) -> Setup {
        let first = &self.trace.counts[..self.warm_up().max(1).min(self.trace.seconds())];
        let mean = first.iter().map(|count| f64::from(*count)).sum::<f64>() / first.len() as f64;
        let initial = (1.2 * mean / self.unit.rate).ceil().max(1.0) as u32;
        let pool = PoolSetup::plain("l40s", 400, PRICES.l40s, self.start.clone());
        let service = ServiceSetup {
            model: self.model,
            trace: self.trace.clone(),
            target: self.model.target,
            percentile,
            min: 1,
            max: 400,
            idle_after: 300.0,
            initial: vec![initial],
        };
        Setup {
            services: vec![service],
            pools: vec![pool],
            mode: if events { Mode::Events } else { Mode::Fluid(vec![vec![self.table.clone()]]) },
            warm_up: self.warm_up() as f64,
            patience: self.patience(),
            tick: 1.0,
            seed: self.seed,
            series: false,
        }
    }

    /// Late answers by stage, for the bounds.
    #[must_use]
    pub fn lateness(&self) -> Lateness {
        // Against a start of a minute, five seconds are nothing.
        let step = if self.trace.seconds() > 300_000 || self.start.mean >= 12.0 * COARSE as f64 { COARSE } else { 1 };
        Lateness::of(&self.trace, &self.table, self.warm_up(), step)
    }

    /// The clairvoyant schedule for a share `tolerated` of late answers. Its service has a floor of one replica, as the
    /// policies have.
    #[must_use]
    pub fn bound(&self, lateness: &Lateness, tolerated: f64) -> Bound {
        lateness.bound(self.start.mean, tolerated, &|plan| self.simulate(plan, lateness.step))
    }

    /// Simulates a plan as a fluid: its share in time.
    #[must_use]
    pub fn simulate(&self, plan: &Plan, step: usize) -> f64 {
        let from = self.warm_up();
        let mut fluid = Fluid::new(vec![self.table.clone()], self.patience());
        let mut ledger = Ledger::new(0.0, self.table.target);
        let mut there = 0_u16;
        for (index, count) in self.trace.counts.iter().enumerate().skip(from) {
            let now = index as f64;
            let wanted = plan.replicas[(index - from) / step];
            for _ in there..wanted {
                fluid.add(now, 0, 0, &mut ledger);
            }
            for _ in wanted..there {
                fluid.drain(now, 0, 0);
            }
            there = wanted;
            fluid.advance(now, now + 1.0, Arrivals::Count(f64::from(*count)), &mut ledger);
        }
        ledger.attainment()
    }
}
