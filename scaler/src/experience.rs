//! What a service's past has taught: how each expert would have done, and which one is followed.

use crate::course::Run;
use crate::expert::{DAY, Expert};
use crate::rehearse::Terms;
use crate::{History, Objective};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Factors on an expert's forecast.
pub(crate) const MULTIPLIERS: [f64; 10] = [0.7, 0.85, 1.0, 1.15, 1.35, 1.6, 2.0, 2.6, 3.5, 5.0];
/// Half of what was learned is forgotten in so many seconds.
const HALF_LIFE: f64 = 16.0 * 3_600.0;
/// What the first lateness beyond the tolerance weighs, in units of the least possible cost. It grows with the root, so
/// that who is far off takes more than one step; and beyond so many times the tolerance with the logarithm: an objective
/// that is out of reach must not buy replicas without end.
const PENALTY: f64 = 3.0;
const FAR: f64 = 20.0;
/// A new policy must be better by so much.
const CHANGE: f64 = 0.01;
/// Of the share that may be late, so much is aimed at; by this power of the ease less, the longer a start.
pub(crate) const AIM: f64 = 0.5;
const SLOW: f64 = 0.6;
/// Seconds of a start within which what wasn't foreseen is made up for with ease, and the least ease of all.
const SOON: f64 = 75.0;
const LEAST_EASE: f64 = 0.1;
/// How fast the tolerance follows the burn, for each rehearsal, and how far.
const GAIN: f64 = 0.05;
/// One rehearsal counts for no more missed objectives than this.
const WORST: f64 = 40.0;
/// How much of what is usual one rehearsal changes.
const USUAL: f64 = 0.05;
const TOLERANCES: (f64, f64) = (0.1, 3.0);
/// Nobody is ready for more than so many times the highest load of a day, whatever the factor: it is for quick rises out of
/// quiet, not for what lies beyond a peak.
pub(crate) const BEYOND: f64 = 2.0;
/// Where the tail that may be late isn't told, and the least of it.
pub(crate) const USUAL_TAIL: f64 = 0.01;
const LEAST_TAIL: f64 = 1e-4;

/// Whom a service follows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The expert.
    pub expert: Expert,
    /// The factor on its forecast.
    pub multiplier: f64,
}

impl Policy {
    /// What is to be expected at `now`, not held, in requests per second, where replicas start in `lead` seconds.
    pub(crate) fn now(self, history: &History, now: f64, lead: f64) -> f64 {
        let expected = self.multiplier * self.expert.now(history, now, lead);
        // No window is higher than its day: a small factor stays within the bound.
        if matches!(self.expert, Expert::Highest(_) | Expert::Mean(..)) && self.multiplier <= BEYOND {
            return expected;
        }
        expected.min(BEYOND * history.highest_between(now - DAY, now).unwrap_or(0.0))
    }
}

/// What the past has taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Experience {
    /// The end of what has been replayed.
    pub at: f64,
    /// Seconds of a start, and requests per second of a replica, that the replays went by.
    pub(crate) lead: f64,
    pub(crate) rate: f64,
    /// What just enough would have cost, and how many requests there were.
    ideal: f64,
    all: f64,
    /// Of each expert and multiplier.
    #[serde(serialize_with = "write_runs", deserialize_with = "read_runs")]
    runs: Vec<Sum>,
    /// Whom to follow; none before the first rehearsal.
    pub policy: Option<Policy>,
    /// Factor on the share of late requests that a replay may have: follows the measured burn of the objective.
    pub tolerance: f64,
    /// Answers between two rehearsals, of late.
    usual: f64,
}

/// Sums of runs, as exact as a checkpoint keeps them: a successor goes on from the very figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    cost: f32,
    late: f32,
}

impl Default for Experience {
    fn default() -> Self {
        let (at, lead, rate, ideal, all, usual) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        Self { at, lead, rate, ideal, all, runs: Vec::new(), policy: None, tolerance: 1.0, usual }
    }
}

