//! What load a service is to be ready for, and when it rehearses.

use crate::cover::is_enough;
use crate::experience::{BEYOND, USUAL_TAIL, ease, tail};
use crate::expert::DAY;
use crate::known::Known;
use crate::memory::START_PRIOR;
use crate::noise::sure_peak;
use crate::rehearse::{Rehearsal, Rehearsed, Terms, is_due};
use crate::traffic::Answered;
use crate::{Service, ServiceId, State};

/// A service that has not rehearsed yet is ready for so many times the highest load of the last hour; one that has, of as
/// long as it remembers peaks. Where starts take long it is a little more.
const NEW: f64 = 1.2;
const SLOW: f64 = 0.06;
const RECENT: f64 = 3_600.0;
/// For how many starts a newborn service remembers them at least, where one in a hundred may be late: the longer a start is
/// and the fewer may be late, the more one peak costs that finds it unready.
const STARTS: f64 = 100.0;
/// Moments kept of a forecast that holds.
const CREST: usize = 12;

impl Known {
    /// Judges the profiles by the answers since the last pass.
    pub(crate) fn judge(&mut self, now: f64, service: &Service) {
        let objective = self.terms.and_then(|terms| terms.objective);
        let enough = service.signals.as_ref().is_some_and(|signals| is_enough(service, signals, objective));
        if let Some(answered) = self.cover.note(now, std::mem::take(&mut self.traffic.fresh), enough) {
            self.reach.judge(answered, objective, self.experience.tolerance);
        }
    }

    /// What `service` is to be ready for, in requests per second; `None`: it was never called.
    pub(crate) fn foresee(&mut self, now: f64, service: &Service) -> Option<f64> {
        self.terms = Some(terms(service));
        let expected = self.expected(now)?;
        let hold = self.experience.policy.map_or(0.0, |policy| policy.expert.hold());
        let forecast = crest(&mut self.crest, now, expected, hold);
        forecast.is_finite().then_some(forecast)
    }

    /// What was to be expected at `at`, not held, in requests per second.
    fn expected(&self, at: f64) -> Option<f64> {
        let (history, terms) = (self.traffic.history.as_ref()?, self.terms?);
        let peak =
            |seconds: f64| history.highest_between(at - seconds, at).map_or(0.0, |peak| told(peak, terms.soonest));
        let new = NEW * ease(terms.soonest).powf(-SLOW);
        Some(match self.experience.policy {
            None => new * peak(RECENT),
            Some(policy) => {
                let remembered = remembered(terms, history.age(at));
                let peak = if remembered > 0.0 { peak(remembered) } else { 0.0 };
                policy.now(history, at, terms.lead).max(policy.multiplier.min(new) * peak)
            }
        })
    }

    /// Finds what a predecessor's last fall rested on, if its checkpoint is older: history tells it, to ten seconds.
    pub(crate) fn recall_fall(&mut self) {
        let Some(at) = self.memory.lowered_at.filter(|_| self.memory.need_at_fall.is_none()) else { return };
        let load = self.traffic.rate(at, 60.0);
        self.memory.need_at_fall = self.expected(at).map(|expected| expected.max(load));
    }

    fn rehearsal(&self, service: &ServiceId) -> Option<Rehearsal> {
        Some(Rehearsal {
            service: service.clone(),
            history: self.traffic.history.clone()?,
            terms: self.terms?,
            experience: self.experience.clone(),
            late: self.traffic.since.share().map(|late| (late, self.traffic.since.all)),
        })
    }
}

impl State {
    /// At most `most` services whose rehearsal is due, those first that wait longest.
    #[must_use]
    pub fn due(&mut self, now: f64, most: usize) -> Vec<Rehearsal> {
        let mut due: Vec<(f64, &ServiceId, &Known)> = Vec::new();
        for (service, known) in &mut self.services {
            let (Some(terms), Some(history)) = (known.terms, &known.traffic.history) else { continue };
            if !is_due(now, history.age(now), known.experience.at.max(known.spared)) {
                continue;
            }
            // Whatever may come of a day that its floor has borne with ease, nothing is to be learned from it.
            let highest = history.highest_between(now - DAY, now).unwrap_or(0.0);
            if highest * BEYOND <= terms.sustained.one() * terms.least {
                known.spared = now;
            } else {
                due.push((known.experience.at, service, known));
            }
        }
        due.sort_by(|a, b| a.0.total_cmp(&b.0));
        due.truncate(most);
        due.into_iter().filter_map(|(_, service, known)| known.rehearsal(service)).collect()
    }

    /// Takes over what a rehearsal has taught.
    pub fn learn(&mut self, rehearsed: Rehearsed) {
        let Rehearsed { service, experience } = rehearsed;
        if let Some(known) = self.services.get_mut(&service) {
            known.experience = experience;
            known.traffic.since = Answered::default();
        }
    }

