//! Who owns `spec.replicas` of a Deployment.
//!
//! The API server turns an absent `replicas` into 1. So the controller applies `replicas: 0` until the scale manager owns
//! the field, and leaves it out from then on.

use k8s_openapi::api::apps::v1::Deployment;
use millrace_crds::labels::SCALE_MANAGER;

/// Whether the scale manager has taken `spec.replicas` by a server-side apply.
#[must_use]
pub fn owns_replicas(deployment: &Deployment) -> bool {
    let entries = deployment.metadata.managed_fields.iter().flatten();
    let ours = entries.filter(|entry| {
        entry.manager.as_deref() == Some(SCALE_MANAGER) && entry.operation.as_deref() == Some("Apply")
    });
    ours.filter_map(|entry| entry.fields_v1.as_ref()).any(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
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
}
