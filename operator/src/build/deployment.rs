//! Deployments: one for each revision and pool.

use super::{child, common, template};
use crate::naming;
use crate::observe::Observed;
use crate::plan::Plan;
use crate::plan::place::Place;
use crate::plan::revision::{Revision, RevisionData, RevisionInputs};
use crate::plan::variant;
use crate::scale::replicas_taken;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{PodTemplateSpec, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use millrace_crds::{AcceleratorPool, ModelVariant, PoolToleration, TaintEffect, TolerationOperator, labels};

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
    let live = observed.owned.deployments.iter().find(|live| live.name_any() == name);
    let owned = live.is_some_and(|live| replicas_taken(live));
    let variant = variant(live.map(|live| &**live), data, &place.pool);
    let mut labels = vec![(labels::REVISION, revision.name.as_str()), (labels::POOL, pool.as_str())];
    labels.extend(variant.iter().map(|variant| (labels::VARIANT, variant.name.as_str())));
    let mut selector = common(&service);
    selector.insert(labels::REVISION.to_owned(), revision.name.clone());
    selector.insert(labels::POOL.to_owned(), pool.clone());
    Deployment {
        metadata: child(&plan.service, name, &labels),
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
            template: serving(on_pool(data.template.clone(), &place.pool, plan_accelerators(data)), variant.as_ref()),
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    }
}

/// Accelerators of one replica, as the revision was made with.
fn plan_accelerators(data: &RevisionData) -> u64 {
    data.inputs.pointer("/runtime/resources/accelerators").and_then(serde_json::Value::as_u64).unwrap_or(1)
}

/// What is served on a pool: what its Deployment was made with, for a release that would choose otherwise restarts no pod;
/// else what the rule says. `None`: the model itself.
fn variant(live: Option<&Deployment>, data: &RevisionData, pool: &AcceleratorPool) -> Option<ModelVariant> {
    let inputs: RevisionInputs = serde_json::from_value(data.inputs.clone()).ok()?;
    let model = inputs.model.as_ref()?;
    match live {
        Some(live) => {
            let kept = live.labels().get(labels::VARIANT)?;
            model.variants.iter().find(|variant| variant.name.as_str() == kept).cloned()
        }
        None => variant::choose(model, &inputs.runtime, pool).cloned(),
    }
}

/// Has the server take the variant in the model's place.
fn serving(mut template: PodTemplateSpec, variant: Option<&ModelVariant>) -> PodTemplateSpec {
    let Some(variant) = variant else { return template };
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().insert(labels::VARIANT.to_owned(), variant.name.to_string());
    let spec = template.spec.get_or_insert_default();
    if let Some(container) = spec.containers.first_mut() {
        let args = container.args.get_or_insert_default();
        args.extend(["--variant".to_owned(), variant.name.to_string()]);
        if let Some(path) = template::mounted(variant.uri.as_str()) {
            args.extend(["--variant-file".to_owned(), format!("{}={path}", variant.name)]);
        }
    }
    template
}

/// Adds what the pool asks of pods: label, nodes, taints, and its resource.
pub(crate) fn on_pool(mut template: PodTemplateSpec, pool: &AcceleratorPool, accelerators: u64) -> PodTemplateSpec {
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
