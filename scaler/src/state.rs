//! What is remembered between decisions: reports, windows, profiles, and each service's memory.

use crate::{
    Accelerator, Counter, GatewaySample, Learner, Memory, Objective, Profile, ProfileKey, Reporter, Revision, Ring,
    ServerSample, ServiceId, ServicePlan, Signals,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Reports come once a second; after three intervals (and a little for the way) a reporter is out of touch.
const GATEWAY_STALE: f64 = 3.5;
/// Servers are asked every two seconds.
const SERVER_STALE: f64 = 6.5;
const PROFILES: usize = 1_024;
const LATENCY_SPAN: f64 = 30.0;
const LEVEL_SPAN: f64 = 10.0;

/// The scaler's own state; lost with the leader, bar a [`Checkpoint`].
#[derive(Clone, Debug, Default)]
pub struct State {
    bounds: Vec<f64>,
    gateways: BTreeMap<Reporter, Gateway>,
    servers: BTreeMap<Reporter, Server>,
    traffic: BTreeMap<ServiceId, Traffic>,
    learners: BTreeMap<ProfileKey, Learner>,
    memories: BTreeMap<ServiceId, Memory>,
}

/// What survives a change of leader.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Learned profiles.
    pub profiles: Vec<(ProfileKey, Profile)>,
    /// Memories.
    pub memories: Vec<(ServiceId, Memory)>,
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
struct Gateway {
    at: f64,
    started_at: f64,
    generation: u64,
    services: BTreeMap<ServiceId, Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    arrivals: Counter,
    latency: Vec<Counter>,
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

#[derive(Clone, Debug, Default)]
struct Traffic {
    arrivals: Ring,
    levels: VecDeque<(f64, u64)>,
    latency: VecDeque<(f64, Vec<u64>)>,
    last_arrival: Option<f64>,
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
        known.at = now;
        known.started_at = sample.started_at;
        known.generation = sample.generation;
        for service in &sample.services {
            let seen = known.services.entry(service.service.clone()).or_default();
            let traffic = self.traffic.entry(service.service.clone()).or_default();
            if let Some(increase) = seen.arrivals.advance(now, sample.started_at, service.arrivals) {
                traffic.arrivals.add(increase);
            }
            seen.latency.resize(service.latency.len(), Counter::default());
            let risen = seen.latency.iter_mut().zip(&service.latency).map(|(counter, value)| {
                counter.advance(now, sample.started_at, *value).map_or(0, |increase| increase.amount)
            });
            traffic.note_latency(now, risen.collect());
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
                traffic.levels.push_back((now, level));
                while traffic.levels.len() > 64 || traffic.levels.front().is_some_and(|(at, _)| now - at > LEVEL_SPAN) {
                    traffic.levels.pop_front();
                }
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
        // A replica seen for the first time tells of all its runs: slow first ones don't move a median.
        for batch in sample.batches.iter().take(512) {
            let (count, seconds) = known.batches.insert(batch.size, (batch.count, batch.seconds)).unwrap_or_default();
            if batch.count > count {
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
        self.gateways.retain(|gateway, _| gateways.contains(gateway));
        self.servers.retain(|server, _| servers.contains(server));
        self.traffic.retain(|service, _| services.contains(service));
        self.memories.retain(|service, _| services.contains(service));
        self.learners.retain(|key, _| services.contains(&key.service));
    }

    /// The memory of a service.
    pub fn memory(&mut self, service: &ServiceId) -> &mut Memory {
        self.memories.entry(service.clone()).or_default()
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
        let rate = |window| traffic.arrivals.rate(now, window).unwrap_or(0.0);
        let (in_flight, held) = (seen().map(|s| s.in_flight).sum(), seen().map(|s| s.held).sum());
        Some(Signals {
            complete,
            arrivals_short: rate(10.0),
            arrivals_long: rate(60.0),
            arrivals_peak: traffic.arrivals.peak(now, view.span, 10.0).unwrap_or(0.0),
            in_flight,
            in_flight_mean: traffic.level(now).unwrap_or(in_flight as f64),
            held,
            queued: self.queued(now, service, view.servers),
            late: traffic.late(now, &self.bounds, view.objective),
            idle_for: self.idle_for(now, service, &fresh).filter(|_| complete && in_flight == 0 && held == 0),
        })
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

    /// What a successor should know.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        let learned = self.learners.iter().filter_map(|(key, learner)| Some((key.clone(), learner.profile()?)));
        Checkpoint { profiles: learned.collect(), memories: self.memories.clone().into_iter().collect() }
    }

    /// Takes over what a predecessor knew.
    pub fn restore(&mut self, checkpoint: Checkpoint) {
        for (key, profile) in checkpoint.profiles.into_iter().take(PROFILES) {
            self.learners.entry(key).or_default().inherited = Some(profile);
        }
        self.memories.extend(checkpoint.memories);
    }
}

impl Traffic {
    fn note_latency(&mut self, now: f64, risen: Vec<u64>) {
        if risen.iter().any(|count| *count > 0) {
            self.latency.push_back((now, risen));
        }
        while self.latency.len() > 256 || self.latency.front().is_some_and(|(at, _)| now - at > LATENCY_SPAN) {
            self.latency.pop_front();
        }
    }

    fn level(&self, now: f64) -> Option<f64> {
        let recent: Vec<f64> =
            self.levels.iter().filter(|(at, _)| now - at <= LEVEL_SPAN).map(|(_, level)| *level as f64).collect();
        (!recent.is_empty()).then(|| recent.iter().sum::<f64>() / recent.len() as f64)
    }

    /// The share of answers that came after the target. A bucket that the target cuts counts in proportion.
    fn late(&self, now: f64, bounds: &[f64], objective: Option<Objective>) -> Option<f64> {
        let target = objective?.target;
        let (mut all, mut late) = (0.0, 0.0);
        for (_, counts) in self.latency.iter().filter(|(at, _)| now - at <= LATENCY_SPAN) {
            for (index, count) in counts.iter().enumerate() {
                let lower = if index == 0 { 0.0 } else { bounds.get(index - 1).copied().unwrap_or(f64::INFINITY) };
                let upper = bounds.get(index).copied().unwrap_or(f64::INFINITY);
                let beyond = if upper <= target {
                    0.0
                } else if lower >= target {
                    1.0
                } else if upper.is_finite() {
                    (upper - target) / (upper - lower)
                } else {
                    1.0
                };
                all += *count as f64;
                late += *count as f64 * beyond;
            }
        }
        (all > 0.0).then_some(late / all)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
