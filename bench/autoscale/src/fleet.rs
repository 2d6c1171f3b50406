//! What one pass over 10,000 services on 500 nodes takes, and what the scaler holds in memory, after a full day.

use crate::random::Random;
use anyhow::{Context, Result};
use millrace_crds::report::LATENCY_BOUNDS;
use millrace_scaler::{
    BatchSample, Bounds, Capacity, Fleet, GatewaySample, Objective, Outcome, Pool, PoolPlan, Replica, Reporter,
    Revisions, ServerSample, Service, ServiceId, ServicePlan, ServiceSample, Slot, State, Strategy, Tenant, decide,
};
use nix::time::ClockId;
use serde::Serialize;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

const GATEWAYS: usize = 4;
const TENANTS: usize = 50;
const NODES: usize = 500;
/// Accelerators of a node.
const EACH: usize = 8;
const POOLS: usize = 4;
/// Of so many services one is busy all the time and one is now and then; the others are called every other minute.
const BUSY: usize = 10;
/// Replicas of a busy service.
const REPLICAS: usize = 3;
/// The clock when it begins, and the length of the past that is heard first: a day, by the minute.
const BEGIN: f64 = 1_780_000_000.0;
const PAST: u32 = 86_400;
const COARSE: u32 = 60;
/// Within a quarter of an hour each service rehearses once.
const PERIOD: u32 = 900;
/// Turns in which all rehearse, as in the operator.
const REHEARSALS: usize = 240;

/// Milliseconds of a step in each pass, on the processor.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    /// Mean.
    pub mean: f64,
    /// The slowest.
    pub worst: f64,
    #[serde(skip)]
    each: Vec<f64>,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Services, nodes, servers that report, and gateways that do.
    pub services: usize,
    /// Nodes of eight accelerators.
    pub nodes: usize,
    /// Servers that report every other second.
    pub servers: usize,
    /// Gateways that report every second, each on all services.
    pub gateways: usize,
    /// To take in all reports, and to forget who is gone.
    pub hear: Step,
    /// To draw up signals, profiles and forecasts.
    pub inform: Step,
    /// To decide.
    pub decide: Step,
    /// To remember what was decided, and to find whose past is to be replayed.
    pub record: Step,
    /// All of it.
    pub pass: Step,
    /// Milliseconds in which one service replays its whole past, mean.
    pub rehearse_all_ms: f64,
    /// Milliseconds in which one service replays what is new in a quarter of an hour, mean.
    pub rehearse_ms: f64,
    /// Part of a core that this takes for all services, each once in a quarter of an hour.
    pub rehearse_cores: f64,
    /// Resident MiB of state and fleet, the most that was seen.
    pub memory_mib: f64,
    /// Of it the fleet as drawn up for a pass.
    pub fleet_mib: f64,
}

/// Hears a day of reports by the minute and `seconds` by the second of `services` services; decides in each second.
///
/// # Errors
/// If the kernel doesn't tell the memory.
pub fn measure(services: usize, seconds: u32) -> Result<Figures> {
    let ids: Vec<ServiceId> = (0..services).map(id).collect();
    let mut world = World::new(&ids);
    let before = resident()?;
    let mut fleet = fleet(ids);
    let fleet_mib = resident()? - before;
    let mut state = State::new(&LATENCY_BOUNDS);
    let mut figures =
        Figures { services, nodes: NODES, servers: world.servers.len(), gateways: GATEWAYS, ..Figures::default() };
    let mut most: f64 = 0.0;
    hear_past(&mut world, &mut state, &mut fleet, 0..PAST);
    figures.rehearse_all_ms = rehearse(&mut state, PAST, services)?;
    hear_past(&mut world, &mut state, &mut fleet, PAST..PAST + PERIOD);
    let (mut rehearsing, mut rehearsed) = (0.0, 0);
    for second in PAST + PERIOD..PAST + PERIOD + seconds {
        world.surge = if second == PAST + PERIOD + seconds / 2 { 4 } else { 1 };
        world.pass(second, 1);
        let now = BEGIN + f64::from(second);
        let began = processor()?;
        let mut last = began;
        let mut step = || -> Result<f64> {
            let now = processor()?;
            Ok(now - std::mem::replace(&mut last, now))
        };
        world.report(&mut state, second, false);
        figures.hear.each.push(step()?);
        world.inform(&mut state, &mut fleet, second);
        figures.inform.each.push(step()?);
        let decisions = decide(now, &fleet);
        figures.decide.each.push(step()?);
        for (service, decision) in fleet.services.iter().zip(&decisions) {
            state.memory(&service.id).record(now, &service.replicas, decision);
        }
        let due = state.due(now, services.div_ceil(REHEARSALS));
        figures.record.each.push(step()?);
        figures.pass.each.push(processor()? - began);
        most = most.max(resident()? - before);
        obey(&mut fleet, &decisions);
        drop(decisions);
        let began = processor()?;
        rehearsed += due.len();
        due.into_iter().map(millrace_scaler::Rehearsal::run).for_each(|one| state.learn(one));
        rehearsing += processor()? - began;
    }
    for step in [&mut figures.hear, &mut figures.inform, &mut figures.decide, &mut figures.record, &mut figures.pass] {
        step.mean = step.each.iter().sum::<f64>() / step.each.len().max(1) as f64;
        step.worst = step.each.iter().copied().fold(0.0, f64::max);
    }
    figures.rehearse_ms = rehearsing / rehearsed.max(1) as f64;
    figures.rehearse_cores = figures.rehearse_ms / 1e3 * services as f64 / f64::from(PERIOD);
    (figures.memory_mib, figures.fleet_mib) = (most, fleet_mib);
    Ok(figures)
}

