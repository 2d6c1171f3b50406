//! Policies that know the future: they are bounds, not rivals.

use super::{Highest, Policy};
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
    seen: Highest,
    /// The most of what it sees and must keep: up to two starts ahead.
    coming: Highest,
    /// The first second that `coming` has not taken in.
    next: usize,
}

impl Foresight {
    /// With a start of `start` seconds.
    #[must_use]
    pub fn new(need: Arc<Vec<f64>>, ahead: f64, start: f64, window: f64, factor: f64) -> Self {
        let (seen, coming) = (Highest::default(), Highest::default());
        Self { need, ahead, start, window, factor, seen, coming, next: 0 }
    }

    fn at(&self, second: usize) -> f64 {
        self.need.get(second).copied().unwrap_or(0.0)
    }
}

impl Policy for Foresight {
    fn decide(&mut self, now: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]) {
        let service = &scene.setup.services[0];
        let horizon = now + self.ahead;
        let seen = self.seen.push(now, self.at(horizon as usize), self.window);
        // What is started now is there a start later; what is kept saves one.
        let kept = self.ahead.min(2.0 * self.start).floor();
        let mut need = 0.0;
        while self.next as f64 <= now + kept {
            need = self.coming.push(self.next as f64, self.at(self.next), kept);
            self.next += 1;
        }
        if self.ahead < self.start + 1.0 {
            need = f64::max(need, self.factor * seen);
        }
        want[0][0] = (need.ceil() as u32).clamp(service.min, service.max);
    }
}
