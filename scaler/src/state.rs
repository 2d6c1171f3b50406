//! What is remembered between decisions: reports, windows, profiles, and each service's memory.

use crate::known::Known;
use crate::{
    Accelerator, GatewaySample, Memory, Objective, PoolName, Profile, ProfileKey, Reporter, Revision, ServerSample,
    Service, ServiceId, ServicePlan, Signals,
};
use litemap::LiteMap;
use std::collections::{BTreeMap, BTreeSet};

/// Reports come once a second; after three intervals (and a little for the way) a reporter is out of touch.
const GATEWAY_STALE: f64 = 3.5;
/// Servers are asked every two seconds.
const SERVER_STALE: f64 = 6.5;
/// Batch sizes that are taken from a server's report.
const SIZES: usize = 512;

/// The scaler's own state; lost with the leader, bar a [`crate::Checkpoint`].
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) bounds: Vec<f64>,
    pub(crate) gateways: BTreeMap<Reporter, Gateway>,
    servers: BTreeMap<Reporter, Server>,
    pub(crate) services: BTreeMap<ServiceId, Box<Known>>,
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
    /// The objective; without one, no answer is late.
    pub objective: Option<Objective>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Gateway {
    /// Where services keep what it says.
    pub(crate) place: usize,
    /// Number of its last report.
    pub(crate) report: u32,
    at: f64,
    pub(crate) started_at: f64,
    generation: u64,
}

impl Gateway {
    fn is_fresh(&self, now: f64) -> bool {
        now - self.at <= GATEWAY_STALE
    }
}

#[derive(Clone, Debug, Default)]
struct Server {
    at: f64,
    queue_depth: u64,
    started_at: f64,
    batches: LiteMap<u64, (u64, f64)>,
    service: ServiceId,
}

impl State {
    /// An empty state; `bounds` are the upper bounds of the latency buckets that gateways report, in seconds.
    #[must_use]
    pub fn new(bounds: &[f64]) -> Self {
        Self { bounds: bounds.to_vec(), ..Self::default() }
    }

    /// What is known of `service`, nothing at first.
    pub(crate) fn known(&mut self, service: &ServiceId) -> &mut Known {
        self.services.entry(service.clone()).or_default()
    }

    /// The gateway of that name, at the first free place if it is new.
    pub(crate) fn gateway(&mut self, name: &Reporter) -> &mut Gateway {
        let taken = |place: &usize| self.gateways.values().any(|gateway| gateway.place == *place);
        let place = (0..).find(|place| !taken(place)).unwrap_or_default();
        self.gateways.entry(name.clone()).or_insert(Gateway { place, ..Gateway::default() })
    }

    /// Takes in a gateway's report. One that doesn't say in which life its counters rise says nothing.
    pub fn hear_gateway(&mut self, now: f64, gateway: &Reporter, sample: &GatewaySample) {
        if !sample.started_at.is_finite() {
            return;
        }
        self.heard = self.heard.max(now);
        let told = self.gateway(gateway);
        (told.at, told.started_at, told.generation) = (now, sample.started_at, sample.generation);
        told.report = told.report.wrapping_add(1).max(1);
        let told = told.clone();
        let fresh: Vec<Gateway> = self.gateways.values().filter(|gateway| gateway.is_fresh(now)).cloned().collect();
        for service in &sample.services {
            let known = self.services.entry(service.service.clone()).or_default();
            known.hear(now, &told, service, &self.bounds);
            let level = fresh.iter().filter_map(|gateway| known.seen(gateway)).map(|seen| u64::from(seen.in_flight));
            let level = level.sum();
            known.traffic.note_level(now, level);
        }
    }

    /// Takes in a server's report.
    pub fn hear_server(&mut self, now: f64, replica: &Replica, sample: &ServerSample) {
        let Replica { pod, service, revision, accelerator } = replica;
        let server = self.servers.entry(pod.clone()).or_default();
        if server.started_at != sample.started_at {
            server.batches.clear();
        }
        (server.at, server.started_at, server.queue_depth) = (now, sample.started_at, sample.queue_depth);
        server.service = service.clone();
        let known = self.services.entry(service.clone()).or_default();
        let learner = known.learner(ProfileKey { revision: revision.clone(), accelerator: accelerator.clone() });
        // A replica seen for the first time tells of all its runs: slow first ones don't move a median. A successor has
        // them from its predecessor.
        let told = server.batches.is_empty() && learner.restored.is_some_and(|at| sample.started_at < at);
        for batch in sample.batches.iter().take(SIZES) {
            let now_is = (batch.count, batch.seconds);
            let was = match server.batches.get_mut(&batch.size) {
                Some(was) => std::mem::replace(was, now_is),
                None => server.batches.insert(batch.size, now_is).unwrap_or_default(),
            };
            if batch.count > was.0 && !told {
                learner.note(now, batch.size, batch.count - was.0, batch.seconds - was.1);
            }
        }
        learner.settle(now);
    }

