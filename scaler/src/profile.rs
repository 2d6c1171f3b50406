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
/// Of the part of its throughput that one replica must leave idle, each of n leaves this power of n: what waits goes to
/// the one that is free. Fitted to simulated replicas of several speeds and batch sizes; on the careful side.
const POOLING: f64 = -0.35;
/// Nor are many together planned to run fuller than this.
const FULLEST: f64 = 0.95;
/// A queue beyond one full batch waits for the next ones; its tail is so many times as long as its mean tells.
const BEYOND: f64 = 3.0;
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

    /// This profile on something that turned out so many times as fast.
    #[must_use]
    pub(crate) fn moved_by(&self, times: f64) -> Self {
        Self { measured: self.measured, ..self.moved(1.0, times) }
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
        let most = batch / self.time(batch) * CEILING_UTILISATION;
        let alone = one_by_one(self.time(1.0), objective.target, late);
        let rate = alone.max(self.batched(objective.target, late, batch));
        rate.min(most).max(FLOOR_UTILISATION / self.time(1.0))
    }

    /// What replicas sustain, alone and together.
    #[must_use]
    pub(crate) fn sustained(&self, objective: Option<Objective>, max_batch: u32) -> Sustained {
        let batch = f64::from(max_batch.max(1));
        Sustained { one: self.sustainable(objective, max_batch), full: batch / self.time(batch) }
    }

    /// The rate at which all but a share `late` of requests keep `target` with batching. A batch is what came while the last one ran: its mean m solves m = rate · t(m); its
    /// spread is that of arrivals, which rows that wait for rows amplify. A request waits for the rest of one batch and
    /// for its own, so that all but a share `late` of batches must run within half the target. Where even full ones do,
    /// some may wait for the next; but at best as if each were served by itself in its share of a full batch.
    fn batched(&self, target: f64, late: f64, max_batch: f64) -> f64 {
        let (room, full) = (target / 2.0 - self.fixed, self.time(max_batch));
        let (beyond, each) = (target / full - 2.0, full / max_batch);
        let within = if self.per_row > 0.0 { (room / self.per_row).min(max_batch) } else { max_batch };
        let large = if beyond > 0.0 { max_batch * (1.0 + beyond / BEYOND) } else { within };
        let most = if beyond > 0.0 { one_by_one(each, target - full + each, late) } else { f64::INFINITY };
        if room < 0.0 || large < 1.0 {
            return 0.0;
        }
        if self.fixed <= 0.0 {
            return most.min(1.0 / self.per_row);
        }
        // m + q·√(m / (1 - g²)) = large with g = rate · per_row, by the root s of m: it bends up, so from the right.
        let (quantile, ratio) = (normal_quantile(late), self.per_row / self.fixed);
        let root = newton(large.sqrt(), |s| {
            let square = s * s;
            let width = (1.0 + 2.0 * ratio * square).sqrt();
            let spread = s * (1.0 + ratio * square) / width;
            let slope = (1.0 + 3.0 * ratio * square) / width
                - 2.0 * ratio * square * (1.0 + ratio * square) / (width * width * width);
            (square + quantile * spread - large, 2.0 * s + quantile * slope)
        });
        let mean = root * root;
        most.min(mean / self.time(mean))
    }
}

/// Requests per second that a replica sustains within the objective.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sustained {
    /// Alone.
    pub(crate) one: f64,
    /// With full batches, whatever waits.
    pub(crate) full: f64,
}

impl Sustained {
    /// Each of so many that share the load.
    pub(crate) fn each(&self, replicas: f64) -> f64 {
        let (idle, fullest) = (1.0 - self.one / self.full, FULLEST * self.full);
        let each = self.full * (1.0 - idle * replicas.max(1.0).powf(POOLING));
        if each.is_finite() { each.min(fullest).max(self.one) } else { self.one }
    }
}

/// The rate at which all but a share `late` of requests keep `target` when each is served by itself in `time`, by the
/// tail of the wait of a queue with constant service time: t + t / 2(1 - u) · ln(u / late) for utilisation u.
fn one_by_one(time: f64, target: f64, late: f64) -> f64 {
    if target < time {
        return 0.0;
    }
    // ln(u / late) = slack · (1 - u), whose left side bends down: Newton's method comes from the left and stays there.
    let slack = 2.0 * (target - time) / time;
    let root = newton(late, |busy| ((busy / late).ln() - slack * (1.0 - busy), 1.0 / busy + slack));
    root.min(1.0) / time
}

