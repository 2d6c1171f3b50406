//! Service times: what one replica sustains within the objective.

use crate::Objective;
use serde::{Deserialize, Serialize};

/// Times assumed for the reference accelerator before anything was measured, in seconds.
const PRIOR: (f64, f64) = (0.010, 0.002);
/// However tight the objective, a replica counts for so much of the rate at which it serves one by one: an objective
/// that can't be met must not buy replicas without end.
const FLOOR_UTILISATION: f64 = 0.3;
/// However loose, a replica is never planned to run fuller.
const CEILING_UTILISATION: f64 = 0.85;
/// Objective where the spec has none: so many times the time of a lone request.
const LONE_MULTIPLE: f64 = 10.0;
const DEFAULT_PERCENTILE: f64 = 99.0;

/// Engine time of a batch of b rows: fixed + per_row × b, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Seconds for the batch.
    #[serde(with = "crate::figure")]
    pub fixed: f64,
    /// Seconds for each row.
    #[serde(with = "crate::figure")]
    pub per_row: f64,
    /// Whether it was measured on this kind of accelerator.
    pub measured: bool,
}

impl Profile {
    /// The prior for an accelerator so many times as fast as the reference.
    #[must_use]
    pub fn prior(relative_speed: f64) -> Self {
        let speed = if relative_speed.is_finite() { relative_speed.clamp(0.001, 1_000.0) } else { 1.0 };
        Self { fixed: PRIOR.0 / speed, per_row: PRIOR.1 / speed, measured: false }
    }

    /// This profile, measured at one speed, as a guess for another.
    #[must_use]
    pub fn moved(&self, from_speed: f64, to_speed: f64) -> Self {
        let factor = from_speed / to_speed;
        let factor = if factor.is_finite() && factor > 0.0 { factor } else { 1.0 };
        Self { fixed: self.fixed * factor, per_row: self.per_row * factor, measured: false }
    }

    /// This profile, or the prior if it is no such thing.
    #[must_use]
    pub fn sound_or_prior(&self, relative_speed: f64) -> Self {
        let parts = [self.fixed, self.per_row];
        let sound = parts.iter().all(|part| part.is_finite() && *part >= 0.0) && self.time(1.0) > 1e-9;
        if sound { *self } else { Self::prior(relative_speed) }
    }

    /// Engine time of a batch, in seconds.
    #[must_use]
    pub fn time(&self, rows: f64) -> f64 {
        self.fixed + self.per_row * rows
    }

    /// The objective, or the default for this profile.
    #[must_use]
    pub fn objective_or_default(&self, objective: Option<Objective>) -> Objective {
        let sound = objective.filter(|o| o.target.is_finite() && o.target > 0.0 && o.percentile.is_finite());
        sound.unwrap_or(Objective { percentile: DEFAULT_PERCENTILE, target: LONE_MULTIPLE * self.time(1.0) })
    }

    /// Whether a lone request is in time.
    #[must_use]
    pub fn meets(&self, objective: Option<Objective>) -> bool {
        self.time(1.0) <= self.objective_or_default(objective).target
    }

    /// Requests per second that one replica sustains with the percentile within the target.
    #[must_use]
    pub fn sustainable(&self, objective: Option<Objective>, max_batch: u32) -> f64 {
        let objective = self.objective_or_default(objective);
        let late = (1.0 - objective.percentile / 100.0).clamp(1e-4, 0.5);
        let batch = f64::from(max_batch.max(1));
        let full = batch / self.time(batch);
        let (mut low, mut high) = (0.0, full * CEILING_UTILISATION);
        for _ in 0..48 {
            let middle = (low + high) / 2.0;
            if self.latency(middle, late, batch) <= objective.target {
                low = middle;
            } else {
                high = middle;
            }
        }
        low.max(FLOOR_UTILISATION / self.time(1.0))
    }

