//! Rehearsals: every quarter of an hour all experts replay a service's past, and the best one is followed from then on.
//!
//! A rehearsal owns what it needs, so that it may run beside the decisions.

use crate::course::Course;
use crate::experience::{Experience, MULTIPLIERS};
use crate::expert::experts;
use crate::profile::Sustained;
use crate::series::Series;
use crate::{History, Objective, ServiceId};

/// Seconds between two rehearsals of a service.
const PERIOD: f64 = 900.0;
/// A service that isn't known for so long yet has nothing to rehearse; while it is young it does so more often.
const YOUNG: f64 = 1_800.0;
const YOUNG_PERIOD: f64 = 300.0;
const GROWN: f64 = 3_600.0;
/// Bins at the start of a history in which windows fill, and don't count.
const RUN_IN: usize = 6;

/// What a replay goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Terms {
    /// Seconds of a start.
    pub(crate) lead: f64,
    /// The same where it is soonest.
    pub(crate) soonest: f64,
    /// Requests per second that replicas sustain.
    pub(crate) sustained: Sustained,
    /// Fewest replicas.
    pub(crate) least: f64,
    /// The objective.
    pub(crate) objective: Option<Objective>,
    /// Seconds that a request may wait.
    pub(crate) patience: f64,
}

/// A service's past, to be replayed.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    pub(crate) service: ServiceId,
    pub(crate) history: History,
    pub(crate) terms: Terms,
    pub(crate) experience: Experience,
    /// Share of answers that were late since the last one, and how many there were.
    pub(crate) late: Option<(f64, f64)>,
}

/// What a rehearsal has taught.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsed {
    pub(crate) service: ServiceId,
    pub(crate) experience: Experience,
}

/// Whether a service of this age is due, that last rehearsed what was before `at`.
pub(crate) fn is_due(now: f64, age: f64, at: f64) -> bool {
    let period = if age < GROWN { YOUNG_PERIOD } else { PERIOD };
    // The end of what was replayed lies a minute or two before its rehearsal.
    age >= YOUNG && (now - at >= period + 60.0 || at > now + PERIOD)
}

impl Rehearsal {
    /// Replays what is new.
    #[must_use]
    pub fn run(self) -> Rehearsed {
        let Self { service, history, terms, mut experience, late } = self;
        let lead = terms.lead;
        let experts = experts(lead);
        let series = Series::of(&history, lead);
        if let Some((late, answers)) = late {
            experience.follow_burn(late, answers, &terms);
        }
        let rate = terms.sustained.as_said().one();
        if !experience.tells(lead, rate, experts.len()) {
            experience.begin(lead, rate, experts.len());
        }
        let new = (0..series.mean.len()).find(|index| series.end_of(*index) > experience.at + 0.5);
        if let Some(new) = new {
            let course = Course::new(&series, new.max(RUN_IN), &terms);
            experience.fade(series.end - experience.at.max(series.end - 86_400.0));
            experience.add_ideal(course.ideal());
            for (number, expert) in experts.iter().enumerate() {
                let forecast = expert.over(&series, lead);
                for (index, multiplier) in MULTIPLIERS.iter().enumerate() {
                    experience.add(number, index, course.run(&forecast, *multiplier));
                }
            }
            experience.at = series.end;
            experience.choose(&experts, terms.objective);
        }
        Rehearsed { service, experience }
    }
}

#[cfg(test)]
#[path = "rehearse_tests.rs"]
mod tests;
