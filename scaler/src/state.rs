//! What is remembered between decisions: reports, windows, profiles, and each service's memory.

use crate::counter::{Buckets, Counter};
use crate::rehearse::Terms;
use crate::traffic::Traffic;
use crate::{
    Accelerator, GatewaySample, Learner, Memory, Objective, Profile, ProfileKey, Reporter, Revision, ServerSample,
    Service, ServiceId, ServicePlan, Signals,
};
use std::collections::{BTreeMap, BTreeSet};

/// Reports come once a second; after three intervals (and a little for the way) a reporter is out of touch.
const GATEWAY_STALE: f64 = 3.5;
/// Servers are asked every two seconds.
const SERVER_STALE: f64 = 6.5;
const PROFILES: usize = 1_024;
/// The scaler's own state; lost with the leader, bar a [`crate::Checkpoint`].
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) bounds: Vec<f64>,
    pub(crate) gateways: BTreeMap<Reporter, Gateway>,
    servers: BTreeMap<Reporter, Server>,
    pub(crate) traffic: BTreeMap<ServiceId, Traffic>,
    pub(crate) learners: BTreeMap<ProfileKey, Learner>,
    pub(crate) memories: BTreeMap<ServiceId, Memory>,
    /// Services that a predecessor told of, and until when they are kept without a plan.
    pub(crate) graced: BTreeMap<ServiceId, f64>,
    /// What replays go by.
    pub(crate) terms: BTreeMap<ServiceId, Terms>,
    /// When something was last heard.
    heard: f64,
}

/// A server replica.
#[derive(Clone, Debug, PartialEq)]
pub struct Replica {
    /// Its pod.
    pub pod: Reporter,
    /// Whose it is.
    pub service: ServiceId,
    /// What it serves.
    pub revision: Revision,
    /// What it runs on.
    pub accelerator: Accelerator,
}

/// How signals are to be drawn up.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Every gateway that may hold a request of the service.
    pub gateways: &'a BTreeSet<Reporter>,
    /// Every server that is ready.
    pub servers: &'a BTreeSet<Reporter>,
    /// Seconds that the peak looks back: a start-up time.
    pub span: f64,
    /// The objective that answers are late by.
    pub objective: Option<Objective>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Gateway {
    at: f64,
    started_at: f64,
    generation: u64,
    pub(crate) services: BTreeMap<ServiceId, Seen>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) arrivals: Counter,
    latency: Buckets,
    in_flight: u64,
    held: u64,
    idle_seconds: Option<f64>,
}

#[derive(Clone, Debug, Default)]
struct Server {
    at: f64,
    queue_depth: u64,
    started_at: f64,
    batches: BTreeMap<u64, (u64, f64)>,
    service: ServiceId,
}

impl State {
    /// An empty state; `bounds` are the upper bounds of the latency buckets that gateways report, in seconds.
    #[must_use]
    pub fn new(bounds: &[f64]) -> Self {
        Self { bounds: bounds.to_vec(), ..Self::default() }
    }

    /// Takes in a gateway's report.
    pub fn hear_gateway(&mut self, now: f64, gateway: &Reporter, sample: &GatewaySample) {
        let known = self.gateways.entry(gateway.clone()).or_default();
        self.heard = self.heard.max(now);
        known.at = now;
        known.started_at = sample.started_at;
        known.generation = sample.generation;
        for service in &sample.services {
            let seen = known.services.entry(service.service.clone()).or_default();
            let traffic = self.traffic.entry(service.service.clone()).or_default();
            if let Some(increase) = seen.arrivals.advance(now, sample.started_at, service.arrivals) {
                traffic.add(increase);
            }
            traffic.note_answers(now, &seen.latency.advance(now, sample.started_at, &service.latency));
            seen.in_flight = service.in_flight;
            seen.held = service.held;
            seen.idle_seconds = service.idle_seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            if let Some(idle) = seen.idle_seconds {
                traffic.last_arrival = Some(traffic.last_arrival.unwrap_or(f64::MIN).max(now - idle));
            }
        }
        let reported: BTreeSet<&ServiceId> = sample.services.iter().map(|service| &service.service).collect();
        known.services.retain(|service, _| reported.contains(service));
        self.note_levels(now, &reported);
    }

