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
/// Nor are many together.
const FULLEST: f64 = 0.98;
/// Part of a batch for which a row waits until its own one begins.
const RESIDUAL: f64 = 0.5;
/// What the tail of the wait adds to the rows that fit before a row, for it begins below one.
const HEAD: f64 = 1.0 / 3.0;
/// Of the part of its throughput that one replica must leave idle, each of n leaves this power of n: what waits goes to
/// the one that is free. Less where few rows fit before a row: then it is late if but some are unlucky.
const POOLING: f64 = 0.65;
/// That power for each row that fits, over the logarithm of the share that may be late.
const POOLING_OF_ROWS: f64 = 1.0;
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
    /// One that was measured.
    #[must_use]
    pub fn measured(fixed: f64, per_row: f64) -> Self {
        Self { fixed, per_row, measured: true }
    }

    /// The prior for an accelerator so many times as fast as the reference.
    #[must_use]
    pub fn prior(relative_speed: f64) -> Self {
        let speed = if relative_speed.is_finite() { relative_speed.clamp(0.001, 1_000.0) } else { 1.0 };
        Self { measured: false, ..Self::measured(PRIOR.0 / speed, PRIOR.1 / speed) }
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
        self.sustained(objective, max_batch).one()
    }

    /// What replicas sustain, alone and together. A batch is what came while the last one ran; a row is in time if it waits
    /// for the rest of one batch, for the rows before it, and for its own batch. So no batch may take longer than half the
    /// target, which bounds what any number of replicas sustain. Below that bound, the rows before a row are those of a
    /// queue that serves them one after the other, each in its share of the largest batch: all but a share e^(-y·n) of rows
    /// find fewer than n of them, where u = y / (e^y - 1) is how busy the replica is (Cramér and Lundberg's exponent for
    /// constant service times). The constants are fitted to simulated replicas of many kinds, on the careful side.
    #[must_use]
    pub(crate) fn sustained(&self, objective: Option<Objective>, max_batch: u32) -> Sustained {
        let objective = self.objective_or_default(objective);
        let (target, lone, most) = (objective.target, self.time(1.0), f64::from(max_batch.max(1)));
        let rare = -(1.0 - objective.percentile / 100.0).clamp(1e-4, 0.5).ln();
        let large = if self.per_row > 0.0 { (target / 2.0 - self.fixed) / self.per_row } else { most };
        let large = large.clamp(1.0, most);
        let full = self.time(large);
        let own = (full * (1.0 + RESIDUAL * (1.0 - 1.0 / large))).min(target / 2.0).max(lone);
        let before = ((target - own) * large / full).max(0.0);
        let exponent = rare / (before + HEAD);
        let busy = if target < lone { 0.0 } else { exponent / exponent.exp_m1() };
        Sustained {
            least: FLOOR_UTILISATION / lone,
            limit: large / full,
            full: most / self.time(most),
            idle: 1.0 - busy.min(CEILING_UTILISATION),
            pooling: POOLING.min(POOLING_OF_ROWS * before / rare),
            reach: 1.0,
        }
    }
}

/// Requests per second that a replica sustains within the objective.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sustained {
    /// However few it sustains, it counts for so many.
    least: f64,
    /// One of very many.
    limit: f64,
    /// With full batches, whatever waits.
    pub(crate) full: f64,
    /// The part of its limit that one alone must leave idle, which falls with the power `pooling` of their number.
    idle: f64,
    pooling: f64,
    /// How many times what the profile says a replica has turned out to sustain.
    reach: f64,
}

impl Sustained {
    /// So many at all times, alone and with others.
    pub(crate) const fn flat(rate: f64) -> Self {
        Self { least: rate, limit: rate, full: rate, idle: 0.0, pooling: 0.0, reach: 1.0 }
    }

    /// As the profile says it, whatever replicas have turned out to sustain.
    pub(crate) fn as_said(self) -> Self {
        self.reaching(1.0)
    }

    /// So many times what the profile says.
    pub(crate) fn reaching(self, reach: f64) -> Self {
        Self { reach, ..self }
    }

    /// One alone.
    pub(crate) fn one(&self) -> f64 {
        self.each(1.0)
    }

