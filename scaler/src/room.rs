//! What is left of pools, quotas and budgets in this pass: every raise is paid from here before it is decided.

use crate::{Accelerator, Capacity, Fleet, PoolName, PoolPlan, Service, ServiceId, TenantName};
use std::collections::BTreeMap;

/// Why a pool gets no further replica.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Accelerators are all used.
    Full {
        /// Free ones.
        free: u64,
        /// All.
        total: u64,
    },
    /// The number of accelerators isn't known.
    UnknownCapacity,
    /// The Deployment for it isn't there yet.
    NotPrepared,
    /// It refused a replica not long ago.
    Refused {
        /// Seconds since.
        ago: f64,
    },
    /// The tenant's quota of that product.
    Quota {
        /// Used.
        used: u64,
        /// Allowed.
        allowed: u64,
    },
    /// The tenant's hourly cost.
    TenantCost(f64),
    /// The service's hourly cost.
    ServiceCost(f64),
    /// The tenant isn't known, so neither is its quota.
    UnknownTenant,
}

/// What is left.
#[derive(Debug)]
pub struct Room<'a> {
    fleet: &'a Fleet,
    pools: BTreeMap<&'a PoolName, u64>,
    accelerators: BTreeMap<(&'a TenantName, &'a Accelerator), u64>,
    tenant_cost: BTreeMap<&'a TenantName, f64>,
    service_cost: BTreeMap<&'a ServiceId, f64>,
}

/// What one replica uses.
#[derive(Clone, Copy)]
struct Use<'a> {
    pool: &'a PoolName,
    accelerator: &'a Accelerator,
    each: u32,
    cost: f64,
}

impl<'a> Room<'a> {
    /// What the fleet uses, asked for and terminating replicas included.
    pub fn of(fleet: &'a Fleet) -> Self {
        let mut room = Self {
            fleet,
            pools: fleet.pools.iter().map(|(name, pool)| (name, pool.others)).collect(),
            accelerators: BTreeMap::new(),
            tenant_cost: fleet.tenants.iter().map(|(name, tenant)| (name, tenant.other_cost)).collect(),
            service_cost: BTreeMap::new(),
        };
        for (name, tenant) in &fleet.tenants {
            for (accelerator, used) in &tenant.other_accelerators {
                room.accelerators.insert((name, accelerator), *used);
            }
        }
        for service in &fleet.services {
            for (slot, count) in &service.replicas {
                match (service.plan.pool(&slot.pool), fleet.pools.get(&slot.pool)) {
                    (Some(pool), _) => room.take(service, pool, count.held()),
                    // What runs on a pool that the plan no longer has is on its way out, and still counts.
                    (None, Some(pool)) => {
                        let each = service.plan.pools.iter().map(|pool| pool.accelerators).max().unwrap_or(1).max(1);
                        let cost = pool.hourly_cost * f64::from(each);
                        let used = Use { pool: &slot.pool, accelerator: &pool.accelerator, each, cost };
                        room.charge(service, used, count.held());
                    }
                    (None, None) => {}
                }
            }
        }
        room
    }

    /// Takes room for `replicas` on `pool`.
    pub fn take(&mut self, service: &'a Service, pool: &'a PoolPlan, replicas: u64) {
        let (each, cost) = (pool.accelerators.max(1), pool.replica_cost());
        self.charge(service, Use { pool: &pool.name, accelerator: &pool.accelerator, each, cost }, replicas);
    }

    /// Takes quota and costs for one replica whose accelerators the pool has set aside already.
    pub fn take_budget(&mut self, service: &'a Service, pool: &'a PoolPlan) {
        let before = self.pools.get(&pool.name).copied();
        self.take(service, pool, 1);
        self.pools.insert(&pool.name, before.unwrap_or_default());
    }

    fn charge(&mut self, service: &'a Service, used: Use<'a>, replicas: u64) {
        if replicas == 0 {
            return;
        }
        let accelerators = replicas.saturating_mul(u64::from(used.each));
        let add = |sum: &mut u64| *sum = sum.saturating_add(accelerators);
        add(self.pools.entry(used.pool).or_default());
        add(self.accelerators.entry((&service.plan.tenant, used.accelerator)).or_default());
        *self.tenant_cost.entry(&service.plan.tenant).or_default() += replicas as f64 * used.cost;
        *self.service_cost.entry(&service.id).or_default() += replicas as f64 * used.cost;
    }

    /// Whether one more replica of `service` on `pool` breaks no bound. A figure that is no number breaks all.
    pub fn check(&self, service: &Service, pool: &PoolPlan) -> Result<(), Block> {
        self.check_pool(pool)?;
        self.check_budget(service, pool)
    }

    /// The same for a replica whose accelerators the pool has set aside already: only quota and costs are looked at.
    pub fn check_budget(&self, service: &Service, pool: &PoolPlan) -> Result<(), Block> {
        let Some(tenant) = self.fleet.tenants.get(&service.plan.tenant) else { return Err(Block::UnknownTenant) };
        let accelerators = u64::from(pool.accelerators.max(1));
        if let Some(allowed) = tenant.accelerators.get(&pool.accelerator) {
            let used = *self.accelerators.get(&(&service.plan.tenant, &pool.accelerator)).unwrap_or(&0);
            if used.saturating_add(accelerators) > *allowed {
                return Err(Block::Quota { used, allowed: *allowed });
            }
        }
        let cost = pool.replica_cost();
        let within = |spent: Option<&f64>, cap: f64| cost >= 0.0 && spent.copied().unwrap_or(0.0) + cost <= cap + 1e-9;
        if let Some(cap) =
            tenant.max_hourly_cost.filter(|cap| !within(self.tenant_cost.get(&service.plan.tenant), *cap))
        {
            return Err(Block::TenantCost(cap));
        }
        let bound = service.plan.max_hourly_cost;
        if let Some(cap) = bound.filter(|cap| !within(self.service_cost.get(&service.id), *cap)) {
            return Err(Block::ServiceCost(cap));
        }
        Ok(())
    }

    fn check_pool(&self, pool: &PoolPlan) -> Result<(), Block> {
        self.fits(&pool.name, u64::from(pool.accelerators.max(1)))
    }

    /// Whether a pool has so many accelerators left.
    fn fits(&self, pool: &PoolName, accelerators: u64) -> Result<(), Block> {
        let total = match self.fleet.pools.get(pool).map(|known| known.capacity).unwrap_or_default() {
            Capacity::Unknown => return Err(Block::UnknownCapacity),
            Capacity::Uncounted => return Ok(()),
            Capacity::Accelerators(total) => total,
        };
        let used = *self.pools.get(pool).unwrap_or(&0);
        if used.saturating_add(accelerators) > total {
            return Err(Block::Full { free: total.saturating_sub(used), total });
        }
        Ok(())
    }

    /// Sets one accelerator of a pool aside, if there is one left. Whether there was.
    pub fn set_aside(&mut self, pool: &'a PoolName) -> bool {
        let fits = self.fits(pool, 1).is_ok();
        if fits {
            *self.pools.entry(pool).or_default() += 1;
        }
        fits
    }
}
