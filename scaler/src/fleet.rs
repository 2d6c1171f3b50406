//! The fleet at one moment: everything that a decision rests on.

use crate::{Accelerator, Memory, PoolName, Profile, ServiceId, ServicePlan, Signals, Slot, TenantName};
use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All services, pools and tenants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// Services with a valid plan.
    pub services: Vec<Service>,
    /// Pools.
    pub pools: BTreeMap<PoolName, Pool>,
    /// Tenants.
    pub tenants: BTreeMap<TenantName, Tenant>,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Which one.
    pub id: ServiceId,
    /// What it may have.
    pub plan: ServicePlan,
    /// What it has. A slot of an allowed pool that is missing here can't be written yet.
    #[serde(with = "crate::figure::pairs")]
    pub replicas: LiteMap<Slot, Count>,
    /// What is known of its traffic; `None`: nothing.
    pub signals: Option<Signals>,
    /// Service times of the serving revision by pool; a pool without one gets a prior.
    pub profiles: LiteMap<PoolName, Profile>,
    /// How many times what the profiles say replicas have turned out to sustain; `None`: nobody knows.
    #[serde(with = "crate::figure::option", default)]
    pub reach: Option<f64>,
    /// What earlier decisions left.
    pub memory: Memory,
}

/// Replicas of one slot. Times are in seconds, on the clock of `now`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// Asked for.
    pub desired: u32,
    /// Ready and not terminating.
    pub ready: u32,
    /// When each pod that isn't ready and was not refused by the scheduler was made.
    #[serde(with = "crate::figure::list")]
    pub starting: Vec<f64>,
    /// Since when each pod that the scheduler refuses has been refused.
    #[serde(with = "crate::figure::list")]
    pub unschedulable: Vec<f64>,
    /// Pods on their way out: they still hold their accelerators.
    pub terminating: u32,
    /// Standby servers that stand in for replicas that aren't ready, those on their way out included: each holds an
    /// accelerator beside theirs.
    #[serde(default)]
    pub standbys: u32,
    /// Of those, the ones that answer requests.
    #[serde(default)]
    pub bridging: u32,
}

impl Count {
    /// Pods that aren't ready, refused ones included.
    pub(crate) fn awaited(&self) -> usize {
        self.starting.len() + self.unschedulable.len()
    }

    /// Replicas that hold accelerators, or will as soon as the cluster catches up with what is asked.
    #[must_use]
    pub fn held(&self) -> u64 {
        let live = u64::from(self.ready) + self.awaited() as u64;
        live.max(u64::from(self.desired)) + u64::from(self.terminating) + u64::from(self.standbys)
    }
}

/// A pool's accelerators.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// How many there are, or may be grown to.
    pub capacity: Capacity,
    /// Accelerators held by pods that are none of the fleet's services.
    pub others: u64,
    /// Its product.
    pub accelerator: Accelerator,
    /// Price of one accelerator for an hour.
    #[serde(with = "crate::figure")]
    pub hourly_cost: f64,
}

/// A number of accelerators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Capacity {
    /// Not known: nothing is added.
    #[default]
    Unknown,
    /// So many.
    Accelerators(u64),
    /// Not counted: the scheduler alone decides.
    Uncounted,
}

/// A tenant's bounds and what it uses outside the fleet's services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    /// Most accelerators by product; a product that isn't named has no bound.
    pub accelerators: BTreeMap<Accelerator, u64>,
    /// Most that all its services together may cost in an hour.
    #[serde(with = "crate::figure::option", default)]
    pub max_hourly_cost: Option<f64>,
    /// Accelerators that it holds beside the fleet's services.
    pub other_accelerators: BTreeMap<Accelerator, u64>,
    /// What those cost in an hour.
    #[serde(with = "crate::figure")]
    pub other_cost: f64,
}
