//! The production law: reports go into its own windows, and its `decide` says what to do.
//!
//! The order of steps is that of the operator's loop.

use super::Policy;
use super::faults::Faults;
use crate::ledger::Ledger;
use crate::queue::ServerView;
use crate::random::Random;
use crate::world::{Live, Scene, ServiceSetup, Setup};
use millrace_crds::report::LATENCY_BOUNDS;
use millrace_scaler::{
    BatchSample, Bounds, Capacity, Count, Fleet, GatewaySample, Objective, Outcome, Pool, PoolPlan, Record, Replica,
    Reporter, Revision, Revisions, ServerSample, Service, ServiceId, ServicePlan, ServiceSample, Slot, State, Strategy,
    Tenant, decide,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Gateways that share the traffic.
const GATEWAYS: usize = 2;
/// Seconds between a server's reports.
const SERVER_PERIOD: f64 = 2.0;
/// Turns in which all services rehearse, as in the operator.
const REHEARSALS: usize = 240;
/// The law's clock when a run begins: it takes times for seconds since 1970.
const EPOCH: f64 = 1_780_000_000.0;
const REVISION: &str = "r1";
const TENANT: &str = "t";

/// The law with its state.
pub struct Law {
    state: State,
    fleet: Fleet,
    gateways: Vec<Reporter>,
    expected: BTreeSet<Reporter>,
    samples: Vec<GatewaySample>,
    /// Reports on their way.
    coming: VecDeque<(f64, usize, GatewaySample)>,
    slots: Vec<Vec<Slot>>,
    faults: Faults,
    servers_at: f64,
    /// Ready servers by service, and how many there are.
    ready: Vec<BTreeSet<Reporter>>,
    ready_count: u32,
    random: Random,
    /// Most replicas asked for at once, by pool.
    pub asked: Vec<u32>,
    /// Decisions that changed something, with their reasons, if they are wanted.
    pub log: Option<Vec<(f64, String)>>,
    /// Passes with all that they rested on, if they are wanted.
    pub passes: Option<Vec<Record>>,
}

impl Law {
    /// The law over the services and pools of a run.
    #[must_use]
    pub fn new(setup: &Setup, faults: Faults) -> Self {
        let gateways: Vec<Reporter> = (0..GATEWAYS).map(|index| Reporter::from(format!("gateway-{index}"))).collect();
        let services: Vec<Service> = setup.services.iter().enumerate().map(|(i, s)| service(i, s, setup)).collect();
        let sample = |service: &Service| ServiceSample {
            service: service.id.clone(),
            latency: vec![0; LATENCY_BOUNDS.len() + 1],
            ..ServiceSample::default()
        };
        let samples = GatewaySample {
            started_at: EPOCH - 3_600.0,
            generation: 1,
            services: services.iter().map(sample).collect(),
        };
        let slots = |service: &Service| {
            service.plan.pools.iter().map(|pool| Slot::new(&Revision::from(REVISION), &pool.name)).collect()
        };
        let pool = |pool: &crate::pods::PoolSetup| Pool {
            capacity: Capacity::Accelerators(u64::from(pool.capacity)),
            others: 0,
            accelerator: pool.accelerator.as_str().into(),
            hourly_cost: pool.hourly,
        };
        Self {
            state: State::new(&LATENCY_BOUNDS),
            slots: services.iter().map(slots).collect(),
            fleet: Fleet {
                services,
                pools: setup.pools.iter().map(|p| (p.name.as_str().into(), pool(p))).collect(),
                tenants: BTreeMap::from([(TENANT.into(), Tenant::default())]),
            },
            expected: gateways.iter().cloned().collect(),
            gateways,
            samples: vec![samples; GATEWAYS],
            coming: VecDeque::new(),
            faults,
            servers_at: f64::NEG_INFINITY,
            ready: vec![BTreeSet::new(); setup.services.len()],
            ready_count: 0,
            random: Random::new(setup.seed, 0xfa),
            asked: vec![0; setup.pools.len()],
            log: None,
            passes: None,
        }
    }

    /// Keeps what it decides, and why.
    #[must_use]
    pub fn logged(self) -> Self {
        Self { log: Some(Vec::new()), ..self }
    }

    /// Keeps what each pass rested on.
    #[must_use]
    pub fn recorded(self) -> Self {
        Self { passes: Some(Vec::new()), ..self }
    }

    fn hear(&mut self, now: f64, scene: &Scene<'_>) {
        for index in 0..GATEWAYS {
            for (sample, live) in self.samples[index].services.iter_mut().zip(scene.live) {
                report(sample, now - EPOCH, index, &live.ledger);
            }
            if !self.faults.heard(now - EPOCH, index, &mut self.random) {
                continue;
            }
            if self.faults == Faults::default() {
                self.state.hear_gateway(now, &self.gateways[index], &self.samples[index]);
                continue;
            }
            let mut sample = self.samples[index].clone();
            self.faults.bend(index, &mut sample, &mut self.random);
            self.coming.push_back((now + self.faults.delay, index, sample));
        }
        while self.coming.front().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, index, sample)) = self.coming.pop_front() {
                self.state.hear_gateway(now, &self.gateways[index], &sample);
            }
        }
    }

    /// Takes in the servers' reports if it is time.
    fn hear_servers(&mut self, now: f64, scene: &Scene<'_>) {
        let due = now - self.servers_at >= SERVER_PERIOD;
        let ready: u32 = scene.live.iter().map(crate::world::Live::ready).sum();
        if !due && ready == self.ready_count {
            return;
        }
        self.ready_count = ready;
        self.servers_at = if due { now } else { self.servers_at };
        for (index, live) in scene.live.iter().enumerate() {
            self.ready[index].clear();
            let id = &self.fleet.services[index].id;
            let (state, faults, random) = (&mut self.state, &self.faults, &mut self.random);
            live.queue.servers(&mut |server| {
                let pod = Reporter::from(format!("{index}-{}-{}", server.pool, server.pod));
                if due && (faults.loss <= 0.0 || random.unit() >= faults.loss) {
                    let mut sample = written(&server);
                    faults.bend_server(&mut sample, random);
                    let accelerator = scene.setup.pools[server.pool].accelerator.as_str().into();
                    let (service, revision) = (id.clone(), REVISION.into());
                    state.hear_server(now, &Replica { pod: pod.clone(), service, revision, accelerator }, &sample);
                }
                self.ready[index].insert(pod);
            });
        }
        if due {
            let servers: BTreeSet<Reporter> = self.ready.iter().flatten().cloned().collect();
            let services = self.fleet.services.iter().map(|service| service.id.clone()).collect();
            self.state.retain(&self.expected, &servers, &services);
        }
    }

    fn inform(&mut self, now: f64, scene: &Scene<'_>) {
        for (index, service) in self.fleet.services.iter_mut().enumerate() {
            count(service, &self.slots[index], &scene.live[index], now - self.faults.unseen);
            self.state.inform(now, service, &self.expected, &self.ready[index]);
        }
    }
}

