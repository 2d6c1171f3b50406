//! Policies that know the future: they are bounds, not rivals.

use super::{Policy, Recent};
use crate::world::Scene;
use std::sync::Arc;

/// What needs how many replicas when, known up to some time ahead.
///
/// For the time that it can't see it expects `factor` times the most that it has seen in the last `window` seconds.
#[derive(Debug)]
pub struct Foresight {
    /// Replicas needed in each second.
    need: Arc<Vec<f64>>,
    /// Seconds that it sees ahead.
    ahead: f64,
    /// Seconds that a start takes.
    start: f64,
    window: f64,
    factor: f64,
    seen: Recent,
}

impl Foresight {
    /// With a start of `start` seconds.
    #[must_use]
    pub fn new(need: Arc<Vec<f64>>, ahead: f64, start: f64, window: f64, factor: f64) -> Self {
        Self { need, ahead, start, window, factor, seen: Recent::default() }
    }

    fn most(&self, from: f64, to: f64) -> f64 {
        let (first, end) = (from.max(0.0) as usize, (to.max(0.0) as usize + 1).min(self.need.len()));
        self.need[first.min(end)..end].iter().fold(0.0, |most, need| most.max(*need))
    }
}

impl Policy for Foresight {
    fn decide(&mut self, now: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]) {
        let service = &scene.setup.services[0];
        let horizon = now + self.ahead;
        self.seen.push(now, self.most(horizon, horizon), self.window);
        // What is started now is there a start later; what is kept saves one.
        let mut need = self.most(now, horizon.min(now + 2.0 * self.start));
        if self.ahead < self.start + 1.0 {
            need = need.max(self.factor * self.seen.max());
        }
        want[0][0] = (need.ceil() as u32).clamp(service.min, service.max);
    }
}