    /// A bound on the latency that all but a share `late` of requests keep, at `rate`.
    fn latency(&self, rate: f64, late: f64, max_batch: f64) -> f64 {
        self.one_by_one(rate, late).min(self.batched(rate, late, max_batch))
    }

    /// Without batching: the tail of the wait of a queue with constant service time.
    fn one_by_one(&self, rate: f64, late: f64) -> f64 {
        let time = self.time(1.0);
        let busy = rate * time;
        if busy >= 1.0 {
            return f64::INFINITY;
        }
        let wait = if busy > late { time / (2.0 * (1.0 - busy)) * (busy / late).ln() } else { 0.0 };
        time + wait
    }

    /// A batch is what came while the last one ran. Its mean solves b = rate · t(b); its spread is that of arrivals,
    /// which rows that wait for rows amplify. A request waits for the rest of one batch and for its own.
    fn batched(&self, rate: f64, late: f64, max_batch: f64) -> f64 {
        let gain = rate * self.per_row;
        if gain >= 1.0 {
            return f64::INFINITY;
        }
        let mean = rate * self.fixed / (1.0 - gain);
        let large = (mean + normal_quantile(late) * (mean / (1.0 - gain * gain)).sqrt()).max(1.0);
        if large > max_batch { f64::INFINITY } else { 2.0 * self.time(large) }
    }
}

/// How many standard deviations above the mean a share `late` lies (Abramowitz and Stegun 26.2.23).
fn normal_quantile(late: f64) -> f64 {
    let t = (-2.0 * late.ln()).sqrt();
    let top = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let bottom = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    (t - top / bottom).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn within(percentile: f64, target: f64) -> Option<Objective> {
        Some(Objective { percentile, target })
    }

    #[test]
    fn quantiles() {
        assert!((normal_quantile(0.01) - 2.326).abs() < 1e-3);
        assert!(normal_quantile(0.5) < 1e-3);
    }

    #[test]
    fn batching_sustains_more() {
        let profile = Profile { fixed: 0.010, per_row: 0.001, measured: true };
        let alone = profile.sustainable(within(99.0, 0.1), 1);
        let batched = profile.sustainable(within(99.0, 0.1), 32);
        assert!(alone < 1.0 / profile.time(1.0), "{alone}");
        assert!(batched > 2.0 * alone, "{batched} {alone}");
    }

    #[test]
    fn an_impossible_objective_is_soft() {
        let profile = Profile { fixed: 0.1, per_row: 0.0, measured: true };
        assert!(!profile.meets(within(99.0, 0.05)));
        assert!((profile.sustainable(within(99.0, 0.05), 8) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn unsound_profiles_fall_back() {
        for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            let profile = Profile { fixed: bad, per_row: 0.0, measured: true };
            assert_eq!(profile.sound_or_prior(2.0), Profile::prior(2.0));
        }
    }

    proptest! {
        #[test]
        fn a_tighter_objective_never_sustains_more(
            fixed in 1e-4f64..1.0, per_row in 0.0f64..0.1, target in 1e-3f64..10.0, looser in 1.0f64..10.0, batch in 1u32..256,
        ) {
            let profile = Profile { fixed, per_row, measured: true };
            let tight = profile.sustainable(within(99.0, target), batch);
            let loose = profile.sustainable(within(99.0, target * looser), batch);
            prop_assert!(tight <= loose * (1.0 + 1e-9), "{tight} {loose}");
            prop_assert!(tight.is_finite() && tight > 0.0);
        }

        #[test]
        fn a_faster_accelerator_sustains_more(
            fixed in 1e-4f64..1.0, per_row in 0.0f64..0.1, target in 1e-3f64..10.0, faster in 1.0f64..10.0, batch in 1u32..256,
        ) {
            let slow = Profile { fixed, per_row, measured: true };
            let fast = slow.moved(1.0, faster);
            prop_assert!(slow.sustainable(within(99.0, target), batch) <= fast.sustainable(within(99.0, target), batch) * (1.0 + 1e-9));
        }
    }
}
