//! Draws up the fleet from what the stores hold; pure.

use super::{nodes, ownership, pods};
use crate::standby::Standby;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Node, core::v1::Pod};
use kube::ResourceExt;
use millrace_crds::{AcceleratorPool, Money, Tenant as TenantObject};
use millrace_scaler::{Accelerator, Fleet, Pool, PoolName, Service, ServiceId, ServicePlan, Slot, Tenant, TenantName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A snapshot of everything.
pub struct Seen {
    /// Plans.
    pub plans: BTreeMap<ServiceId, Arc<ServicePlan>>,
    /// Whose each namespace is, as plans have told.
    pub tenant_of: BTreeMap<String, TenantName>,
    /// Deployments.
    pub deployments: Vec<Deployed>,
    /// Server pods.
    pub pods: Vec<Arc<Pod>>,
    /// Standby servers.
    pub standbys: Vec<Standby>,
    /// Nodes.
    pub nodes: Vec<Arc<Node>>,
    /// Pools.
    pub pools: Vec<Arc<AcceleratorPool>>,
    /// Tenants.
    pub tenants: Vec<Arc<TenantObject>>,
}

/// A Deployment, as far as scaling goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// Its service.
    pub service: ServiceId,
    /// Its slot.
    pub slot: Slot,
    /// Its name.
    pub name: String,
    /// What it is asked for.
    pub desired: u32,
    /// Whether the scale manager owns that.
    pub owned: bool,
    /// When it last wrote it, in seconds since the epoch.
    pub written: Option<f64>,
    /// Its resourceVersion.
    pub version: u64,
}

impl Deployed {
    /// `deployment`, if it is ours and stays.
    pub fn of(deployment: &Deployment) -> Option<Self> {
        let (service, slot) = pods::slot(deployment)?;
        if deployment.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let replicas = deployment.spec.replicas.unwrap_or(1);
        Some(Self {
            service,
            slot,
            name: deployment.name_any(),
            desired: u32::try_from(replicas).unwrap_or(0),
            owned: ownership::owns_replicas(deployment),
            written: ownership::written(deployment),
            version: deployment.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0),
        })
    }
}

/// The fleet, still without signals, profiles and memories.
pub fn draw(seen: &Seen) -> Fleet {
    let mut services: BTreeMap<&ServiceId, Service> =
        seen.plans.iter().map(|(id, plan)| (id, service(id, plan))).collect();
    let mut fleet = Fleet {
        pools: seen.pools.iter().map(|pool| (PoolName::from(pool.name_any()), describe(pool, &seen.nodes))).collect(),
        tenants: seen.tenants.iter().map(|tenant| (TenantName::from(tenant.name_any()), limits(tenant))).collect(),
        services: Vec::new(),
    };
    for deployed in &seen.deployments {
        if let Some(service) = services.get_mut(&deployed.service) {
            service.replicas.entry(deployed.slot.clone()).or_default().desired = deployed.desired;
        }
    }
    for pod in &seen.pods {
        let stage = pods::stage(pod);
        let owner = pods::slot(pod.as_ref());
        // A pod whose Deployment is gone has no slot that could be written; it only counts as used.
        let planned = owner.as_ref().and_then(|(id, slot)| services.get_mut(id)?.replicas.get_mut(slot));
        match planned {
            Some(count) => pods::count(count, &stage),
            None if stage != pods::Stage::Gone => charge_other(seen, &mut fleet, pod, owner.as_ref()),
            None => {}
        }
    }
    for standby in seen.standbys.iter().filter(|standby| standby.holds()) {
        let planned = standby.loan().and_then(|(id, slot)| services.get_mut(id)?.replicas.get_mut(slot));
        match planned {
            Some(count) => {
                count.standbys += 1;
                count.bridging += u32::from(standby.serves());
            }
            None => charge(seen, &mut fleet, &standby.pool, 1, standby.loan().map(|(id, _)| id)),
        }
    }
    fleet.services = services.into_values().collect();
    fleet
}

fn service(id: &ServiceId, plan: &ServicePlan) -> Service {
    Service { id: id.clone(), plan: plan.clone(), ..Service::default() }
}

/// A pod of nobody in the fleet: it counts on its pool, and against its tenant if it is ours.
fn charge_other(seen: &Seen, fleet: &mut Fleet, pod: &Pod, owner: Option<&(ServiceId, Slot)>) {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
    let on = node.and_then(|name| seen.nodes.iter().find(|node| node.name_any() == *name));
    for pool in &seen.pools {
        let here = match owner {
            Some((_, slot)) => slot.pool.as_str() == pool.name_any(),
            None => on.is_some_and(|node| nodes::matches(&pool.spec, node)),
        };
        let resource = pool.spec.resource.name.as_ref();
        let used = resource.map_or(u64::from(owner.is_some()), |resource| nodes::requested(pod, resource.as_str()));
        if here && used > 0 {
            charge(seen, fleet, &PoolName::from(pool.name_any()), used, owner.map(|(id, _)| id));
        }
    }
}

/// Accelerators that no slot of the fleet holds: the pool's own, or those of a service's tenant as well.
fn charge(seen: &Seen, fleet: &mut Fleet, pool: &PoolName, used: u64, service: Option<&ServiceId>) {
    let Some(known) = fleet.pools.get_mut(pool) else { return };
    known.others = known.others.saturating_add(used);
    let tenant = service.and_then(|id| seen.tenant_of.get(id.namespace.as_ref()));
    if let Some(tenant) = tenant.and_then(|name| fleet.tenants.get_mut(name)) {
        *tenant.other_accelerators.entry(known.accelerator.clone()).or_default() += used;
        tenant.other_cost += used as f64 * known.hourly_cost;
    }
}

fn describe(pool: &AcceleratorPool, all: &[Arc<Node>]) -> Pool {
    Pool {
        capacity: nodes::capacity(&pool.spec, all.iter().map(Arc::as_ref)),
        others: 0,
        accelerator: Accelerator::from(pool.spec.accelerator.to_string()),
        hourly_cost: price(pool),
    }
}

fn price(pool: &AcceleratorPool) -> f64 {
    pool.spec.hourly_cost.amount.to_f64().unwrap_or(f64::NAN)
}

fn limits(tenant: &TenantObject) -> Tenant {
    let Some(quota) = &tenant.spec.quota else { return Tenant::default() };
    let accelerators =
        quota.accelerators.iter().map(|(kind, most)| (Accelerator::from(kind.clone()), u64::from(*most)));
    // A bound that can't be read is kept as one that nothing fits under.
    let cost = quota.max_hourly_cost.as_ref().map(|money: &Money| money.to_f64().unwrap_or(f64::NAN));
    Tenant { accelerators: accelerators.collect(), max_hourly_cost: cost, ..Tenant::default() }
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