    fn note_levels(&mut self, now: f64, services: &BTreeSet<&ServiceId>) {
        for service in services {
            let fresh = self.gateways.values().filter(|gateway| now - gateway.at <= GATEWAY_STALE);
            let level = fresh.filter_map(|gateway| gateway.services.get(*service)).map(|seen| seen.in_flight).sum();
            if let Some(traffic) = self.traffic.get_mut(*service) {
                traffic.note_level(now, level);
            }
        }
    }

    /// Takes in a server's report.
    pub fn hear_server(&mut self, now: f64, replica: &Replica, sample: &ServerSample) {
        let known = self.servers.entry(replica.pod.clone()).or_default();
        if known.started_at != sample.started_at {
            known.batches.clear();
        }
        (known.at, known.started_at, known.queue_depth) = (now, sample.started_at, sample.queue_depth);
        known.service = replica.service.clone();
        let key = ProfileKey {
            service: replica.service.clone(),
            revision: replica.revision.clone(),
            accelerator: replica.accelerator.clone(),
        };
        let learner = self.learners.entry(key).or_default();
        // A replica seen for the first time tells of all its runs: slow first ones don't move a median. A successor has
        // them from its predecessor.
        let told = known.batches.is_empty() && learner.restored.is_some_and(|at| sample.started_at < at);
        for batch in sample.batches.iter().take(512) {
            let (count, seconds) = known.batches.insert(batch.size, (batch.count, batch.seconds)).unwrap_or_default();
            if batch.count > count && !told {
                learner.note(now, batch.size, batch.count - count, batch.seconds - seconds);
            }
        }
        if self.learners.len() > PROFILES {
            let oldest = self.learners.iter().min_by(|a, b| a.1.at.total_cmp(&b.1.at)).map(|(key, _)| key.clone());
            oldest.map(|key| self.learners.remove(&key));
        }
    }

    /// Forgets reporters and services that are gone.
    pub fn retain(
        &mut self,
        gateways: &BTreeSet<Reporter>,
        servers: &BTreeSet<Reporter>,
        services: &BTreeSet<ServiceId>,
    ) {
        self.graced.retain(|service, until| !services.contains(service) && self.heard < *until);
        let graced = &self.graced;
        let services = |service: &ServiceId| services.contains(service) || graced.contains_key(service);
        self.gateways.retain(|gateway, _| gateways.contains(gateway));
        self.servers.retain(|server, _| servers.contains(server));
        self.traffic.retain(|service, _| services(service));
        self.memories.retain(|service, _| services(service));
        self.terms.retain(|service, _| services(service));
        self.learners.retain(|key, _| services(&key.service));
    }

    /// The memory of a service.
    pub fn memory(&mut self, service: &ServiceId) -> &mut Memory {
        self.memories.entry(service.clone()).or_default()
    }