impl Experience {
    /// Whether what was replayed still tells of a service with these figures.
    pub(crate) fn tells(&self, lead: f64, rate: f64, experts: usize) -> bool {
        let near = |one: f64, other: f64| (0.67..1.5).contains(&(one.max(5.0) / other.max(5.0)));
        let rates = (0.67..1.5).contains(&(self.rate / rate));
        self.runs.len() == experts * MULTIPLIERS.len() && near(self.lead, lead) && rates
    }

    /// Forgets all runs, not whom to follow.
    pub(crate) fn begin(&mut self, lead: f64, rate: f64, experts: usize) {
        (self.at, self.lead, self.rate, self.ideal, self.all) = (0.0, lead, rate, 0.0, 0.0);
        self.runs = vec![Sum::default(); experts * MULTIPLIERS.len()];
    }

    /// Lets what is older fade.
    pub(crate) fn fade(&mut self, elapsed: f64) {
        let factor = 0.5f64.powf(elapsed.max(0.0) / HALF_LIFE);
        (self.ideal, self.all) = (self.ideal * factor, self.all * factor);
        let factor = factor as f32;
        self.runs.iter_mut().for_each(|sum| (sum.cost, sum.late) = (sum.cost * factor, sum.late * factor));
    }

    /// Adds what just enough would have cost, and the requests.
    pub(crate) fn add_ideal(&mut self, (cost, all): (f64, f64)) {
        (self.ideal, self.all) = (self.ideal + cost, self.all + all);
    }

    /// Adds a run of expert `expert` with multiplier `multiplier`.
    pub(crate) fn add(&mut self, expert: usize, multiplier: usize, run: Run) {
        if let Some(sum) = self.runs.get_mut(expert * MULTIPLIERS.len() + multiplier) {
            (sum.cost, sum.late) = (sum.cost + run.cost as f32, sum.late + run.late as f32);
        }
    }

    /// Follows the burn: a share `late` of so many answers came after the objective since the last time. What counts is
    /// the share of requests, so a busy quarter weighs more than a quiet one.
    pub(crate) fn follow_burn(&mut self, late: f64, answers: f64, terms: &Terms) {
        self.usual = if self.usual > 0.0 { self.usual + USUAL * (answers - self.usual) } else { answers };
        let weight = (answers / self.usual).min(4.0);
        let error =
            (weight * (1.0 - late / (AIM * ease(terms.soonest).powf(SLOW) * tail(terms.objective)))).max(-WORST);
        if error.is_finite() {
            self.tolerance = (self.tolerance * (GAIN * error).exp()).clamp(TOLERANCES.0, TOLERANCES.1);
        }
    }

    /// Takes the policy that would have been best.
    pub(crate) fn choose(&mut self, experts: &[Expert], objective: Option<Objective>) {
        if self.ideal <= 0.0 || self.all <= 0.0 {
            return;
        }
        let scores: Vec<f64> = (0..self.runs.len()).map(|index| self.score(index, objective)).collect();
        let best = (0..scores.len()).min_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        let Some(best) = best else { return };
        let policy = |index: usize| Policy {
            expert: experts[index / MULTIPLIERS.len()],
            multiplier: MULTIPLIERS[index % MULTIPLIERS.len()],
        };
        let kept = (0..scores.len()).find(|index| self.policy == Some(policy(*index)));
        if kept.is_none_or(|kept| scores[best] < scores[kept] * (1.0 - CHANGE)) {
            self.policy = Some(policy(best));
        }
    }

    /// Cost in units of the least possible, and a soft penalty for what is late beyond the tolerance. Who was late more
    /// often than replays had it also counts what would have been late with the next smaller multiplier: the next burst
    /// is higher than all of the past.
    fn score(&self, index: usize, objective: Option<Objective>) -> f64 {
        let sum = &self.runs[index];
        let smaller = if index.is_multiple_of(MULTIPLIERS.len()) { sum } else { &self.runs[index - 1] };
        let doubt = (0.5 - self.tolerance).max(0.0);
        let late = f64::from(sum.late) + doubt * f64::from(smaller.late - sum.late);
        let tolerated = tail(objective) * self.tolerance;
        let excess = (late / self.all - tolerated).max(0.0) / tolerated;
        let near = (1.0 + excess.min(FAR)).sqrt();
        let far = ((1.0 + excess) / (1.0 + FAR)).ln().max(0.0);
        f64::from(sum.cost) / self.ideal + PENALTY * (2.0 * (near - 1.0) + (1.0 + FAR).sqrt() * far)
    }
}

