//! What ran before a spec was refused may still be scaled, and woken from zero: by the stored revision that has the
//! requests, within what spec and tenant still allow.

use super::revision::{self, Revision, RevisionInputs};
use super::{place, scaling, tenancy, traffic};
use crate::config::Settings;
use crate::observe::Observed;
use kube::ResourceExt;
use millrace_crds::{Duration, InferenceServiceSpec, Scaling, labels};
use millrace_scaler::ServicePlan;
use std::sync::Arc;

/// The plan of the revision that has the requests; `None`: there is none, or nothing of it may be started any more.
#[must_use]
pub fn last_good(observed: &Observed, settings: &Settings) -> Option<ServicePlan> {
    let service = &observed.service;
    let name = traffic(service)?;
    let stored = revision::stored(&observed.owned.controller_revisions);
    let revision = stored.into_iter().find(|revision| revision.name == name)?;
    let namespace = service.namespace().unwrap_or_default();
    let tenant = tenancy::tenant_of(&observed.tenants, &observed.namespace_labels, &namespace, settings).ok()?.clone();
    let spec = as_it_ran(&service.spec, &revision)?;
    if !tenancy::forbidden_model(&spec, &tenant).is_empty() {
        return None;
    }
    let mut places = place::place(&spec, &tenant, &observed.pools);
    // Nothing is built from a refused spec: only Deployments that are there can be scaled.
    places.allowed.retain(|place| has_deployment(observed, &revision, &place.pool.name_any()));
    if places.allowed.is_empty() {
        return None;
    }
    let mut service = (**service).clone();
    service.spec = spec;
    Some(scaling::service_plan(&service, &tenant, &places, &revision, Some(name)))
}

fn has_deployment(observed: &Observed, revision: &Revision, pool: &str) -> bool {
    let label = |live: &Arc<_>, key| ResourceExt::labels(&**live).get(key).cloned();
    observed.owned.deployments.iter().any(|live| {
        label(live, labels::REVISION).as_deref() == Some(&revision.name)
            && label(live, labels::POOL).as_deref() == Some(pool)
    })
}

/// The spec with what made the revision put back, and with bounds that can be kept where those that are asked can't.
fn as_it_ran(spec: &InferenceServiceSpec, revision: &Revision) -> Option<InferenceServiceSpec> {
    let inputs: RevisionInputs = serde_json::from_value(revision.stored.as_ref()?.inputs.clone()).ok()?;
    let RevisionInputs { model, models, pipeline, state, batching, runtime, explain, stores: _ } = inputs;
    let mut spec = InferenceServiceSpec { model, models, pipeline, state, batching, runtime, explain, ..spec.clone() };
    let usable = |span: &Duration| span.to_std().is_some();
    // Never more than was asked; a span that can't be read is the default's.
    spec.scaling.min_replicas = spec.scaling.min_replicas.min(spec.scaling.max_replicas);
    if !usable(&spec.scaling.idle_after) {
        spec.scaling.idle_after = Scaling::default().idle_after;
    }
    spec.slo = spec.slo.filter(|slo| usable(&slo.latency.target));
    Some(spec)
}