impl Policy for Law {
    fn decide(&mut self, at: f64, scene: &Scene<'_>, want: &mut [Vec<u32>]) {
        let now = EPOCH + at;
        self.hear(now, scene);
        self.hear_servers(now, scene);
        for (service, pool, seconds) in scene.started {
            let id = &self.fleet.services[*service].id;
            self.state.memory(id).note_start(&scene.setup.pools[*pool].name.as_str().into(), *seconds);
        }
        self.inform(now, scene);
        let decisions = decide(now, &self.fleet);
        if let Some(passes) = &mut self.passes {
            passes.push(Record { now, fleet: self.fleet.clone(), decisions: decisions.clone() });
        }
        for (index, decision) in decisions.iter().enumerate() {
            let service = &self.fleet.services[index];
            if let Outcome::To { replicas, reason } = &decision.outcome {
                for (pool, slot) in self.slots[index].iter().enumerate() {
                    if let Some(target) = replicas.get(slot) {
                        want[index][pool] = *target;
                    }
                }
                if let Some(log) = &mut self.log {
                    log.push((at, format!("{}: {reason}", service.id)));
                }
            }
            self.state.memory(&service.id).record(now, &service.replicas, decision);
        }
        for (pool, asked) in self.asked.iter_mut().enumerate() {
            *asked = (*asked).max(want.iter().map(|pools| pools[pool]).sum());
        }
        self.state.rehearse(now, self.state.remembered().div_ceil(REHEARSALS));
    }

