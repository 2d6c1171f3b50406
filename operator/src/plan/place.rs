//! Which pools a service may use: every hard limit is applied here, so the scaler sees only what is allowed.

use super::tenancy::list;
use kube::ResourceExt;
use millrace_crds::{
    AcceleratorPool, CapacityType, ExecutionProvider, InferenceServiceSpec, Location, Placement, SpotPolicy, Strategy,
    Tenant,
};
use std::sync::Arc;

/// Pools of a service.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Those that it may use, in order.
    pub allowed: Vec<Place>,
    /// The others, each with why not.
    pub excluded: Vec<Exclusion>,
}

/// An allowed pool.
#[derive(Clone, Debug)]
pub struct Place {
    /// The pool.
    pub pool: Arc<AcceleratorPool>,
    /// Lower tiers are filled first.
    pub tier: u32,
}

/// A pool that may not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// The pool.
    pub pool: String,
    /// Its product.
    pub accelerator: String,
    /// Why not, in words.
    pub why: String,
}

/// Applies the hard limits of the service and its tenant to every pool, and orders what is left.
#[must_use]
pub fn place(spec: &InferenceServiceSpec, tenant: &Tenant, pools: &[Arc<AcceleratorPool>]) -> Places {
    let mut places = Places::default();
    for pool in pools {
        match obstacle(spec, tenant, pool) {
            None => places.allowed.push(Place { pool: pool.clone(), tier: tier(&spec.placement, pool) }),
            Some(why) => {
                let accelerator = pool.spec.accelerator.to_string();
                places.excluded.push(Exclusion { pool: pool.name_any(), accelerator, why });
            }
        }
    }
    places.allowed.sort_by(|a, b| {
        order(&spec.placement, a).partial_cmp(&order(&spec.placement, b)).unwrap_or(std::cmp::Ordering::Equal)
    });
    places.excluded.sort_by(|a, b| a.pool.cmp(&b.pool));
    places
}

/// Why the service may not use the pool; `None`: it may.
fn obstacle(spec: &InferenceServiceSpec, tenant: &Tenant, pool: &AcceleratorPool) -> Option<String> {
    let (placement, offer) = (&spec.placement, &pool.spec);
    let resources = &spec.runtime.resources;
    let refused = super::support::unsupported(offer, super::support::POOL).refused;
    let cpu_only = offer.resource.name.is_none();
    let asks_gpu = spec.runtime.execution_providers.iter().any(|provider| *provider != ExecutionProvider::CPU);
    if !refused.is_empty() {
        return Some(format!("this release doesn't support the pool's {}", list(&refused)));
    }
    if !placement.accelerators.is_empty() && !placement.accelerators.contains(&offer.accelerator) {
        return Some(format!("{} isn't among accelerators {}", offer.accelerator, list(&placement.accelerators)));
    }
    if cpu_only && asks_gpu {
        return Some(format!("it has no accelerator and the runtime asks for {}", providers(spec)));
    }
    if !placement.locations.is_empty() && !placement.locations.contains(&offer.location) {
        return Some(format!("{} excluded by locations", words(offer.location)));
    }
    for (regions, whose) in
        [(&placement.regions, "regions"), (&tenant.spec.policy.regions, "the tenant's policy.regions")]
    {
        if !regions.is_empty() && !regions.contains(&offer.region) {
            return Some(format!("region {} isn't among {whose} {}", offer.region, list(regions)));
        }
    }
    if offer.capacity_type == CapacityType::Spot && placement.spot == SpotPolicy::Never {
        return Some("spot capacity excluded by placement.spot Never".to_owned());
    }
    too_small(resources, pool).or_else(|| too_dear(spec, tenant, pool))
}

/// Memory is the driver's figure, never one derived from the product's name.
fn too_small(resources: &millrace_crds::Resources, pool: &AcceleratorPool) -> Option<String> {
    let needed = resources.accelerator_memory.as_ref()?;
    let has = pool.spec.memory.as_ref().and_then(millrace_crds::Quantity::to_f64).unwrap_or(0.0);
    let text = pool.spec.memory.as_ref().map_or("none", |memory| memory.as_str());
    (needed.to_f64().is_none_or(|needed| needed > has)).then(|| format!("memory {text} of {needed} needed"))
}

