//! What one pass over 10,000 services on 500 nodes takes, and what the scaler's state holds in memory.

use anyhow::{Context, Result};
use millrace_crds::report::LATENCY_BOUNDS;
use millrace_scaler::{
    Bounds, Capacity, Count, Fleet, GatewaySample, Objective, Pool, PoolPlan, Reporter, Revisions, Service, ServiceId,
    ServicePlan, ServiceSample, Slot, State, Strategy, Tenant, decide,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

const GATEWAYS: usize = 4;
const TENANTS: usize = 50;
/// 500 nodes of eight accelerators, in four pools.
const POOLS: usize = 4;
const ACCELERATORS: u64 = 4_000;
/// The clock when it begins.
const BEGIN: f64 = 1_780_000_000.0;

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Services.
    pub services: usize,
    /// Milliseconds of `decide`, median of the passes.
    pub decide_ms: f64,
    /// The slowest pass.
    pub decide_worst_ms: f64,
    /// Milliseconds to draw up signals and profiles of all.
    pub inform_ms: f64,
    /// Milliseconds to take in the reports of all gateways.
    pub hear_ms: f64,
    /// Resident MiB that the state takes.
    pub state_mib: f64,
    /// Milliseconds in which one service replays what is new in its history, mean.
    pub rehearse_ms: f64,
    /// Part of a core that this takes for all services, each once in a quarter of an hour.
    pub rehearse_cores: f64,
    /// Resident MiB of the fleet as drawn up for one pass.
    pub fleet_mib: f64,
}

/// Seconds between the reports of the past that is heard first, so that histories are filled, and its length.
const COARSE: u32 = 60;
const PAST: u32 = 7_200;
/// A quarter of an hour: each service rehearses once in it.
const PERIOD: f64 = 900.0;

/// Hears two hours of reports by the minute and `seconds` by the second of `services` services; decides in each second.
///
/// # Errors
/// If the kernel doesn't tell the memory.
pub fn measure(services: usize, seconds: u32) -> Result<Figures> {
    let before = resident()?;
    let mut fleet = fleet(services);
    let fleet_mib = resident()? - before;
    let mut samples = samples(&fleet);
    let gateways: Vec<Reporter> = (0..GATEWAYS).map(|index| Reporter(format!("gateway-{index}"))).collect();
    let expected: BTreeSet<Reporter> = gateways.iter().cloned().collect();
    let (before, none) = (resident()?, BTreeSet::new());
    let mut state = State::new(&LATENCY_BOUNDS);
    let (mut hear, mut inform, mut decided) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rehearsed, mut rehearsing) = (0_usize, 0.0);
    let past = (0..PAST).step_by(COARSE as usize);
    for second in past.chain(PAST..PAST + seconds) {
        let (now, coarse) = (BEGIN + f64::from(second), second < PAST);
        let began = Instant::now();
        for (gateway, sample) in gateways.iter().zip(&mut samples) {
            call(sample, second, if coarse { u64::from(COARSE) } else { 1 });
            state.hear_gateway(now, gateway, sample);
        }
        hear.push(milliseconds(began));
        let began = Instant::now();
        fleet.services.iter_mut().for_each(|service| state.inform(now, service, &expected, &none));
        inform.push(milliseconds(began));
        let due = state.due(now, services.div_ceil(if coarse { 4 } else { 240 }));
        let began = Instant::now();
        rehearsed += due.len();
        let learned: Vec<_> = due.into_iter().map(millrace_scaler::Rehearsal::run).collect();
        rehearsing += milliseconds(began);
        learned.into_iter().for_each(|one| state.learn(one));
        if !coarse {
            let began = Instant::now();
            let decisions = decide(now, &fleet);
            decided.push(milliseconds(began));
            drop(decisions);
        }
    }
    let state_mib = resident()? - before;
    let decide_worst_ms = decided.iter().copied().fold(0.0, f64::max);
    let rehearse_ms = rehearsing / rehearsed.max(1) as f64;
    Ok(Figures {
        services,
        decide_ms: median(&mut decided),
        decide_worst_ms,
        inform_ms: median(&mut inform),
        hear_ms: median(&mut hear),
        state_mib,
        rehearse_ms,
        rehearse_cores: rehearse_ms / 1e3 * services as f64 / PERIOD,
        fleet_mib,
    })
}