    fn woken(&self) -> bool {
        true
    }
}

fn service(index: usize, setup: &ServiceSetup, run: &Setup) -> Service {
    let pools = run.pools.iter().map(|pool| PoolPlan {
        name: pool.name.as_str().into(),
        accelerator: pool.accelerator.as_str().into(),
        location: String::new(),
        tier: pool.tier,
        accelerators: 1,
        hourly_cost: pool.hourly,
        relative_speed: pool.speed(&setup.model),
        provisioning_delay: pool.grows.unwrap_or(0.0),
    });
    let revisions = Revisions { newest: REVISION.into(), serving: Some(REVISION.into()), proven: true };
    let bounds = Bounds { min: setup.min, max: setup.max, min_warm: 0, idle_after: setup.idle_after, pause: false };
    let plan = ServicePlan {
        tenant: TENANT.into(),
        revisions,
        objective: Some(Objective { percentile: setup.percentile, target: setup.target }),
        bounds,
        max_hourly_cost: None,
        max_batch: setup.model.curve.max_batch,
        strategy: Strategy::Cheapest,
        pools: pools.collect(),
        lane: 1,
    };
    let replicas = plan.pools.iter().map(|pool| (Slot::new(&REVISION.into(), &pool.name), Count::default()));
    let replicas = replicas.collect();
    Service { id: ServiceId::new("n", &format!("s{index}")), plan, replicas, ..Service::default() }
}

/// Pods as they are; those that were made after `seen_until` are asked for, and not to be seen.
fn count(service: &mut Service, slots: &[Slot], live: &Live, seen_until: f64) {
    for (slot, seen) in slots.iter().zip(&live.slots) {
        if let Some(count) = service.replicas.get_mut(slot) {
            count.desired = seen.desired;
            count.ready = seen.ready;
            count.starting.clear();
            count.starting.extend(seen.starting.iter().map(|made| EPOCH + made).filter(|made| *made <= seen_until));
            count.unschedulable.clear();
            count.unschedulable.extend(seen.refused.iter().map(|since| EPOCH + since));
            count.terminating = seen.terminating;
        }
    }
}

/// What a server reports.
fn written(server: &ServerView<'_>) -> ServerSample {
    let sizes = (1_u64..).zip(server.batches).filter(|(_, (count, _))| *count > 0);
    let batches = sizes.map(|(size, (count, seconds))| BatchSample { size, count: *count, seconds: *seconds });
    ServerSample { started_at: EPOCH + server.started_at, queue_depth: server.depth, batches: batches.collect() }
}

/// What gateway `index` reports: its share of everything, each counter monotonic.
fn report(sample: &mut ServiceSample, now: f64, index: usize, ledger: &Ledger) {
    let share = |whole: f64| (whole as u64 + (GATEWAYS - 1 - index) as u64) / GATEWAYS as u64;
    sample.arrivals = share(ledger.arrivals);
    sample.in_flight = share(ledger.in_flight);
    sample.held = share(ledger.held);
    sample.idle_seconds = ledger.last_arrival.map(|at| now - at);
    for (bucket, count) in sample.latency.iter_mut().zip(&ledger.latency) {
        *bucket = share(*count);
    }
}
