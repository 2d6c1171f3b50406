//! The PodDisruptionBudget: at most one pod is evicted at a time.

use super::{child, common};
use crate::plan::Plan;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

/// The budget.
#[must_use]
pub fn budget(plan: &Plan) -> PodDisruptionBudget {
    let name = plan.service.name_any();
    PodDisruptionBudget {
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(common(&name)), ..LabelSelector::default() }),
            // A pod that isn't ready serves nobody: it must not hold up the drain of a node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        metadata: child(&plan.service, name, &[]),
        ..PodDisruptionBudget::default()
    }
}
