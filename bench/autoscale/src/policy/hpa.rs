//! The HorizontalPodAutoscaler: desired = ceil(ready × metric / target), with tolerance and behavior.
//!
//! Pods that aren't ready count as without load when that lowers a rise (as the controller does). Behavior is the
//! default: up by the larger of 100 % and 4 pods in 15 s, down at once to the largest of the last `stabilization`
//! seconds' recommendations.

use super::unit::Unit;
use super::{Highest, Policy, Recent, fill};
use crate::world::{Live, Scene};
use serde::{Deserialize, Serialize};

/// Seconds between syncs.
pub const PERIOD: f64 = 15.0;
/// Part by which the ratio may be off without effect.
const TOLERANCE: f64 = 0.1;

/// What it follows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Requests per second of a pod.
    Rate,
    /// Requests in a pod.
    Concurrency,
}

/// Its settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What it follows.
    pub metric: Metric,
    /// Target as a part of what a replica sustains.
    pub target: f64,
    /// Seconds over which the metric is a mean.
    pub window: f64,
    /// Seconds of the scale-down window.
    pub stabilization: f64,
    /// Fewest pods.
    pub min: u32,
}

/// The controller of one service.
#[derive(Debug)]
pub struct Hpa {
    settings: Settings,
    unit: Unit,
    order: Vec<usize>,
    next: f64,
    metric: Recent,
    behavior: Behavior,
}

impl Hpa {
    /// With pools filled in `order`.
    #[must_use]
    pub fn new(settings: Settings, unit: Unit, order: Vec<usize>) -> Self {
        Self { settings, unit, order, next: 0.0, metric: Recent::default(), behavior: Behavior::default() }
    }

    fn sum(&self, live: &Live) -> f64 {
        match self.settings.metric {
            Metric::Rate => live.ledger.arrivals,
            Metric::Concurrency => live.ledger.concurrency,
        }
    }

    /// The recommendation before behavior.
    fn recommend(&self, current: u32, ready: u32, usage: f64) -> u32 {
        let target = self.settings.target
            * match self.settings.metric {
                Metric::Rate => self.unit.rate,
                Metric::Concurrency => self.unit.concurrency,
            };
        proportional(current, ready, usage, target)
    }
}

/// The ratio law over pods of which `ready` have a metric; their sum is `usage`.
#[must_use]
pub fn proportional(current: u32, ready: u32, usage: f64, target: f64) -> u32 {
    if ready == 0 {
        return current;
    }
    let ratio = usage / f64::from(ready) / target;
    if (ratio - 1.0).abs() <= TOLERANCE {
        return current;
    }
    let unready = current.saturating_sub(ready);
    if ratio > 1.0 && unready > 0 {
        let diluted = usage / f64::from(current) / target;
        if diluted <= 1.0 + TOLERANCE {
            return current;
        }
        return (diluted * f64::from(current)).ceil() as u32;
    }
    (ratio * f64::from(ready)).ceil() as u32
}

/// The default behavior, and what it remembers.
#[derive(Debug, Default)]
pub struct Behavior {
    recommended: Highest,
    counts: Recent,
}

impl Behavior {
    /// Notes how many pods are asked for.
    pub fn note(&mut self, now: f64, current: u32) {
        self.counts.push(now, f64::from(current), 2.0 * PERIOD);
    }

    /// Bounds a recommendation.
    pub fn bound(&mut self, now: f64, current: u32, wanted: u32, stabilization: f64) -> u32 {
        let recommended = self.recommended.push(now, f64::from(wanted), stabilization);
        if wanted < current {
            return (recommended as u32).min(current);
        }
        let before = self.counts.before(now, PERIOD).unwrap_or(f64::from(current)) as u32;
        wanted.min((before * 2).max(before + 4))
    }
}

impl Policy for Hpa {
    fn decide(&mut self, now: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]) {
        let (live, service) = (&scene.live[0], &scene.setup.services[0]);
        self.metric.push(now, self.sum(live), self.settings.window.max(PERIOD) + 1.0);
        let current = live.desired();
        self.behavior.note(now, current);
        if now < self.next {
            return;
        }
        self.next = now + PERIOD;
        let Some(usage) = self.metric.slope(self.settings.window) else { return };
        let wanted = self.recommend(current, live.ready(), usage);
        let wanted = self.behavior.bound(now, current, wanted, self.settings.stabilization);
        let total = wanted.clamp(self.settings.min.max(service.min).max(1), service.max);
        let capacity: Vec<u32> = scene.setup.pools.iter().map(|pool| pool.capacity).collect();
        fill(total, &self.order, &capacity, &mut want[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_and_tolerance() {
        assert_eq!(proportional(4, 4, 8.0, 1.0), 8);
        assert_eq!(proportional(4, 4, 4.3, 1.0), 4, "within a tenth nothing moves");
        assert_eq!(proportional(4, 4, 4.5, 1.0), 5);
        assert_eq!(proportional(4, 4, 1.0, 1.0), 1);
        assert_eq!(proportional(4, 0, 0.0, 1.0), 4, "no metric, no change");
    }

    #[test]
    fn pods_that_start_dampen_a_rise() {
        assert_eq!(proportional(8, 4, 8.0, 1.0), 8, "four more are on their way");
        assert_eq!(proportional(8, 4, 16.0, 1.0), 16);
    }

    #[test]
    fn up_by_doubling_or_four_and_down_after_the_window() {
        let mut behavior = Behavior::default();
        behavior.note(0.0, 2);
        assert_eq!(behavior.bound(0.0, 2, 100, 300.0), 6);
        behavior.note(15.0, 6);
        assert_eq!(behavior.bound(30.0, 6, 100, 300.0), 12);
        assert_eq!(behavior.bound(60.0, 12, 1, 300.0), 12);
        assert_eq!(behavior.bound(340.0, 12, 1, 300.0), 1);
    }
}
