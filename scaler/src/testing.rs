//! Fleets for tests.

use crate::{
    Bounds, Capacity, Count, Decision, Fleet, Objective, Outcome, Pool, PoolPlan, Profile, Revision, Revisions,
    Service, ServiceId, ServicePlan, Signals, Slot, Tenant, decide,
};
use litemap::LiteMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The time of a test.
pub const NOW: f64 = 10_000.0;
/// The on-premises pool: four accelerators, first tier.
pub const ONPREM: &str = "l40s-onprem";
/// The cloud pool: eight accelerators, second tier.
pub const CLOUD: &str = "h100-cloud";

/// A slot of `revision`.
pub fn slot(revision: &str, pool: &str) -> Slot {
    Slot::new(&revision.into(), &pool.into())
}

/// A pool of the plan.
pub fn pool(name: &str, accelerator: &str, tier: u32, hourly_cost: f64) -> PoolPlan {
    let location = if tier == 0 { "on premises" } else { "cloud" };
    PoolPlan {
        name: name.into(),
        accelerator: accelerator.into(),
        location: location.into(),
        tier,
        accelerators: 1,
        hourly_cost,
        relative_speed: 1.0,
        provisioning_delay: 0.0,
    }
}

/// A proven service at one ready replica on premises, that sustains about 20 requests a second each.
pub fn service(name: &str) -> Service {
    let revisions = Revisions { newest: "r1".into(), serving: Some("r1".into()), proven: true };
    let profile = Profile::measured(0.02, 0.02);
    Service {
        id: ServiceId::new("team-a", name),
        plan: ServicePlan {
            tenant: "team-a".into(),
            revisions,
            objective: Some(Objective { percentile: 99.0, target: 0.4 }),
            bounds: Bounds { min: 0, max: 10, min_warm: 0, idle_after: 60.0, pause: false },
            max_hourly_cost: None,
            max_batch: 1,
            strategy: crate::Strategy::Cheapest,
            pools: vec![pool(ONPREM, "L40S", 0, 0.90), pool(CLOUD, "H100", 1, 2.10)].into(),
            lane: 1,
        },
        replicas: LiteMap::from_iter([(slot("r1", ONPREM), ready(1)), (slot("r1", CLOUD), ready(0))]),
        signals: Some(load(0.0)),
        profiles: LiteMap::from_iter([(ONPREM.into(), profile), (CLOUD.into(), profile)]),
        reach: None,
        memory: crate::Memory::default(),
    }
}

/// The pools of its plan, to be changed.
pub fn pools(service: &mut Service) -> &mut [PoolPlan] {
    Arc::make_mut(&mut service.plan.pools)
}

/// So many ready replicas, as asked.
pub fn ready(replicas: u32) -> Count {
    Count { desired: replicas, ready: replicas, ..Count::default() }
}

/// Steady traffic.
pub fn load(rate: f64) -> Signals {
    Signals {
        complete: true,
        arrivals_short: rate,
        arrivals_long: rate,
        arrivals_peak: rate,
        queued: Some(0),
        ..Signals::default()
    }
}

/// A fleet of these services.
pub fn fleet(services: Vec<Service>) -> Fleet {
    let pool = |capacity, accelerator: &str, hourly_cost| Pool {
        capacity: Capacity::Accelerators(capacity),
        others: 0,
        accelerator: accelerator.into(),
        hourly_cost,
    };
    Fleet {
        services,
        pools: BTreeMap::from([(ONPREM.into(), pool(4, "L40S", 0.90)), (CLOUD.into(), pool(8, "H100", 2.10))]),
        tenants: BTreeMap::from([("team-a".into(), Tenant::default())]),
    }
}

/// Requests per second that one replica of [`service`] sustains.
pub fn sustained(service: &Service) -> f64 {
    service.sustained(service.profiles[&ONPREM.into()]).one()
}

/// Requests per second that so many replicas of [`service`] sustain together.
pub fn sustained_by(service: &Service, replicas: u32) -> f64 {
    let sustained = service.sustained(service.profiles[&ONPREM.into()]);
    f64::from(replicas) * sustained.each(f64::from(replicas))
}

/// Requests per second for which [`service`] needs so many replicas, and no more.
pub fn needing(service: &Service, replicas: u32) -> f64 {
    (sustained_by(service, replicas - 1) + sustained_by(service, replicas)) / 2.0
}

/// The decision on a service alone in the fleet.
pub fn decided(service: &Service) -> Decision {
    decide(NOW, &fleet(vec![service.clone()])).remove(0)
}

/// Replicas after `decision` in each slot of `service`.
pub fn after(service: &Service, decision: &Decision) -> LiteMap<Slot, u32> {
    match &decision.outcome {
        Outcome::To { replicas, .. } => replicas.clone(),
        Outcome::Hold { .. } => service.replicas.iter().map(|(slot, count)| (slot.clone(), count.desired)).collect(),
    }
}

/// Replicas of revision r1 on premises and in the cloud after a decision on `service` alone.
pub fn outcome(service: &Service) -> (u32, u32) {
    let replicas = after(service, &decided(service));
    let of = |pool| replicas.get(&slot("r1", pool)).copied().unwrap_or(0);
    (of(ONPREM), of(CLOUD))
}

/// Gives `service` a revision r2 with slots, and that many replicas of it.
pub fn with_new_revision(service: &mut Service, replicas: u32) {
    service.plan.revisions.newest = Revision::from("r2");
    service.plan.revisions.proven = false;
    service.replicas.insert(slot("r2", ONPREM), ready(replicas));
    service.replicas.insert(slot("r2", CLOUD), ready(0));
}