/// Hears by the minute. Servers are heard for the last hour: of older runs a profile keeps none.
fn hear_past(world: &mut World, state: &mut State, fleet: &mut Fleet, seconds: Range<u32>) {
    let end = seconds.end;
    for second in seconds.step_by(COARSE as usize) {
        world.pass(second, COARSE);
        world.report(state, second, end - second <= 3_600);
        if end - second <= 600 {
            world.inform(state, fleet, second);
        }
    }
}

/// Lets all services replay their past, a few at a time; mean milliseconds.
fn rehearse(state: &mut State, second: u32, services: usize) -> Result<f64> {
    let mut passed = 0.0;
    for _ in 0..REHEARSALS {
        let due = state.due(BEGIN + f64::from(second), services.div_ceil(REHEARSALS));
        let began = processor()?;
        due.into_iter().map(millrace_scaler::Rehearsal::run).for_each(|one| state.learn(one));
        passed += processor()? - began;
    }
    Ok(passed / services as f64)
}

fn obey(fleet: &mut Fleet, decisions: &[millrace_scaler::Decision]) {
    for (service, decision) in fleet.services.iter_mut().zip(decisions) {
        let Outcome::To { replicas, .. } = &decision.outcome else { continue };
        for (slot, count) in &mut service.replicas {
            count.desired = replicas.get(slot).copied().unwrap_or(count.desired);
            count.ready = count.desired;
        }
    }
}

/// Gateways and servers, as they report.
struct World {
    gateways: Vec<Reporter>,
    expected: BTreeSet<Reporter>,
    samples: Vec<GatewaySample>,
    replicas: Vec<(Replica, ServerSample)>,
    /// Ready servers by service, and all of them.
    ready: Vec<BTreeSet<Reporter>>,
    servers: BTreeSet<Reporter>,
    services: BTreeSet<ServiceId>,
    /// Factor on the load.
    surge: u64,
    random: Random,
}

impl World {
    fn new(ids: &[ServiceId]) -> Self {
        let service = |id: &ServiceId| ServiceSample {
            service: id.clone(),
            latency: vec![0; LATENCY_BOUNDS.len() + 1],
            ..ServiceSample::default()
        };
        let sample =
            GatewaySample { started_at: BEGIN - 3_600.0, generation: 1, services: ids.iter().map(service).collect() };
        let gateways: Vec<Reporter> =
            (0..GATEWAYS).map(|index| format!("9d0b1c1e-6a53-4c62-8a5f-{index:012}").into()).collect();
        let count = |index: usize| if index.is_multiple_of(BUSY) { REPLICAS } else { 0 };
        let replica = |(index, number): (usize, usize)| Replica {
            pod: format!("1f2e3d4c-{index:04}-4c62-8a5f-{number:012}").into(),
            service: ids[index].clone(),
            revision: "r1".into(),
            accelerator: "L40S".into(),
        };
        // Every service has run within the day, most of them in small batches.
        let all = (0..ids.len()).flat_map(|index| (0..count(index).max(1)).map(move |number| (index, number)));
        let all: Vec<(Replica, ServerSample)> = all.map(|one| (replica(one), server())).collect();
        let mut ready = vec![BTreeSet::new(); ids.len()];
        for (index, ready) in ready.iter_mut().enumerate() {
            let own = (0..count(index)).map(|number| replica((index, number)).pod);
            ready.extend(own);
        }
        Self {
            expected: gateways.iter().cloned().collect(),
            gateways,
            samples: vec![sample; GATEWAYS],
            servers: ready.iter().flatten().cloned().collect(),
            replicas: all,
            ready,
            services: ids.iter().cloned().collect(),
            surge: 1,
            random: Random::new(1, 0xf1ee),
        }
    }

