//! What the scaler may do with a service, in the scaler's own words.

use super::place::{Place, Places, words};
use super::revision::Revision;
use super::tenancy::rank;
use kube::ResourceExt;
use millrace_crds::{InferenceService, Strategy, Tenant};
use millrace_scaler::{Bounds, Objective, PoolPlan, Revisions, ServicePlan};

/// The plan for the scaler. A duration that can't be read was refused before this point.
#[must_use]
pub fn service_plan(
    service: &InferenceService,
    tenant: &Tenant,
    places: &Places,
    newest: &Revision,
    serving: Option<String>,
) -> ServicePlan {
    let spec = &service.spec;
    let proven =
        service.status.as_ref().is_some_and(|status| status.proven.iter().any(|name| name.as_str() == newest.name));
    ServicePlan {
        tenant: tenant.name_any().into(),
        revisions: Revisions { newest: newest.name.clone().into(), serving: serving.map(Into::into), proven },
        objective: spec
            .slo
            .as_ref()
            .map(|slo| Objective { percentile: slo.latency.percentile, target: seconds(&slo.latency.target) }),
        bounds: Bounds {
            min: spec.scaling.min_replicas,
            max: spec.scaling.max_replicas,
            min_warm: spec.scaling.min_warm,
            idle_after: seconds(&spec.scaling.idle_after),
            pause: spec.scaling.pause,
        },
        max_hourly_cost: spec.placement.max_hourly_cost.as_ref().and_then(millrace_crds::Money::to_f64),
        max_batch: spec.batching.max_size,
        strategy: match spec.placement.strategy {
            Strategy::Cheapest => millrace_scaler::Strategy::Cheapest,
            Strategy::Fastest => millrace_scaler::Strategy::Fastest,
            Strategy::Ordered => millrace_scaler::Strategy::Ordered,
        },
        pools: places.allowed.iter().map(|place| pool_plan(service, place)).collect(),
        lane: rank(spec.access.priority),
    }
}

fn pool_plan(service: &InferenceService, place: &Place) -> PoolPlan {
    let offer = &place.pool.spec;
    PoolPlan {
        name: place.pool.name_any().into(),
        accelerator: offer.accelerator.as_str().into(),
        location: words(offer.location).to_owned(),
        tier: place.tier,
        accelerators: if offer.resource.name.is_some() { service.spec.runtime.resources.accelerators } else { 1 },
        // A price that can't be read must not look cheap.
        hourly_cost: offer.hourly_cost.amount.to_f64().unwrap_or(f64::MAX),
        relative_speed: offer.relative_speed,
        provisioning_delay: offer.provisioning.as_ref().map_or(0.0, |growth| seconds(&growth.delay)),
    }
}

fn seconds(span: &millrace_crds::Duration) -> f64 {
    span.to_std().map_or(0.0, |span| span.as_secs_f64())
}
