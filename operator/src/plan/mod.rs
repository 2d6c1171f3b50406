//! What is to be: pure decisions from the spec and what was observed. No client, no clock.

pub mod accept;
pub mod last_good;
pub mod models;
pub mod place;
pub mod revision;
pub mod scaling;
pub mod support;
pub mod tenancy;
pub mod variant;

use crate::config::Settings;
use crate::observe::Observed;
use kube::ResourceExt;
use millrace_crds::conditions::{PLACED, reason};
use millrace_crds::store::Store;
use millrace_crds::{DisruptionBudget, InferenceService, NetworkPolicyMode, Tenant};
use millrace_scaler::ServicePlan;
use place::Places;
use revision::{Revision, RevisionInputs};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Old revisions that are kept for a return, beside those in use.
const HISTORY: usize = 2;

/// What is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The service.
    pub service: Arc<InferenceService>,
    /// Its tenant.
    pub tenant: String,
    /// The revision that the spec asks for.
    pub newest: Revision,
    /// What made it.
    pub inputs: RevisionInputs,
    /// The revision that gets requests, if it is another.
    pub serving: Option<Revision>,
    /// Others that still have Deployments.
    pub leaving: Vec<Revision>,
    /// Others that are kept for a return.
    pub history: Vec<Revision>,
    /// Pools.
    pub places: Places,
    /// What the scaler may do.
    pub scaling: ServicePlan,
    /// NetworkPolicy; `None`: the tenant's policy wants none.
    pub isolation: Option<Isolation>,
    /// Whether a PodDisruptionBudget is kept.
    pub budget: bool,
    /// The claim in which servers keep models on their nodes.
    pub node_cache: Option<String>,
    /// Fields that are set and have no effect.
    pub named: BTreeSet<&'static str>,
}

/// Where pods may connect to, beside DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// Address ranges of stores.
    pub cidrs: BTreeSet<String>,
    /// A store without ranges: public addresses, HTTPS alone.
    pub public: bool,
}

/// Why a spec isn't carried out. What runs goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The condition that says so.
    pub condition: &'static str,
    /// Its reason.
    pub reason: &'static str,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl Problem {
    /// A problem, told by `condition`.
    #[must_use]
    pub fn new(condition: &'static str, reason: &'static str, message: String) -> Self {
        Self { condition, reason, message }
    }
}

/// A spec that isn't carried out, and what may be done with what ran before it.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why; at least one.
    pub problems: Vec<Problem>,
    /// What the scaler may do with the revision that has the requests; `None`: nothing is started anew.
    pub last_good: Option<ServicePlan>,
}

/// Plans a service.
///
/// # Errors
/// Every problem of the spec, the first being the most telling one.
pub fn plan(observed: &Observed, settings: &Settings) -> Result<Plan, Vec<Problem>> {
    let service = &observed.service;
    let namespace = service.namespace().unwrap_or_default();
    let mut problems = accept::unacceptable(&service.spec, settings);
    let tenant = match tenancy::tenant_of(&observed.tenants, &observed.namespace_labels, &namespace, settings) {
        Ok(tenant) => tenant.clone(),
        Err(problem) => {
            problems.push(problem);
            return Err(problems);
        }
    };
    problems.extend(tenancy::forbidden(&service.spec, &tenant));
    let node_cache = tenancy::node_cache(&observed.namespace_labels, &namespace).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    let places = place::place(&service.spec, &tenant, &observed.pools);
    if places.allowed.is_empty() {
        return Err(vec![Problem::new(PLACED, reason::NO_POOL_FITS, no_pool(&places))]);
    }
    Ok(Plan { node_cache, ..assemble(observed, settings, &tenant, places) })
}

fn no_pool(places: &Places) -> String {
    if places.excluded.is_empty() {
        return "there is no AcceleratorPool: ask the platform team for one".to_owned();
    }
    format!("no pool fits: {}", places.summary())
}

