//! Who owns `spec.replicas` of a Deployment.
//!
//! The API server turns an absent `replicas` into 1. So the controller applies `replicas: 0` until the scale manager owns
//! the field, and leaves it out from then on.

use super::pods;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use millrace_crds::labels::{FIELD_MANAGER, SCALE_MANAGER};

/// Whether the scale manager has taken `spec.replicas` by a server-side apply.
#[must_use]
pub fn owns_replicas(deployment: &Deployment) -> bool {
    owners(deployment)
        .any(|entry| entry.manager.as_deref() == Some(SCALE_MANAGER) && entry.operation.as_deref() == Some("Apply"))
}

/// When the scale manager last wrote `spec.replicas`, in seconds since the epoch.
pub(super) fn written(deployment: &Deployment) -> Option<f64> {
    let ours = owners(deployment).filter(|entry| entry.manager.as_deref() == Some(SCALE_MANAGER));
    ours.filter_map(|entry| entry.time.as_ref()).map(pods::seconds).reduce(f64::max)
}

/// Whether anyone but the controller owns `spec.replicas`: then it must leave the field out.
///
/// That is more than the scale manager: somebody's `kubectl scale` takes the field from it until its next decision, and
/// to send 0 meanwhile would end every replica.
#[must_use]
pub fn replicas_taken(deployment: &Deployment) -> bool {
    owners(deployment).any(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER))
}

fn owners(deployment: &Deployment) -> impl Iterator<Item = &ManagedFieldsEntry> {
    deployment
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(manager: &str, operation: &str, fields: serde_json::Value) -> Deployment {
        let entry = json!({"manager": manager, "operation": operation, "subresource": "scale", "fieldsV1": fields});
        serde_json::from_value(json!({"metadata": {"managedFields": [entry]}})).unwrap()
    }

    #[test]
    fn only_an_apply_of_the_scale_manager_counts() {
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        assert!(owns_replicas(&deployment(SCALE_MANAGER, "Apply", replicas.clone())));
        assert!(!owns_replicas(&deployment(SCALE_MANAGER, "Update", replicas.clone())));
        assert!(!owns_replicas(&deployment("kubectl", "Apply", replicas)));
        assert!(!owns_replicas(&deployment(SCALE_MANAGER, "Apply", json!({"f:spec": {}}))));
        assert!(!owns_replicas(&Deployment::default()));
    }

    #[test]
    fn the_last_write_has_a_time() {
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let mut ours = deployment(SCALE_MANAGER, "Apply", replicas.clone());
        assert_eq!(written(&ours), None);
        let entry = &mut ours.metadata.managed_fields.as_mut().unwrap()[0];
        entry.time = serde_json::from_value(json!("2026-01-01T00:00:10Z")).unwrap();
        assert_eq!(written(&ours), Some(1_767_225_610.0));
        ours.metadata.managed_fields.as_mut().unwrap()[0].manager = Some("kubectl".into());
        assert_eq!(written(&ours), None);
    }

    #[test]
    fn the_controller_yields_to_anyone() {
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        assert!(replicas_taken(&deployment(SCALE_MANAGER, "Apply", replicas.clone())));
        assert!(replicas_taken(&deployment("kubectl", "Update", replicas.clone())));
        assert!(!replicas_taken(&deployment(FIELD_MANAGER, "Apply", replicas)));
        assert!(!replicas_taken(&deployment("kubectl", "Update", json!({"f:metadata": {}}))));
    }
}