/// Bounds that not even one replica keeps.
fn too_dear(spec: &InferenceServiceSpec, tenant: &Tenant, pool: &AcceleratorPool) -> Option<String> {
    let accelerators = spec.runtime.resources.accelerators;
    let quota = tenant.spec.quota.as_ref();
    let most = quota.and_then(|quota| quota.accelerators.get(pool.spec.accelerator.as_str()).copied());
    if most.is_some_and(|most| most < accelerators) {
        return Some(format!(
            "the tenant's quota of {} is {}, a replica takes {accelerators}",
            pool.spec.accelerator,
            most.unwrap_or(0)
        ));
    }
    let cost = pool.spec.hourly_cost.amount.to_f64().unwrap_or(f64::INFINITY) * f64::from(accelerators);
    for (bound, whose) in [
        (spec.placement.max_hourly_cost.as_ref(), "placement.maxHourlyCost"),
        (quota.and_then(|quota| quota.max_hourly_cost.as_ref()), "the tenant's quota.maxHourlyCost"),
    ] {
        if let Some(bound) = bound.filter(|bound| bound.to_f64().is_none_or(|bound| cost > bound)) {
            return Some(format!("a replica costs {cost:.2} an hour, {whose} is {bound}"));
        }
    }
    None
}

/// The position of the pool's location in the spec, spot before firm capacity where that is preferred.
fn tier(placement: &Placement, pool: &AcceleratorPool) -> u32 {
    let location = placement.locations.iter().position(|location| *location == pool.spec.location).unwrap_or(0);
    let firm = u32::from(placement.spot == SpotPolicy::Preferred && pool.spec.capacity_type == CapacityType::OnDemand);
    u32::try_from(location).unwrap_or(u32::MAX / 4) * 2 + firm
}

/// The order within the list: tier, then what the strategy says, then name, so that it is always the same.
fn order(placement: &Placement, place: &Place) -> (u32, f64, String) {
    let offer = &place.pool.spec;
    let position = placement.accelerators.iter().position(|kind| *kind == offer.accelerator).unwrap_or(usize::MAX);
    let within = match placement.strategy {
        Strategy::Cheapest => offer.hourly_cost.amount.to_f64().unwrap_or(f64::MAX) / offer.relative_speed.max(1e-9),
        Strategy::Fastest => -offer.relative_speed,
        Strategy::Ordered => position as f64,
    };
    (place.tier, within, place.pool.name_any())
}

fn providers(spec: &InferenceServiceSpec) -> String {
    spec.runtime.execution_providers.iter().map(|provider| format!("{provider:?}")).collect::<Vec<_>>().join(", ")
}

/// A location in words.
#[must_use]
pub fn words(location: Location) -> &'static str {
    match location {
        Location::OnPremises => "on premises",
        Location::Cloud => "cloud",
        Location::Edge => "edge",
    }
}

impl Places {
    /// `L40S: 0 of 4 free on premises; h100-cloud: cloud excluded by locations`.
    #[must_use]
    pub fn summary(&self) -> String {
        let allowed = self.allowed.iter().map(|place| free(&place.pool));
        let excluded = self.excluded.iter().map(|out| format!("{}: {}", out.pool, out.why));
        allowed.chain(excluded).collect::<Vec<_>>().join("; ")
    }
}

/// How much of a pool is free, in words, as its status counted it.
fn free(pool: &AcceleratorPool) -> String {
    let (kind, location) = (&pool.spec.accelerator, words(pool.spec.location));
    match pool.status.as_ref().and_then(|status| status.accelerators.as_ref()) {
        Some(counts) => {
            format!(
                "{kind}: {} of {} free {location}",
                counts.allocatable.saturating_sub(counts.used),
                counts.allocatable
            )
        }
        None => format!("{kind}: not counted {location}"),
    }
}
