//! Knative's pod autoscaler: concurrency over a stable and a panic window; in panic it never scales down.

use super::unit::Unit;
use super::{Highest, Policy, Recent, fill};
use crate::world::Scene;
use serde::{Deserialize, Serialize};

const TICK: f64 = 2.0;
/// The panic window is a tenth of the stable one.
const PANIC_SHARE: f64 = 0.1;
/// Most times by which the number of ready pods may rise in one step.
const UP: f64 = 1_000.0;
/// Most times by which it may fall.
const DOWN: f64 = 2.0;
/// Seconds before the last pod goes, once nothing comes.
const GRACE: f64 = 30.0;

/// Its settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Target concurrency as a part of what a replica sustains.
    pub target: f64,
    /// Seconds of the stable window.
    pub stable: f64,
    /// Times the target over the panic window from which on it panics.
    pub panic: f64,
    /// Seconds for which a fall is delayed.
    pub delay: f64,
    /// Fewest pods.
    pub min: u32,
}

/// The autoscaler of one service.
#[derive(Debug)]
pub struct Kpa {
    settings: Settings,
    unit: Unit,
    order: Vec<usize>,
    next: f64,
    concurrency: Recent,
    delayed: Highest,
    /// Since when it panics (renewed while it is over the threshold), and the most pods of this panic.
    panic: Option<(f64, f64)>,
    idle_since: Option<f64>,
}

impl Kpa {
    /// With pools filled in `order`.
    #[must_use]
    pub fn new(settings: Settings, unit: Unit, order: Vec<usize>) -> Self {
        let (concurrency, delayed) = (Recent::default(), Highest::default());
        Self { settings, unit, order, next: 0.0, concurrency, delayed, panic: None, idle_since: None }
    }

    /// The number of pods for the concurrency over both windows.
    fn scale(&mut self, now: f64, ready: u32, stable: f64, panic: f64) -> f64 {
        let target = self.settings.target * self.unit.concurrency;
        let pods = f64::from(ready.max(1));
        let (most, least) = ((UP * pods).ceil(), (pods / DOWN).floor());
        let bounded = |concurrency: f64| (concurrency / target).ceil().clamp(least, most);
        let (wanted, urgent) = (bounded(stable), bounded(panic));
        let over = (panic / target).ceil() / pods >= self.settings.panic;
        self.panic = match self.panic {
            None if over => Some((now, 0.0)),
            Some((_, high)) if over => Some((now, high)),
            Some((since, _)) if now - since > self.settings.stable => None,
            other => other,
        };
        match &mut self.panic {
            Some((_, high)) => {
                *high = high.max(wanted.max(urgent)).max(pods);
                *high
            }
            None => wanted,
        }
    }
}

impl Policy for Kpa {
    fn decide(&mut self, now: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]) {
        let (live, service) = (&scene.live[0], &scene.setup.services[0]);
        self.concurrency.push(now, live.ledger.concurrency, self.settings.stable + 1.0);
        // The activator tells at once of a request without a pod.
        let wakes = live.desired() == 0 && live.ledger.held > 0.0;
        if now < self.next && !wakes {
            return;
        }
        self.next = now + TICK;
        let window = self.settings.stable;
        let stable = self.concurrency.slope(window).unwrap_or(0.0);
        let panic = self.concurrency.slope(window * PANIC_SHARE).unwrap_or(0.0);
        let mut wanted = self.scale(now, live.ready(), stable, panic);
        if wanted == 0.0 {
            let since = *self.idle_since.get_or_insert(now);
            wanted = if now - since >= GRACE { 0.0 } else { 1.0 };
        } else {
            self.idle_since = None;
        }
        let delayed = self.delayed.push(now, wanted, self.settings.delay);
        let wanted = (delayed as u32).max(u32::from(wakes));
        let total = wanted.clamp(self.settings.min.max(service.min), service.max);
        let capacity: Vec<u32> = scene.setup.pools.iter().map(|pool| pool.capacity).collect();
        fill(total, &self.order, &capacity, &mut want[0]);
    }

    fn woken(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kpa() -> Kpa {
        let settings = Settings { target: 1.0, stable: 60.0, panic: 2.0, delay: 0.0, min: 0 };
        Kpa::new(settings, Unit { rate: 1.0, concurrency: 10.0 }, vec![0])
    }

    #[test]
    fn stable_follows_the_mean_and_halves_at_most() {
        let mut kpa = kpa();
        assert_eq!(kpa.scale(0.0, 4, 45.0, 45.0), 5.0);
        assert_eq!(kpa.scale(2.0, 8, 10.0, 10.0), 4.0, "no more than half in one step");
    }

    #[test]
    fn panic_rises_and_never_falls_until_a_stable_window_has_passed() {
        let mut kpa = kpa();
        assert_eq!(kpa.scale(0.0, 2, 20.0, 60.0), 6.0, "three times the pods: panic");
        assert_eq!(kpa.scale(2.0, 6, 30.0, 20.0), 6.0, "it doesn't fall while it panics");
        assert_eq!(kpa.scale(60.0, 6, 20.0, 20.0), 6.0);
        assert_eq!(kpa.scale(61.0, 6, 20.0, 20.0), 3.0, "panic is over: half at most");
    }
}