/// One in ten services is busy, the others are called now and then.
fn call(sample: &mut GatewaySample, second: u32, seconds: u64) {
    for (index, service) in sample.services.iter_mut().enumerate() {
        let busy = index.is_multiple_of(10);
        let calls = if busy { 20 * seconds } else { u64::from((index as u32 + second).is_multiple_of(97)) };
        service.arrivals += calls;
        service.latency[4] += calls;
        service.in_flight = u64::from(busy) * 2;
        service.idle_seconds = Some(if calls > 0 { 0.5 } else { 30.0 });
    }
}

fn fleet(services: usize) -> Fleet {
    let pools: Vec<PoolPlan> = (0..POOLS)
        .map(|index| PoolPlan {
            name: format!("pool-{index}").as_str().into(),
            accelerator: if index % 2 == 0 { "L40S" } else { "H100" }.into(),
            location: if index < 2 { "on premises" } else { "cloud" }.to_owned(),
            tier: u32::from(index >= 2),
            accelerators: 1,
            hourly_cost: 0.9 + index as f64,
            relative_speed: 1.0 + (index % 2) as f64,
            provisioning_delay: 0.0,
        })
        .collect();
    let service = |index: usize| {
        let plan = ServicePlan {
            tenant: format!("tenant-{}", index % TENANTS).as_str().into(),
            revisions: Revisions { newest: "r1".into(), serving: Some("r1".into()), proven: true },
            objective: Some(Objective { percentile: 99.0, target: 0.1 }),
            bounds: Bounds { min: 0, max: 10, ..Bounds::default() },
            max_hourly_cost: None,
            max_batch: 16,
            strategy: Strategy::Cheapest,
            pools: pools.clone(),
        };
        let ready = |pool: usize| if pool == 0 && index.is_multiple_of(10) { 2 } else { 0 };
        let slot = |(place, pool): (usize, &PoolPlan)| {
            let count = Count { desired: ready(place), ready: ready(place), ..Count::default() };
            (Slot::new(&"r1".into(), &pool.name), count)
        };
        let replicas = pools.iter().enumerate().map(slot).collect();
        let id = ServiceId::new(&format!("team-{}", index % TENANTS), &format!("service-{index}"));
        Service { id, plan, replicas, ..Service::default() }
    };
    let pool = |plan: &PoolPlan| Pool {
        capacity: Capacity::Accelerators(ACCELERATORS / POOLS as u64),
        others: 0,
        accelerator: plan.accelerator.clone(),
        hourly_cost: plan.hourly_cost,
    };
    Fleet {
        services: (0..services).map(service).collect(),
        pools: pools.iter().map(|plan| (plan.name.clone(), pool(plan))).collect(),
        tenants: (0..TENANTS)
            .map(|i| (format!("tenant-{i}").as_str().into(), Tenant::default()))
            .collect::<BTreeMap<_, _>>(),
    }
}

fn samples(fleet: &Fleet) -> Vec<GatewaySample> {
    let service = |service: &Service| ServiceSample {
        service: service.id.clone(),
        latency: vec![0; LATENCY_BOUNDS.len() + 1],
        ..ServiceSample::default()
    };
    let sample = GatewaySample {
        started_at: BEGIN - 3_600.0,
        generation: 1,
        services: fleet.services.iter().map(service).collect(),
    };
    vec![sample; GATEWAYS]
}

fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Resident memory of this process in MiB.
fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel tells the memory")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}
