//! What a service may have: the outcome of the operator's planning, in which every hard limit has been applied.

use crate::{Accelerator, PoolName, Revision, TenantName};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One service: its revisions, bounds, and the pools that it may run on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServicePlan {
    /// Whose quota it draws on.
    pub tenant: TenantName,
    /// Which revisions there are.
    pub revisions: Revisions,
    /// What callers are promised; absent: p99 within ten times the time of a lone request.
    pub objective: Option<Objective>,
    /// Bounds and pace.
    pub bounds: Bounds,
    /// Most that all replicas together may cost in an hour.
    #[serde(with = "crate::figure::option", default)]
    pub max_hourly_cost: Option<f64>,
    /// Most rows in a batch.
    pub max_batch: u32,
    /// How pools of one tier are ordered.
    pub strategy: Strategy,
    /// The allowed pools, in the order of the spec where it states one; services that may use the same share the list.
    pub pools: Arc<[PoolPlan]>,
    /// Lane of its requests, 0 the most urgent: who gets a standby server that several want.
    #[serde(default)]
    pub lane: u8,
}

impl ServicePlan {
    /// The plan for `pool`, if the service may use it.
    #[must_use]
    pub fn pool(&self, pool: &PoolName) -> Option<&PoolPlan> {
        self.pools.iter().find(|candidate| candidate.name == *pool)
    }
}

/// Revisions of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Revisions {
    /// The one that the spec asks for.
    pub newest: Revision,
    /// The one that gets requests; absent: none has been ready yet.
    pub serving: Option<Revision>,
    /// Whether `newest` has once passed its probe.
    pub proven: bool,
}

impl Revisions {
    /// The one that load is for: before any serves, the newest.
    #[must_use]
    pub fn loaded(&self) -> &Revision {
        self.serving.as_ref().unwrap_or(&self.newest)
    }
}

/// So many percent of requests are answered within the target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Percent, such as 99.
    #[serde(with = "crate::figure")]
    pub percentile: f64,
    /// Seconds from arrival to the last byte.
    #[serde(with = "crate::figure")]
    pub target: f64,
}

/// Bounds on the number of replicas, over all pools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Floor; 0: to zero when idle.
    pub min: u32,
    /// Ceiling.
    pub max: u32,
    /// Spare replicas beyond need.
    pub min_warm: u32,
    /// Seconds without a request after which a service with floor 0 goes to zero.
    #[serde(with = "crate::figure")]
    pub idle_after: f64,
    /// Leave the number as it is.
    pub pause: bool,
}

impl Bounds {
    /// The fewest that serve while anybody may call.
    #[must_use]
    pub fn least(&self) -> u32 {
        self.min.max(self.min_warm).max(1)
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { min: 1, max: 4, min_warm: 0, idle_after: 300.0, pause: false }
    }
}

/// How pools of one tier are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// By cost per request served within the objective.
    #[default]
    Cheapest,
    /// By speed.
    Fastest,
    /// As the plan lists them.
    Ordered,
}

/// A pool that the service may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolPlan {
    /// The pool.
    pub name: PoolName,
    /// Its product.
    pub accelerator: Accelerator,
    /// Where it stands, in words for reasons: `on premises`, `cloud`.
    pub location: String,
    /// Pools of a lower tier are filled first, whatever they cost: the position of their location in the spec.
    pub tier: u32,
    /// Accelerators of one replica, at least 1 (a pool of plain CPUs counts replicas).
    pub accelerators: u32,
    /// Price of one accelerator for an hour.
    #[serde(with = "crate::figure")]
    pub hourly_cost: f64,
    /// Speed against the reference, until it has been measured.
    #[serde(with = "crate::figure")]
    pub relative_speed: f64,
    /// Seconds that a new node takes; 0: the pool doesn't grow.
    #[serde(with = "crate::figure")]
    pub provisioning_delay: f64,
}

impl PoolPlan {
    /// Seconds that a new node takes, none if the figure is none.
    pub(crate) fn node_delay(&self) -> f64 {
        self.provisioning_delay.max(0.0)
    }

    /// What one replica costs in an hour; no number if the price is none or below zero.
    #[must_use]
    pub fn replica_cost(&self) -> f64 {
        let cost = self.hourly_cost * f64::from(self.accelerators.max(1));
        if cost >= 0.0 { cost } else { f64::NAN }
    }
}
