//! Deployments: one for each revision and pool.

use super::{child, common};
use crate::naming;
use crate::observe::Observed;
use crate::plan::Plan;
use crate::plan::place::Place;
use crate::plan::revision::{Revision, RevisionData};
use crate::scale::replicas_taken;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{PodTemplateSpec, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use millrace_crds::{AcceleratorPool, PoolToleration, TaintEffect, TolerationOperator, labels};

/// The Deployment of `revision` on the pool of `place`.
#[must_use]
pub fn deployment(
    plan: &Plan,
    revision: &Revision,
    data: &RevisionData,
    place: &Place,
    observed: &Observed,
) -> Deployment {
    let (service, pool) = (plan.service.name_any(), place.pool.name_any());
    let name = naming::deployment(&service, &revision.name, &pool);
    let owned = observed.owned.deployments.iter().any(|live| live.name_any() == name && replicas_taken(live));
    let mut selector = common(&service);
    selector.insert(labels::REVISION.to_owned(), revision.name.clone());
    selector.insert(labels::POOL.to_owned(), pool.clone());
    Deployment {
        metadata: child(&plan.service, name, &[(labels::REVISION, &revision.name), (labels::POOL, &pool)]),
        spec: DeploymentSpec {
            // The API server turns an absent number into 1. So 0 is sent until the scaler owns the field.
            replicas: (!owned).then_some(0),
            revision_history_limit: Some(0),
            selector: LabelSelector { match_labels: Some(selector), ..LabelSelector::default() },
            // Templates don't change with revisions; this is for a pool whose labels or taints do.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: on_pool(data.template.clone(), &place.pool, plan_accelerators(data)),
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    }
}

/// Accelerators of one replica, as the revision was made with.
fn plan_accelerators(data: &RevisionData) -> u64 {
    data.inputs.pointer("/runtime/resources/accelerators").and_then(serde_json::Value::as_u64).unwrap_or(1)
}

/// Adds what the pool asks of pods: label, nodes, taints, and its resource.
fn on_pool(mut template: PodTemplateSpec, pool: &AcceleratorPool, accelerators: u64) -> PodTemplateSpec {
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().insert(labels::POOL.to_owned(), pool.name_any());
    let spec = template.spec.get_or_insert_default();
    let offer = &pool.spec;
    if !offer.node_selector.is_empty() {
        spec.node_selector =
            Some(offer.node_selector.iter().map(|(key, value)| (key.clone(), value.to_string())).collect());
    }
    if !offer.tolerations.is_empty() {
        spec.tolerations = Some(offer.tolerations.iter().map(toleration).collect());
    }
    if let (Some(name), Some(container)) = (&offer.resource.name, spec.containers.first_mut()) {
        let resources = container.resources.get_or_insert_default();
        let amount = Quantity(accelerators.to_string());
        resources.requests.get_or_insert_default().insert(name.to_string(), amount.clone());
        resources.limits.get_or_insert_default().insert(name.to_string(), amount);
    }
    template
}

fn toleration(from: &PoolToleration) -> Toleration {
    Toleration {
        key: from.key.as_ref().map(ToString::to_string),
        operator: Some(match from.operator {
            TolerationOperator::Equal => "Equal".to_owned(),
            TolerationOperator::Exists => "Exists".to_owned(),
        }),
        value: from.value.as_ref().map(ToString::to_string),
        effect: from.effect.map(|effect| match effect {
            TaintEffect::NoSchedule => "NoSchedule".to_owned(),
            TaintEffect::PreferNoSchedule => "PreferNoSchedule".to_owned(),
            TaintEffect::NoExecute => "NoExecute".to_owned(),
        }),
        ..Toleration::default()
    }
}
