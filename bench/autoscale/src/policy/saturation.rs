//! A saturation law as llm-d's workload-variant autoscaler has it: one replica more when the spare capacity of those
//! that aren't saturated falls below a trigger, one less when the load would still leave that much with one fewer.
//!
//! The share of a replica's sustainable concurrency stands for its cache use; its queue is its queue.

use super::unit::Unit;
use super::{Policy, Recent, fill};
use crate::world::Scene;
use serde::{Deserialize, Serialize};

/// Its settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Use from which on a replica is saturated.
    pub saturated: f64,
    /// Queued requests for the same, in batches.
    pub queue: f64,
    /// Spare use below which one more is wanted.
    pub spare: f64,
    /// Seconds between decisions.
    pub interval: f64,
    /// Fewest replicas.
    pub min: u32,
}

/// The autoscaler of one service.
#[derive(Debug)]
pub struct Saturation {
    settings: Settings,
    unit: Unit,
    order: Vec<usize>,
    next: f64,
    concurrency: Recent,
}

impl Saturation {
    /// With pools filled in `order`.
    #[must_use]
    pub fn new(settings: Settings, unit: Unit, order: Vec<usize>) -> Self {
        Self { settings, unit, order, next: 0.0, concurrency: Recent::default() }
    }

    /// The number of replicas, given those that are ready, their mean use, and their mean queue in batches.
    fn scale(&self, ready: u32, used: f64, queued: f64) -> u32 {
        let Settings { saturated, queue, spare, .. } = self.settings;
        // Requests are spread evenly, so that either all are saturated or none is.
        if used >= saturated || queued >= queue || saturated - used < spare || queue - queued < 0.6 * queue {
            return ready + 1;
        }
        let fewer = f64::from(ready) / f64::from(ready.saturating_sub(1).max(1));
        let fits = saturated - used * fewer >= spare && queue - queued * fewer >= 0.6 * queue;
        if ready > 1 && fits { ready - 1 } else { ready }
    }
}

impl Policy for Saturation {
    fn decide(&mut self, now: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]) {
        let (live, service) = (&scene.live[0], &scene.setup.services[0]);
        self.concurrency.push(now, live.ledger.concurrency, self.settings.interval + 1.0);
        // While a change is under way it decides nothing.
        if now < self.next || live.pods() != live.ready() || live.ready() == 0 {
            return;
        }
        self.next = now + self.settings.interval;
        let Some(concurrency) = self.concurrency.slope(self.settings.interval) else { return };
        let ready = live.ready();
        let used = concurrency / f64::from(ready) / self.unit.concurrency;
        let queued = live.queue.waiting() / f64::from(ready) / f64::from(service.model.curve.max_batch);
        let total = self.scale(ready, used, queued).clamp(self.settings.min.max(service.min).max(1), service.max);
        let capacity: Vec<u32> = scene.setup.pools.iter().map(|pool| pool.capacity).collect();
        fill(total, &self.order, &capacity, &mut want[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_below_the_trigger_and_one_less_if_it_would_hold() {
        let settings = Settings { saturated: 0.8, queue: 5.0, spare: 0.1, interval: 30.0, min: 1 };
        let law = Saturation::new(settings, Unit { rate: 1.0, concurrency: 1.0 }, vec![0]);
        assert_eq!(law.scale(4, 0.75, 0.0), 5);
        assert_eq!(law.scale(4, 0.60, 0.0), 4, "0.80 with three would leave nothing");
        assert_eq!(law.scale(4, 0.50, 0.0), 3);
        assert_eq!(law.scale(4, 0.10, 4.0), 5, "queues count as well");
        assert_eq!(law.scale(1, 0.0, 0.0), 1);
    }
}
