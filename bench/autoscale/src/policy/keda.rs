//! KEDA: a scaler wakes from zero and puts to sleep, in between it is an HPA on an external metric.

use super::hpa::{Behavior, PERIOD};
use super::unit::Unit;
use super::{Policy, Recent, fill};
use crate::world::Scene;
use serde::{Deserialize, Serialize};

/// Seconds between looks at the metric.
const POLL: f64 = 30.0;
const TOLERANCE: f64 = 0.1;

/// Its settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Requests per second for a pod, as a part of what a replica sustains.
    pub target: f64,
    /// Requests in flight or held above which it wakes.
    pub activation: f64,
    /// Seconds without activity after which it goes to zero.
    pub cooldown: f64,
    /// Seconds over which the metric is a mean.
    pub window: f64,
    /// Seconds of the scale-down window.
    pub stabilization: f64,
    /// Fewest pods while awake; 0: to zero.
    pub min: u32,
}

/// KEDA for one service.
#[derive(Debug)]
pub struct Keda {
    settings: Settings,
    unit: Unit,
    order: Vec<usize>,
    polled: f64,
    next: f64,
    active: f64,
    arrivals: Recent,
    behavior: Behavior,
}

impl Keda {
    /// With pools filled in `order`.
    #[must_use]
    pub fn new(settings: Settings, unit: Unit, order: Vec<usize>) -> Self {
        let (arrivals, behavior) = (Recent::default(), Behavior::default());
        Self { settings, unit, order, polled: f64::NEG_INFINITY, next: 0.0, active: 0.0, arrivals, behavior }
    }
}

/// An external metric with an average value: the ratio is against all pods, ready or not.
#[must_use]
pub fn average_value(current: u32, usage: f64, target: f64) -> u32 {
    if (usage / (target * f64::from(current.max(1))) - 1.0).abs() <= TOLERANCE {
        return current;
    }
    (usage / target).ceil() as u32
}

impl Policy for Keda {
    fn decide(&mut self, now: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]) {
        let (live, service) = (&scene.live[0], &scene.setup.services[0]);
        self.arrivals.push(now, live.ledger.arrivals, self.settings.window.max(POLL) + 1.0);
        let current = live.desired();
        self.behavior.note(now, current);
        let usage = self.arrivals.slope(self.settings.window).unwrap_or(0.0);
        let mut total = current;
        if now - self.polled >= POLL {
            self.polled = now;
            let activity = usage.max(live.ledger.held + live.ledger.in_flight);
            if activity > self.settings.activation {
                self.active = now;
                total = total.max(1);
            } else if self.settings.min == 0 && now - self.active >= self.settings.cooldown {
                total = 0;
            }
        }
        if now >= self.next && total > 0 {
            self.next = now + PERIOD;
            let wanted = average_value(total, usage, self.settings.target * self.unit.rate);
            let wanted = self.behavior.bound(now, total, wanted, self.settings.stabilization);
            total = wanted.max(1);
        }
        let total = if total == 0 { 0 } else { total.max(self.settings.min) };
        let capacity: Vec<u32> = scene.setup.pools.iter().map(|pool| pool.capacity).collect();
        fill(total.clamp(service.min, service.max), &self.order, &capacity, &mut want[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_divided_by_the_target() {
        assert_eq!(average_value(2, 70.0, 10.0), 7);
        assert_eq!(average_value(7, 66.0, 10.0), 7, "within a tenth nothing moves");
        assert_eq!(average_value(7, 10.0, 10.0), 1);
    }
}