    /// Lets `seconds` pass: counters rise, with the hour of the day.
    fn pass(&mut self, second: u32, seconds: u32) {
        for sample in &mut self.samples {
            for (index, service) in sample.services.iter_mut().enumerate() {
                let hour = std::f64::consts::TAU * (f64::from(second) / 86_400.0 + index as f64 / 97.0);
                let busy = index.is_multiple_of(BUSY);
                let rate = if busy { 100.0 * (1.0 + 0.5 * hour.sin()) } else { 1.0 / 97.0 };
                let calls = self.surge * u64::from(self.random.poisson(rate * f64::from(seconds)));
                service.arrivals += calls;
                service.latency[4] += calls * 9 / 10;
                service.latency[6] += calls - calls * 9 / 10;
                service.in_flight = (rate / 50.0) as u64;
                service.idle_seconds =
                    Some(if calls > 0 { 0.5 } else { service.idle_seconds.unwrap_or(0.0) + f64::from(seconds) });
            }
        }
        for (replica, server) in &mut self.replicas {
            // Those of busy services are ready, and run in batches of all sizes.
            let sizes = if self.servers.contains(&replica.pod) { server.batches.len() } else { 3 };
            for batch in &mut server.batches[..sizes] {
                batch.count += 3;
                batch.seconds += 3.0 * (0.008 + 0.002 * batch.size as f64) * (1.0 + 0.05 * self.random.normal());
            }
        }
    }

    /// All gateways report, and the half of the servers whose turn it is; those of the past report for the day.
    fn report(&self, state: &mut State, second: u32, past: bool) {
        let (now, minute) = (BEGIN + f64::from(second), (second / COARSE % 60) as usize);
        for (gateway, sample) in self.gateways.iter().zip(&self.samples) {
            state.hear_gateway(now, gateway, sample);
        }
        for (index, (replica, sample)) in self.replicas.iter().enumerate() {
            let ready = self.servers.contains(&replica.pod);
            // Of the past, each idle service has had its replica for a minute.
            let turn = if ready { past || index % 2 == second as usize % 2 } else { past && index % 60 == minute };
            if turn {
                state.hear_server(now, replica, sample);
            }
        }
        state.retain(&self.expected, &self.servers, &self.services);
    }

    fn inform(&self, state: &mut State, fleet: &mut Fleet, second: u32) {
        for (service, ready) in fleet.services.iter_mut().zip(&self.ready) {
            state.inform(BEGIN + f64::from(second), service, &self.expected, ready);
        }
    }
}

fn server() -> ServerSample {
    let batches = (1..=16).map(|size| BatchSample { size, ..BatchSample::default() });
    ServerSample { started_at: BEGIN - 1_800.0, queue_depth: 0, batches: batches.collect() }
}

fn id(index: usize) -> ServiceId {
    ServiceId::new(&format!("team-{}", index % TENANTS), &format!("service-{index}"))
}

fn fleet(ids: Vec<ServiceId>) -> Fleet {
    let pool = |index: usize| PoolPlan {
        name: format!("pool-{index}").into(),
        accelerator: if index.is_multiple_of(2) { "L40S" } else { "H100" }.into(),
        location: if index < 2 { "on premises" } else { "cloud" }.to_owned(),
        tier: u32::from(index >= 2),
        accelerators: 1,
        hourly_cost: 0.9 + index as f64,
        relative_speed: 1.0 + (index % 2) as f64,
        provisioning_delay: 0.0,
    };
    let pools: Arc<[PoolPlan]> = (0..POOLS).map(pool).collect();
    let service = |(index, id): (usize, ServiceId)| {
        let plan = ServicePlan {
            tenant: format!("tenant-{}", index % TENANTS).into(),
            revisions: Revisions { newest: "r1".into(), serving: Some("r1".into()), proven: true },
            objective: Some(Objective { percentile: 99.0, target: 0.1 }),
            bounds: Bounds { min: 0, max: 10, ..Bounds::default() },
            max_hourly_cost: None,
            max_batch: 16,
            strategy: Strategy::Cheapest,
            pools: pools.clone(),
            lane: 1,
        };
        let ready = |place: usize| if place == 0 && index.is_multiple_of(BUSY) { REPLICAS as u32 } else { 0 };
        let slot = |(place, pool): (usize, &PoolPlan)| {
            let count = millrace_scaler::Count { desired: ready(place), ready: ready(place), ..Default::default() };
            (Slot::new(&"r1".into(), &pool.name), count)
        };
        let replicas = pools.iter().enumerate().map(slot).collect();
        Service { id, plan, replicas, ..Service::default() }
    };
    let known = |plan: &PoolPlan| Pool {
        capacity: Capacity::Accelerators((NODES * EACH / POOLS) as u64),
        others: 0,
        accelerator: plan.accelerator.clone(),
        hourly_cost: plan.hourly_cost,
    };
    Fleet {
        services: ids.into_iter().enumerate().map(service).collect(),
        pools: pools.iter().map(|plan| (plan.name.clone(), known(plan))).collect(),
        tenants: (0..TENANTS).map(|index| (format!("tenant-{index}").into(), Tenant::default())).collect(),
    }
}

/// Milliseconds that this thread has had on a processor: what else the machine does counts for nothing.
fn processor() -> Result<f64> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from)?.as_secs_f64() * 1e3)
}

/// Resident memory of this process in MiB.
fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel tells the memory")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}
