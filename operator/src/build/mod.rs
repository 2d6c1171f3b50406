//! From a plan to objects, as they are to be applied: pure, one file for one kind.

pub mod config_map;
pub mod controller_revision;
pub mod deployment;
pub mod network_policy;
pub mod pdb;
pub mod service;
pub mod template;

use crate::config::Settings;
use crate::observe::Observed;
use crate::plan::Plan;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use millrace_crds::{InferenceService, labels};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// Objects that are to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Desired;
/// Objects that are, as the API server answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Applied;

/// The objects of a service. Taken apart without `..` wherever all must be handled, so that a kind that nobody applies
/// doesn't compile.
#[derive(Clone, Debug, Default)]
pub struct Objects<Stage> {
    /// One for each revision that is kept.
    pub controller_revisions: Vec<ControllerRevision>,
    /// One for each revision that may run, and the release's CA.
    pub config_maps: Vec<ConfigMap>,
    /// Isolation of the pods.
    pub network_policies: Vec<NetworkPolicy>,
    /// Names of the pods.
    pub services: Vec<Service>,
    /// Life through node drains.
    pub budgets: Vec<PodDisruptionBudget>,
    /// One for each revision and pool.
    pub deployments: Vec<Deployment>,
    /// Whether they are to be, or are.
    pub stage: PhantomData<Stage>,
}

/// Builds every object of a plan.
///
/// # Errors
/// The manifest can't be written as YAML: a fault of the program.
pub fn build(plan: &Plan, observed: &Observed, settings: &Settings) -> Result<Objects<Desired>, String> {
    let newest = controller_revision::data(plan, settings)?;
    let data = |revision: &crate::plan::revision::Revision| revision.stored.clone().unwrap_or_else(|| newest.clone());
    let namespace = plan.service.namespace().unwrap_or_default();
    let mut config_maps: Vec<ConfigMap> = observed.ca.iter().map(|ca| config_map::ca(&namespace, ca)).collect();
    config_maps.extend(plan.active().map(|revision| config_map::revision(plan, revision, &data(revision))));
    let deployments = plan.placed().flat_map(|revision| {
        let data = data(revision);
        let build = move |place| deployment::deployment(plan, revision, &data, place, observed);
        plan.places.allowed.iter().map(build).collect::<Vec<_>>()
    });
    Ok(Objects {
        controller_revisions: plan
            .active()
            .chain(&plan.history)
            .map(|revision| controller_revision::controller_revision(plan, revision, &data(revision)))
            .collect::<Result<_, _>>()?,
        config_maps,
        network_policies: plan
            .isolation
            .iter()
            .map(|isolation| network_policy::network_policy(plan, isolation, settings))
            .collect(),
        services: vec![service::service(plan)],
        budgets: plan.budget.then(|| pdb::budget(plan)).into_iter().collect(),
        deployments: deployments.collect(),
        stage: PhantomData,
    })
}

/// Metadata of a child: name, labels, owner.
#[must_use]
pub fn child(service: &InferenceService, name: String, extra: &[(&str, &str)]) -> ObjectMeta {
    let mut all = common(&service.name_any());
    all.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    ObjectMeta {
        name: Some(name),
        namespace: service.namespace(),
        labels: Some(all),
        owner_references: service.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// Labels of everything that belongs to a service.
#[must_use]
pub fn common(service: &str) -> BTreeMap<String, String> {
    [(labels::MANAGED_BY, labels::MANAGER), (labels::COMPONENT, labels::COMPONENT_SERVER), (labels::SERVICE, service)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