    /// Each of so many that share the load.
    pub(crate) fn each(&self, replicas: f64) -> f64 {
        let busy = self.reach * (1.0 - self.idle * replicas.max(1.0).powf(-self.pooling));
        // The least where that is no number.
        (self.limit * busy.min(FULLEST)).max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn within(percentile: f64, target: f64) -> Option<Objective> {
        Some(Objective { percentile, target })
    }

    /// What replicas behind two random choices sustained when simulated, as parts of their throughput: one, two, four,
    /// sixteen. A lone request takes a second; the part of it that each batch takes once; the largest batch; the target.
    const SIMULATED: &[(f64, u32, f64, f64, [f64; 4])] = &[
        (0.0, 1, 5.0, 99.0, [0.55, 0.75, 0.85, 0.95]),
        (0.0, 1, 10.0, 99.0, [0.77, 0.89, 0.93, 0.98]),
        (0.14, 2, 5.0, 99.0, [0.53, 0.72, 0.82, 0.92]),
        (0.14, 2, 10.0, 99.0, [0.78, 0.88, 0.93, 0.98]),
        (0.14, 4, 5.0, 99.0, [0.48, 0.67, 0.78, 0.87]),
        (0.14, 4, 10.0, 99.0, [0.76, 0.86, 0.93, 0.98]),
        (0.5, 4, 5.0, 99.0, [0.57, 0.73, 0.82, 0.9]),
        (0.5, 4, 10.0, 99.0, [0.83, 0.91, 0.94, 0.99]),
        (0.14, 32, 5.0, 99.0, [0.45, 0.64, 0.74, 0.84]),
        (0.14, 32, 10.0, 99.0, [0.69, 0.81, 0.89, 0.94]),
        (0.84, 32, 5.0, 99.0, [0.59, 0.65, 0.69, 0.73]),
        (0.84, 32, 10.0, 99.0, [0.86, 0.89, 0.92, 0.95]),
        (0.0, 1, 5.0, 99.9, [0.39, 0.65, 0.79, 0.92]),
        (0.0, 1, 10.0, 99.9, [0.67, 0.83, 0.9, 0.97]),
        (0.14, 2, 5.0, 99.9, [0.37, 0.6, 0.73, 0.86]),
        (0.14, 2, 10.0, 99.9, [0.67, 0.82, 0.9, 0.97]),
        (0.14, 4, 5.0, 99.9, [0.33, 0.55, 0.69, 0.82]),
        (0.14, 4, 10.0, 99.9, [0.64, 0.8, 0.88, 0.96]),
        (0.5, 4, 5.0, 99.9, [0.43, 0.62, 0.74, 0.84]),
        (0.5, 4, 10.0, 99.9, [0.74, 0.87, 0.93, 0.98]),
        (0.14, 32, 5.0, 99.9, [0.31, 0.53, 0.66, 0.79]),
        (0.14, 32, 10.0, 99.9, [0.57, 0.74, 0.84, 0.91]),
        (0.84, 32, 5.0, 99.9, [0.5, 0.59, 0.64, 0.71]),
        (0.84, 32, 10.0, 99.9, [0.79, 0.86, 0.89, 0.94]),
    ];

    #[test]
    fn replicas_sustain_nearly_what_was_simulated_and_hardly_more() {
        for &(fixed, max_batch, target, percentile, simulated) in SIMULATED {
            let profile = Profile::measured(fixed, 1.0 - fixed);
            let sustained = profile.sustained(within(percentile, target), max_batch);
            for (replicas, simulated) in [1.0, 2.0, 4.0, 16.0].into_iter().zip(simulated) {
                let part = sustained.each(replicas) / sustained.full;
                assert!(
                    part <= simulated + 0.085 && part >= simulated - 0.18,
                    "{fixed} {max_batch} {target} {percentile} {replicas}: {part} of {simulated}"
                );
            }
        }
    }

    #[test]
    fn batching_sustains_more() {
        let profile = Profile::measured(0.010, 0.001);
        let alone = profile.sustainable(within(99.0, 0.1), 1);
        let batched = profile.sustainable(within(99.0, 0.1), 32);
        assert!(alone < 1.0 / profile.time(1.0), "{alone}");
        assert!(batched > 2.0 * alone, "{batched} {alone}");
    }

    #[test]
    fn an_impossible_objective_is_soft() {
        let profile = Profile::measured(0.1, 0.0);
        assert!(!profile.meets(within(99.0, 0.05)));
        assert!((profile.sustainable(within(99.0, 0.05), 8) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn unsound_profiles_fall_back() {
        for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            let profile = Profile::measured(bad, 0.0);
            assert_eq!(profile.sound_or_prior(2.0), Profile::prior(2.0));
        }
    }

    proptest! {
        #[test]
        fn a_tighter_objective_never_sustains_more(
            fixed in 1e-4f64..1.0, per_row in 0.0f64..0.1, target in 1e-3f64..10.0, looser in 1.0f64..10.0, batch in 1u32..256,
        ) {
            let profile = Profile::measured(fixed, per_row);
            let tight = profile.sustainable(within(99.0, target), batch);
            let loose = profile.sustainable(within(99.0, target * looser), batch);
            prop_assert!(tight <= loose * (1.0 + 1e-9), "{tight} {loose}");
            prop_assert!(tight.is_finite() && tight > 0.0);
        }

        #[test]
        fn more_replicas_sustain_no_less_each(
            fixed in 1e-4f64..1.0, per_row in 0.0f64..0.1, target in 1e-3f64..10.0, percentile in 50.0f64..99.99,
            batch in 1u32..256, replicas in 1.0f64..1000.0, more in 1.0f64..10.0,
        ) {
            let sustained = Profile::measured(fixed, per_row).sustained(within(percentile, target), batch);
            let (few, many) = (sustained.each(replicas), sustained.each(replicas * more));
            prop_assert!(sustained.one() <= few * (1.0 + 1e-9) && few <= many * (1.0 + 1e-9), "{sustained:?}");
        }

        #[test]
        fn a_faster_accelerator_sustains_more(
            fixed in 1e-4f64..1.0, per_row in 0.0f64..0.1, target in 1e-3f64..10.0, faster in 1.0f64..10.0, batch in 1u32..256,
        ) {
            let slow = Profile::measured(fixed, per_row);
            let fast = slow.moved(1.0, faster);
            prop_assert!(slow.sustainable(within(99.0, target), batch) <= fast.sustainable(within(99.0, target), batch) * (1.0 + 1e-9));
        }
    }
}