    /// How many services there is a memory of.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.memories.len()
    }

    /// The learned profile of a revision on a kind of accelerator.
    #[must_use]
    pub fn profile(&self, key: &ProfileKey) -> Option<Profile> {
        self.learners.get(key).and_then(Learner::profile)
    }

    /// Profiles of `revision` for each pool of the plan: measured, else moved from what was measured elsewhere.
    #[must_use]
    pub fn profiles(&self, service: &ServiceId, plan: &ServicePlan) -> BTreeMap<crate::PoolName, Profile> {
        let revision = plan.revisions.serving.as_ref().unwrap_or(&plan.revisions.newest);
        let of = |accelerator: &Accelerator| {
            let (service, revision, accelerator) = (service.clone(), revision.clone(), accelerator.clone());
            self.profile(&ProfileKey { service, revision, accelerator })
        };
        let measured = plan.pools.iter().find_map(|pool| of(&pool.accelerator).map(|p| (p, pool.relative_speed)));
        let each = plan.pools.iter().map(|pool| {
            let moved = || measured.map(|(profile, speed)| profile.moved(speed, pool.relative_speed));
            let profile = of(&pool.accelerator).or_else(moved).unwrap_or_else(|| Profile::prior(pool.relative_speed));
            (pool.name.clone(), profile)
        });
        each.collect()
    }

    /// What is known of the traffic of `service`; `None`: nothing.
    #[must_use]
    pub fn signals(&self, now: f64, service: &ServiceId, view: View<'_>) -> Option<Signals> {
        let expected = view.gateways.iter().map(|name| self.gateways.get(name).filter(|g| now - g.at <= GATEWAY_STALE));
        let all: Vec<Option<&Gateway>> = expected.collect();
        let fresh: Vec<&Gateway> = all.iter().flatten().copied().collect();
        if fresh.is_empty() {
            return None;
        }
        // A gateway that has no route to the service yet counts nobody who asks for it.
        let routes = |gateway: &&Gateway| gateway.generation > 0 && gateway.services.contains_key(service);
        let complete = fresh.len() == all.len() && fresh.iter().all(routes);
        let seen = || fresh.iter().filter_map(|gateway| gateway.services.get(service));
        let nothing = Traffic::default();
        let traffic = self.traffic.get(service).unwrap_or(&nothing);
        let rate = |window| traffic.rate(now, window);
        let (in_flight, held) = (seen().map(|s| s.in_flight).sum(), seen().map(|s| s.held).sum());
        Some(Signals {
            complete,
            arrivals_short: rate(10.0),
            arrivals_long: rate(60.0),
            arrivals_peak: traffic.peak(now, view.span),
            in_flight,
            in_flight_mean: traffic.level(now).unwrap_or(in_flight as f64),
            held,
            queued: self.queued(now, service, view.servers),
            late: traffic.late(now, &self.bounds, view.objective),
            forecast: None,
            idle_for: self.idle_for(now, service, &fresh).filter(|_| complete && in_flight == 0 && held == 0),
        })
    }

    /// Adds what is remembered and heard to `service`, which holds its plan and its replicas.
    pub fn inform(
        &mut self,
        now: f64,
        service: &mut Service,
        gateways: &BTreeSet<Reporter>,
        servers: &BTreeSet<Reporter>,
    ) {
        let memory = self.memory(&service.id);
        memory.observe(now, &service.plan, &service.replicas);
        service.memory = memory.without_experience();
        let span = service.memory.hold_seconds(&service.plan, &service.replicas);
        let view = View { gateways, servers, span, objective: service.plan.objective };
        service.profiles = self.profiles(&service.id, &service.plan);
        service.signals = self.signals(now, &service.id, view);
        let forecast = self.foresee(now, service);
        if let Some(signals) = &mut service.signals {
            signals.forecast = forecast;
        }
    }

    fn queued(&self, now: f64, service: &ServiceId, ready: &BTreeSet<Reporter>) -> Option<u64> {
        let fresh = |name| self.servers.get(name).filter(|server| now - server.at <= SERVER_STALE);
        let depths: Option<Vec<u64>> = ready
            .iter()
            .map(|name| fresh(name).filter(|server| server.service == *service).map(|server| server.queue_depth))
            .collect();
        depths.map(|depths| depths.iter().sum())
    }

    /// A gateway that has seen no request since its start proves no more than the time since then.
    fn idle_for(&self, now: f64, service: &ServiceId, gateways: &[&Gateway]) -> Option<f64> {
        let remembered = self.traffic.get(service).and_then(|traffic| traffic.last_arrival);
        let each = gateways.iter().map(|gateway| match gateway.services.get(service).and_then(|s| s.idle_seconds) {
            Some(idle) => gateway.at - idle,
            None => gateway.started_at,
        });
        let last = each.chain(remembered).fold(f64::MIN, f64::max);
        (now - last).is_finite().then_some((now - last).max(0.0))
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