/// How easily what wasn't foreseen is made up for: 1 where replicas start soon, the less the longer the soonest takes.
pub(crate) fn ease(soonest: f64) -> f64 {
    (SOON / soonest.max(SOON)).max(LEAST_EASE)
}

/// The share of requests that may be late.
pub(crate) fn tail(objective: Option<Objective>) -> f64 {
    let share = objective.map_or(USUAL_TAIL, |objective| 1.0 - objective.percentile / 100.0);
    if share.is_finite() { share.clamp(LEAST_TAIL, 0.5) } else { USUAL_TAIL }
}

fn write_runs<S: Serializer>(runs: &[Sum], serializer: S) -> Result<S::Ok, S::Error> {
    let figures = runs.iter().flat_map(|sum| [sum.cost, sum.late]);
    serializer.serialize_str(&BASE64.encode(figures.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()))
}

fn read_runs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Sum>, D::Error> {
    let bytes = BASE64.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
    let pairs = bytes.as_chunks::<8>().0.iter();
    let figure = f32::from_le_bytes;
    let sum =
        |[a, b, c, d, e, f, g, h]: &[u8; 8]| Sum { cost: figure([*a, *b, *c, *d]), late: figure([*e, *f, *g, *h]) };
    let runs: Vec<Sum> = pairs.map(sum).collect();
    let sound = runs.iter().all(|sum| sum.cost.is_finite() && sum.late.is_finite());
    sound.then_some(runs).ok_or_else(|| D::Error::custom("runs that are no numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Increase;

    #[test]
    fn to_be_late_is_dearer_the_further_beyond_and_the_stricter_the_objective() {
        let score = |late: f32, percentile: f64| {
            let runs = vec![Sum { cost: 1.0, late }];
            let experience = Experience { ideal: 1.0, all: 1_000.0, runs, ..Experience::default() };
            experience.score(0, Some(Objective { percentile, target: 0.4 }))
        };
        assert!((score(10.0, 99.0) - 1.0).abs() < 1e-3);
        assert!(score(20.0, 99.0) > score(15.0, 99.0) && score(15.0, 99.0) > 1.0);
        assert!(score(20.0, 99.9) - score(10.0, 99.9) > score(20.0, 99.0) - score(10.0, 99.0));
    }

    #[test]
    fn less_may_be_late_where_starts_take_long() {
        let objective = Some(Objective { percentile: 99.0, target: 0.4 });
        let followed = |soonest: f64| {
            let mut experience = Experience::default();
            experience.follow_burn(0.004, 1_000.0, &Terms { soonest, objective, ..Terms::default() });
            experience.tolerance
        };
        assert_eq!(followed(5.0), followed(SOON));
        assert!(followed(SOON) > 1.0 && followed(300.0) < 1.0);
        assert_eq!((ease(0.0), ease(2.0 * SOON), ease(1e6)), (1.0, 0.5, LEAST_EASE));
    }

    #[test]
    fn a_factor_is_for_what_lies_below_the_highest_of_a_day() {
        let mut history = None;
        for second in 0..7_200u64 {
            // A quiet service with one peak of ten minutes, an hour ago.
            let amount = if (3_000..3_600).contains(&second) { 100 } else { 10 };
            History::add(&mut history, Increase { amount, from: second as f64, to: (second + 1) as f64 });
        }
        let history = history.unwrap();
        let ready =
            |multiplier: f64, now: f64| Policy { expert: Expert::Highest(600.0), multiplier }.now(&history, now, 60.0);
        assert!((ready(5.0, 7_200.0) - 50.0).abs() < 1.0, "out of quiet: {}", ready(5.0, 7_200.0));
        assert!((ready(5.0, 3_600.0) - BEYOND * 100.0).abs() < 4.0, "at the peak: {}", ready(5.0, 3_600.0));
        assert!((ready(1.35, 3_600.0) - 135.0).abs() < 3.0, "a small factor: {}", ready(1.35, 3_600.0));
    }
}