    /// Rehearses what is due at once, at most `most` services: for who has no thread to spare.
    pub fn rehearse(&mut self, now: f64, most: usize) {
        for rehearsal in self.due(now, most) {
            self.learn(rehearsal.run());
        }
    }
}

/// What of a peak counts for who knows little yet: the longer a start, the more of what may have been chance.
fn told(peak: f64, soonest: f64) -> f64 {
    let ease = ease(soonest);
    ease * sure_peak(peak) + (1.0 - ease) * peak
}

/// Seconds for which a service of this age remembers peaks, whatever its past would have asked for: the longest silence so
/// far says little of the next one while there were few. It falls to none within a day.
fn remembered(terms: Terms, age: f64) -> f64 {
    let young = (1.0 - age / DAY).max(0.0);
    (young * STARTS * terms.lead * (USUAL_TAIL / tail(terms.objective)).sqrt()).min(DAY)
}

/// The highest of the forecasts of the last `hold` seconds, of which a few are kept.
fn crest(crest: &mut Vec<(f64, f64)>, now: f64, expected: f64, hold: f64) -> f64 {
    if hold <= 0.0 || !expected.is_finite() {
        crest.clear();
        return expected;
    }
    crest.retain(|(at, value)| now - at < hold && *at <= now && *value > expected);
    // Of values close in time the first one, which is the higher, stands for all, a little longer.
    let crowded = crest.last().is_some_and(|(at, _)| now - at < hold / CREST as f64);
    if crowded {
        if let Some((at, _)) = crest.last_mut().filter(|(_, value)| *value <= expected * 1.001) {
            *at = now;
        }
    } else {
        crest.push((now, expected));
    }
    crest.first().map_or(expected, |(_, highest)| highest.max(expected))
}

/// What replays of this service go by: the pool that most of its replicas are on, else the first one.
fn terms(service: &Service) -> Terms {
    let plan = &service.plan;
    let serving = plan.revisions.loaded();
    let own = service.replicas.iter().filter(|(slot, count)| slot.revision == *serving && count.desired > 0);
    let most = own.max_by_key(|(_, count)| count.desired).and_then(|(slot, _)| plan.pool(&slot.pool));
    let Some(pool) = most.or(plan.pools.first()) else { return Terms::default() };
    let profile = service.profile(pool);
    let objective = profile.objective_or_default(plan.objective);
    let soon = plan.pools.iter().filter(|other| other.tier <= pool.tier).map(|pool| service.memory.comes_in(pool));
    // What is asked for next may be on the slowest pool that was ever used; what is on the fast ones is there already.
    let lead = service.memory.slowest_start().unwrap_or(START_PRIOR);
    Terms {
        lead,
        // Where all start soon it matters to nobody which does first.
        soonest: if ease(lead) < 1.0 { soon.fold(lead, f64::min) } else { lead },
        sustained: service.sustained(profile),
        least: f64::from(plan.bounds.least()),
        objective: Some(objective),
        patience: (objective.target - 2.0 * profile.time(1.0)).max(objective.target / 4.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Objective, testing};

    #[test]
    fn the_longer_a_start_the_more_of_a_peak_counts() {
        assert_eq!((told(100.0, 5.0), told(100.0, 60.0)), (sure_peak(100.0), sure_peak(100.0)));
        assert!(told(100.0, 120.0) > told(100.0, 60.0) && told(100.0, 300.0) > told(100.0, 120.0));
        assert!(told(100.0, 3_600.0) < 100.0);
    }

    #[test]
    fn the_soonest_start_is_that_of_a_pool_in_no_later_location() {
        let mut service = testing::service("s");
        service.memory.note_start(&testing::ONPREM.into(), 300.0);
        service.memory.note_start(&testing::CLOUD.into(), 20.0);
        assert_eq!((terms(&service).lead, terms(&service).soonest), (300.0, 300.0));
        testing::pools(&mut service)[1].tier = 0;
        assert_eq!((terms(&service).lead, terms(&service).soonest), (300.0, 20.0));
    }

    #[test]
    fn peaks_are_remembered_longer_the_longer_a_start_the_stricter_the_objective_and_the_younger_the_service() {
        let terms = |lead: f64, percentile: f64| Terms {
            lead,
            objective: Some(Objective { percentile, target: 0.1 }),
            ..Terms::default()
        };
        let near = |found: f64, seconds: f64| assert!((found / seconds - 1.0).abs() < 1e-6, "{found}");
        near(remembered(terms(5.0, 99.0), 0.0), 500.0);
        near(remembered(terms(60.0, 99.0), DAY / 2.0), 3_000.0);
        near(remembered(terms(5.0, 99.9), 0.0), 500.0 * 10.0f64.sqrt());
        assert_eq!(remembered(terms(3_600.0, 99.0), 0.0), DAY, "no further than history goes");
        assert_eq!(remembered(terms(300.0, 99.0), 2.0 * DAY), 0.0);
    }
}