fn assemble(observed: &Observed, settings: &Settings, tenant: &Tenant, places: Places) -> Plan {
    let (service, spec) = (&observed.service, &observed.service.spec);
    let inputs = RevisionInputs::of(spec, stores(service, settings));
    let stored = revision::stored(&observed.owned.controller_revisions);
    let newest = revision::newest(&inputs, &stored, &shown(service));
    let traffic = traffic(service);
    let of_others = |wanted: &dyn Fn(&Revision) -> bool| -> Vec<Revision> {
        stored.iter().filter(|revision| revision.name != newest.name && wanted(revision)).cloned().collect()
    };
    let serving = of_others(&|revision| traffic.as_deref() == Some(&revision.name)).pop();
    let used = observed.revisions_with_deployments();
    let is_serving = |revision: &Revision| serving.as_ref().is_some_and(|serving| serving.name == revision.name);
    let leaving = of_others(&|revision| used.contains(&revision.name) && !is_serving(revision));
    let mut history = of_others(&|revision| !used.contains(&revision.name) && !is_serving(revision));
    history.sort_by_key(|revision| std::cmp::Reverse(revision.version));
    history.truncate(HISTORY);
    let scaling = scaling::service_plan(service, tenant, &places, &newest, traffic);
    Plan {
        service: service.clone(),
        tenant: tenant.name_any(),
        isolation: isolation(
            tenant,
            [Some(&newest), serving.as_ref()].into_iter().flatten().chain(&leaving),
            &inputs.stores,
        ),
        newest,
        inputs,
        serving,
        leaving,
        history,
        places,
        scaling,
        budget: spec.availability.disruption_budget == DisruptionBudget::Auto,
        node_cache: None,
        named: support::unsupported(spec, support::SERVICE).named,
    }
}

impl Plan {
    /// Revisions whose pods may run.
    pub fn active(&self) -> impl Iterator<Item = &Revision> {
        std::iter::once(&self.newest).chain(&self.serving).chain(&self.leaving)
    }

    /// Revisions that have Deployments on every allowed pool.
    pub fn placed(&self) -> impl Iterator<Item = &Revision> {
        std::iter::once(&self.newest).chain(&self.serving)
    }
}

/// The revision that gets requests.
#[must_use]
pub fn traffic(service: &InferenceService) -> Option<String> {
    let entries = &service.status.as_ref()?.traffic;
    entries.iter().max_by_key(|entry| entry.weight).map(|entry| entry.revision.to_string())
}

/// Revisions that status speaks of, with their versions.
fn shown(service: &InferenceService) -> Vec<(String, i64)> {
    let Some(status) = &service.status else { return Vec::new() };
    let traffic = status.traffic.iter().map(|entry| (entry.revision.to_string(), entry.version));
    traffic.chain(status.model.iter().map(|model| (model.revision.to_string(), model.version))).collect()
}

fn stores(service: &InferenceService, settings: &Settings) -> Vec<Store> {
    let models = models::models(service.spec.model.as_ref(), &service.spec.models);
    let mut stores: Vec<Store> = Vec::new();
    for store in models.iter().filter_map(|model| accept::store_of(model.uri, settings).ok().flatten()) {
        if !stores.contains(&store) {
            stores.push(store);
        }
    }
    stores
}

fn isolation<'r>(tenant: &Tenant, active: impl Iterator<Item = &'r Revision>, newest: &[Store]) -> Option<Isolation> {
    if tenant.spec.policy.network_policy == NetworkPolicyMode::None {
        return None;
    }
    let kept = active.filter_map(|revision| revision.stored.as_ref()).flat_map(|data| {
        serde_json::from_value::<RevisionInputs>(data.inputs.clone()).map(|inputs| inputs.stores).unwrap_or_default()
    });
    let mut isolation = Isolation::default();
    for store in newest.iter().cloned().chain(kept) {
        isolation.public |= store.cidrs.is_empty();
        isolation.cidrs.extend(store.cidrs);
    }
    Some(isolation)
}

#[cfg(test)]
mod tests;
