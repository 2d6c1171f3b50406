//! How far replicas reach beyond what their profile says, or fall short of it. A profile knows nothing of load that changes
//! within seconds, of a slow neighbour or of a pipeline that grew dearer; and it is careful. The answers tell.

use crate::Objective;
use crate::experience::{AIM, tail};
use crate::traffic::Answered;
use serde::{Deserialize, Serialize};

/// Before anything was answered, a replica counts for less.
const AT_FIRST: f64 = 0.9;
const BOUNDS: (f64, f64) = (0.4, 1.5);
/// How much it changes in half a minute that is as good as can be: for who fell short, and for who might reach further.
const BACK: f64 = 0.02;
const ON: f64 = 0.002;
/// How much of that who fell short gets back in an hour that was late: between its bursts any replica does well.
const DOUBT: f64 = 0.5;
/// How many times as much as its due half a minute that is late may count; of a stricter objective, where one burst is soon
/// many times what may be late, less.
const WORST: f64 = 12.0;
/// What is left of the last hour's answers after half a minute.
const HOUR: f64 = 0.991_7;
/// A service that is pressed to less lateness than its objective allows is judged by no less than so much of it: what is
/// late for other reasons than capacity must not use it up.
const BORNE: f64 = 0.5;
/// The tail that this is about; of a stricter objective one excess takes more, so it is tried and followed more slowly.
const USUAL_TAIL: f64 = 0.01;

/// What replicas have turned out to sustain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reach {
    /// In times what the profile says.
    pub times: f64,
    /// Answers of the last hour in which enough was ready.
    hour: Answered,
}

impl Default for Reach {
    fn default() -> Self {
        Self { times: AT_FIRST, hour: Answered::default() }
    }
}

impl Reach {
    /// Follows the answers of half a minute in which enough was ready: are they late, then it was not enough. What is
    /// late now and then is borne: it takes a last hour that was late as well to change much.
    pub(crate) fn judge(&mut self, answered: Answered, objective: Option<Objective>, tolerance: f64) {
        let Some(late) = answered.share() else { return };
        let aim = AIM * tail(objective) * tolerance.clamp(BORNE, 1.0);
        self.hour = Answered { all: HOUR * self.hour.all + answered.all, late: HOUR * self.hour.late + answered.late };
        let strict = (tail(objective) / USUAL_TAIL).min(1.0).sqrt();
        let error = (1.0 - late / aim).max(-WORST * strict.sqrt());
        let was_late = self.hour.share() > Some(aim);
        let gain = match error > 0.0 {
            true if self.times < 1.0 && was_late => DOUBT * BACK * strict,
            true if self.times < 1.0 => BACK * strict,
            false if was_late => BACK,
            _ => ON * strict,
        };
        self.times = (self.times * (gain * error).exp()).clamp(BOUNDS.0, BOUNDS.1);
    }

    /// This, or what is taken at first if it is no such thing.
    pub(crate) fn sound(self) -> Self {
        let parts = [self.times, self.hour.all, self.hour.late];
        let sound = parts.iter().all(|part| part.is_finite() && *part >= 0.0);
        if sound { Self { times: self.times.clamp(BOUNDS.0, BOUNDS.1), ..self } } else { Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(percentile: f64) -> Option<Objective> {
        Some(Objective { percentile, target: 0.4 })
    }

    fn judged(mut reach: Reach, times: usize, late: f64, percentile: f64) -> Reach {
        (0..times).for_each(|_| reach.judge(Answered { all: 1_000.0, late: 1_000.0 * late }, within(percentile), 1.0));
        reach
    }

    #[test]
    fn it_follows_the_answers_within_bounds() {
        let good = judged(Reach::default(), 1_000, 0.0, 99.0);
        assert_eq!(good.times, BOUNDS.1);
        let bad = judged(good, 20, 0.5, 99.0);
        assert!(bad.times < 0.6 * good.times, "{}", bad.times);
        assert_eq!(judged(bad, 100, 0.5, 99.0).times, BOUNDS.0);
        let back = |hour| (judged(Reach { hour, ..bad }, 20, 0.0, 99.0).times / bad.times).ln();
        assert!(back(Answered::default()) > 0.39, "it comes back soon");
        assert!(back(bad.hour) > DOUBT * 0.39, "more slowly in an hour that was late");
    }

    #[test]
    fn half_a_minute_that_was_late_is_borne_in_a_good_hour() {
        let good = judged(Reach::default(), 200, 0.0, 99.0);
        let after = judged(good, 1, 0.05, 99.0);
        assert!(after.times > 0.98 * good.times, "{} {}", after.times, good.times);
        assert!(judged(after, 30, 0.05, 99.0).times < 0.8 * good.times, "not an hour of them");
    }

    #[test]
    fn between_the_bursts_of_a_late_hour_half_as_much_comes_back() {
        let short = |late: f64| {
            let reach = Reach { times: 0.8, hour: Answered { all: 100_000.0, late } };
            (judged(reach, 1, 0.0, 99.0).times / 0.8).ln()
        };
        assert!(short(100.0) > 0.0 && (short(2_000.0) / short(100.0) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_service_under_pressure_is_judged_by_half_of_what_may_be_late() {
        let judged = |tolerance| {
            let mut reach = Reach { times: 1.0, ..Reach::default() };
            // Less than half of what is aimed at is late.
            reach.judge(Answered { all: 10_000.0, late: 20.0 }, within(99.0), tolerance);
            reach.times
        };
        assert!(judged(0.1) > 1.0);
        assert_eq!(judged(0.1), judged(BORNE));
        assert!(judged(1.0) > judged(BORNE), "it is judged by its tolerance above that");
    }

    #[test]
    fn a_strict_objective_is_tried_slowly() {
        let good = Reach { times: 1.0, ..Reach::default() };
        let tried = |percentile| judged(good, 1, 0.0, percentile).times.ln();
        assert!((tried(99.0) / tried(99.9) - 10.0f64.sqrt()).abs() < 1e-6);
        assert_eq!(tried(90.0), tried(99.0));
    }

    #[test]
    fn a_burst_counts_for_less_the_stricter_the_objective() {
        let full = Reach { times: 1.0, ..Reach::default() };
        let lost = |percentile| -judged(full, 1, 1.0, percentile).times.ln();
        assert!((lost(99.0) / (BACK * WORST) - 1.0).abs() < 1e-9);
        assert!((lost(99.0) / lost(99.9) - 10.0f64.powf(0.25)).abs() < 1e-6);
    }

    #[test]
    fn nonsense_is_nothing() {
        assert_eq!(Reach { times: f64::NAN, ..Reach::default() }.sound(), Reach::default());
        assert_eq!(Reach { times: 9.0, ..Reach::default() }.sound().times, BOUNDS.1);
        let nobody = judged(Reach::default(), 0, 0.0, 99.0);
        assert_eq!(nobody.times, AT_FIRST);
    }
}
