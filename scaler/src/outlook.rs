//! What load a service is to be ready for, and when it rehearses.

use crate::rehearse::{Rehearsal, Rehearsed, Terms, is_due};
use crate::traffic::share_late;
use crate::{Memory, Profile, Service, ServiceId, State};

/// A service that has not rehearsed yet is ready for so many times the highest load of the last minutes.
const NEW: f64 = 1.5;
const RECENT: f64 = 600.0;
/// Moments kept of a forecast that holds.
const CREST: usize = 12;

impl State {
    /// What `service` is to be ready for, in requests per second; `None`: it was never called.
    pub(crate) fn foresee(&mut self, now: f64, service: &Service) -> Option<f64> {
        let terms = terms(service);
        let traffic = self.traffic.get(&service.id)?;
        let history = traffic.history.as_ref()?;
        let memory = self.memories.entry(service.id.clone()).or_default();
        let forecast = match memory.experience.policy {
            None => NEW * history.highest_between(now - RECENT, now).unwrap_or(0.0),
            Some(policy) => {
                let expected = policy.multiplier * policy.expert.now(history, now, terms.lead);
                crest(memory, now, expected, policy.expert.hold())
            }
        };
        self.terms.insert(service.id.clone(), terms);
        forecast.is_finite().then_some(forecast)
    }

    /// At most `most` services whose rehearsal is due, those first that wait longest.
    #[must_use]
    pub fn due(&self, now: f64, most: usize) -> Vec<Rehearsal> {
        let mut due: Vec<(f64, &ServiceId)> = Vec::new();
        for service in self.terms.keys() {
            let Some(history) = self.traffic.get(service).and_then(|traffic| traffic.history.as_ref()) else {
                continue;
            };
            let at = self.memories.get(service).map_or(0.0, |memory| memory.experience.at);
            if is_due(now, history.age(now), at) && !history.is_silent() {
                due.push((at, service));
            }
        }
        due.sort_by(|a, b| a.0.total_cmp(&b.0));
        due.truncate(most);
        due.into_iter().filter_map(|(_, service)| self.rehearsal(service)).collect()
    }

    fn rehearsal(&self, service: &ServiceId) -> Option<Rehearsal> {
        let traffic = self.traffic.get(service)?;
        let terms = *self.terms.get(service)?;
        let late = terms.objective.and_then(|objective| share_late(&traffic.since, &self.bounds, objective.target));
        Some(Rehearsal {
            service: service.clone(),
            history: traffic.history.clone()?,
            terms,
            experience: self.memories.get(service)?.experience.clone(),
            late: late.map(|late| (late, traffic.since.iter().sum::<u64>() as f64)),
        })
    }

    /// Takes over what a rehearsal has taught.
    pub fn learn(&mut self, rehearsed: Rehearsed) {
        let Rehearsed { service, experience } = rehearsed;
        if let Some(memory) = self.memories.get_mut(&service) {
            memory.experience = experience;
        }
        if let Some(traffic) = self.traffic.get_mut(&service) {
            traffic.since.clear();
        }
    }

    /// Rehearses what is due at once, at most `most` services: for who has no thread to spare.
    pub fn rehearse(&mut self, now: f64, most: usize) {
        for rehearsal in self.due(now, most) {
            self.learn(rehearsal.run());
        }
    }
}

/// The highest of the forecasts of the last `hold` seconds, of which a few are kept.
fn crest(memory: &mut Memory, now: f64, expected: f64, hold: f64) -> f64 {
    if hold <= 0.0 || !expected.is_finite() {
        memory.crest.clear();
        return expected;
    }
    memory.crest.retain(|(at, value)| now - at < hold && *at <= now && *value > expected);
    // Of values close in time the first one, which is the higher, stands for all, a little longer.
    let crowded = memory.crest.last().is_some_and(|(at, _)| now - at < hold / CREST as f64);
    if crowded {
        if let Some((at, _)) = memory.crest.last_mut().filter(|(_, value)| *value <= expected * 1.001) {
            *at = now;
        }
    } else {
        memory.crest.push((now, expected));
    }
    memory.crest.first().map_or(expected, |(_, highest)| highest.max(expected))
}

/// What replays of this service go by: the pool that most of its replicas are on, else the first one.
fn terms(service: &Service) -> Terms {
    let plan = &service.plan;
    let serving = plan.revisions.serving.as_ref().unwrap_or(&plan.revisions.newest);
    let own = service.replicas.iter().filter(|(slot, count)| slot.revision == *serving && count.desired > 0);
    let most = own.max_by_key(|(_, count)| count.desired).and_then(|(slot, _)| plan.pool(&slot.pool));
    let Some(pool) = most.or(plan.pools.first()) else { return Terms::default() };
    let known = service.profiles.get(&pool.name).copied();
    let profile = known.unwrap_or_else(|| Profile::prior(pool.relative_speed)).sound_or_prior(pool.relative_speed);
    let objective = profile.objective_or_default(plan.objective);
    let least = plan.bounds.min.max(plan.bounds.min_warm).max(1);
    Terms {
        lead: service.memory.start_seconds(&pool.name),
        rate: profile.sustainable(plan.objective, plan.max_batch),
        least: f64::from(least),
        objective: Some(objective),
        patience: (objective.target - 2.0 * profile.time(1.0)).max(objective.target / 4.0),
    }
}