/// The root that Newton's method finds from `start`; `function` gives value and slope.
fn newton(start: f64, function: impl Fn(f64) -> (f64, f64)) -> f64 {
    let mut at = start;
    for _ in 0..50 {
        let (value, slope) = function(at);
        let next = at - value / slope;
        if !next.is_finite() || (next - at).abs() <= 1e-12 * at.abs() {
            break;
        }
        at = next;
    }
    at
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

    /// What replicas behind two random choices sustained when simulated, as parts of their throughput: alone, four, sixteen.
    #[test]
    fn together_they_sustain_nearly_what_was_simulated_and_no_more() {
        let fast = (0.0015, 0.0005, 32, 0.02);
        let text = (0.008, 0.002, 16, 0.1);
        let images = (0.02, 0.01, 8, 0.3);
        let heavy = (0.3, 0.1, 8, 2.0);
        for ((fixed, per_row, batch, target), percentile, simulated) in [
            (fast, 99.0, [0.79, 0.86, 0.91]),
            (fast, 99.9, [0.71, 0.83, 0.89]),
            (text, 99.0, [0.89, 0.94, 0.99]),
            (text, 99.9, [0.83, 0.91, 0.96]),
            (images, 99.0, [0.88, 0.95, 0.99]),
            (images, 99.9, [0.78, 0.91, 0.99]),
            (heavy, 99.0, [0.66, 0.81, 0.88]),
            (heavy, 99.9, [0.54, 0.74, 0.84]),
        ] {
            let profile = Profile { fixed, per_row, measured: true };
            let sustained = profile.sustained(within(percentile, target), batch);
            for (replicas, simulated) in [1.0, 4.0, 16.0].into_iter().zip(simulated) {
                let part = sustained.each(replicas) / sustained.full;
                assert!(
                    part <= simulated + 0.035 && part >= simulated - 0.11,
                    "{fixed} {percentile} {replicas}: {part} of {simulated}"
                );
            }
        }
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

    /// What the rate was solved from, forwards: the latency that all but a share `late` keep.
    fn latency(profile: &Profile, rate: f64, late: f64, max_batch: f64) -> f64 {
        let (time, busy) = (profile.time(1.0), rate * profile.time(1.0));
        let wait = if busy > late { time / (2.0 * (1.0 - busy)) * (busy / late).ln() } else { 0.0 };
        let alone = if busy < 1.0 { time + wait } else { f64::INFINITY };
        let gain = rate * profile.per_row;
        let mean = rate * profile.fixed / (1.0 - gain);
        let large = (mean + normal_quantile(late) * (mean / (1.0 - gain * gain)).sqrt()).max(1.0);
        let batched = if gain < 1.0 && large <= max_batch { 2.0 * profile.time(large) } else { f64::INFINITY };
        alone.min(batched)
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
        fn sustains_what_is_in_time_and_no_more(
            fixed in 1e-4f64..1.0, per_row in 0.0f64..0.1, target in 1e-3f64..10.0, percentile in 90.0f64..99.99, batch in 1u32..256,
        ) {
            let profile = Profile { fixed, per_row, measured: true };
            let (late, most) = (1.0 - percentile / 100.0, f64::from(batch));
            // Where full batches leave room to wait for the next, the rate is fitted to what was simulated: see above.
            prop_assume!(target <= 2.0 * profile.time(most));
            let rate = profile.sustainable(within(percentile, target), batch);
            let least = FLOOR_UTILISATION / profile.time(1.0);
            let ceiling = CEILING_UTILISATION * most / profile.time(most);
            if rate > least * (1.0 + 1e-9) {
                prop_assert!(latency(&profile, rate * (1.0 - 1e-6), late, most) <= target, "{rate}");
            }
            if rate < ceiling * (1.0 - 1e-9) {
                prop_assert!(latency(&profile, rate * (1.0 + 1e-6), late, most) > target, "{rate}");
            }
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