    /// Forgets reporters and services that are gone.
    pub fn retain(
        &mut self,
        gateways: &BTreeSet<Reporter>,
        servers: &BTreeSet<Reporter>,
        services: &BTreeSet<ServiceId>,
    ) {
        let heard = self.heard;
        self.services.retain(|service, known| {
            let planned = services.contains(service);
            known.graced = known.graced.filter(|until| !planned && heard < *until);
            planned || known.graced.is_some()
        });
        let gone = |(name, gateway): (&Reporter, &Gateway)| (!gateways.contains(name)).then_some(gateway.place);
        let places: Vec<usize> = self.gateways.iter().filter_map(gone).collect();
        for place in places {
            self.services.values_mut().for_each(|known| known.forget(place));
        }
        self.gateways.retain(|gateway, _| gateways.contains(gateway));
        self.servers.retain(|server, _| servers.contains(server));
    }

    /// The memory of a service.
    pub fn memory(&mut self, service: &ServiceId) -> &mut Memory {
        &mut self.known(service).memory
    }

    /// How many services there is a memory of.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.services.len()
    }

    /// Profiles of the serving revision for each pool of the plan: measured, else moved from what was measured elsewhere.
    #[must_use]
    pub fn profiles(&self, service: &ServiceId, plan: &ServicePlan) -> LiteMap<PoolName, Profile> {
        self.services.get(service).map_or_else(|| Known::default().profiles(plan), |known| known.profiles(plan))
    }

    /// What is known of the traffic of `service`; `None`: nothing.
    #[must_use]
    pub fn signals(&self, now: f64, service: &ServiceId, view: View<'_>) -> Option<Signals> {
        let known = self.services.get(service).map(Box::as_ref);
        let (mut heard, mut complete) = (false, true);
        let (mut in_flight, mut held, mut last) = (0_u64, 0_u64, f64::MIN);
        for name in view.gateways {
            let Some(gateway) = self.gateways.get(name).filter(|gateway| gateway.is_fresh(now)) else {
                complete = false;
                continue;
            };
            heard = true;
            let seen = known.and_then(|known| known.seen(gateway));
            // A gateway that has no route to the service yet counts nobody who asks for it.
            complete &= gateway.generation > 0 && seen.is_some();
            in_flight += seen.map_or(0, |seen| u64::from(seen.in_flight));
            held += seen.map_or(0, |seen| u64::from(seen.held));
            // One that has seen no request since its start proves no more than the time since then.
            let idle = seen.and_then(|seen| seen.idle_seconds).map(f64::from);
            last = last.max(idle.map_or(gateway.started_at, |idle| gateway.at - idle));
        }
        let nothing = Known::default();
        let traffic = heard.then(|| &known.unwrap_or(&nothing).traffic)?;
        let idle_for = now - last.max(traffic.last_arrival.unwrap_or(f64::MIN));
        let proves = complete && in_flight == 0 && held == 0 && idle_for.is_finite();
        Some(Signals {
            complete,
            young: traffic.is_young(now),
            arrivals_short: traffic.rate(now, 10.0),
            arrivals_long: traffic.rate(now, 60.0),
            arrivals_peak: traffic.peak(now, view.span),
            in_flight,
            in_flight_mean: traffic.level(now).unwrap_or(in_flight as f64),
            held,
            queued: self.queued(now, service, view.servers),
            late: view.objective.and_then(|_| traffic.late(now)),
            forecast: None,
            idle_for: proves.then_some(idle_for.max(0.0)),
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
        let known = self.known(&service.id);
        known.memory.observe(now, &service.plan, &service.replicas);
        known.memory.begin(now);
        service.memory = known.memory.clone();
        service.profiles = known.profiles(&service.plan);
        service.reach = Some(known.reach.times);
        let forecast = known.foresee(now, service);
        known.recall_fall();
        service.memory.need_at_fall = known.memory.need_at_fall;
        let told = known.traffic.told(now);
        let span = service.memory.hold_seconds(&service.plan, &service.replicas);
        let view = View { gateways, servers, span, objective: service.plan.objective };
        let signals = self.signals(now, &service.id, view);
        service.signals = signals.map(|signals| Signals {
            forecast,
            arrivals_short: signals.arrivals_short * told,
            arrivals_long: signals.arrivals_long * told,
            ..signals
        });
        self.known(&service.id).judge(now, service);
    }

    fn queued(&self, now: f64, service: &ServiceId, ready: &BTreeSet<Reporter>) -> Option<u64> {
        let fresh = |name| self.servers.get(name).filter(|server| now - server.at <= SERVER_STALE);
        let depth = |name| fresh(name).filter(|server| server.service == *service).map(|server| server.queue_depth);
        ready.iter().try_fold(0_u64, |sum, name| Some(sum.saturating_add(depth(name)?)))
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
