//! Standby servers: pods of the release's own namespace that answer for services of other namespaces.
//!
//! Only that namespace is watched for them: what a tenant's pod says of itself leads nobody's requests to it.

use super::Indexed;
use crate::inputs::{Early, Inputs, StandbyInput};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use millrace_crds::labels;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The pod of a standby server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Standby(Pod);

impl Resource for Standby {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        <Pod as Resource>::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        <Pod as Resource>::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        <Pod as Resource>::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        <Pod as Resource>::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

impl Indexed for Standby {
    fn put(self, inputs: &mut Inputs) {
        let name = self.name_any();
        let label = |key: &str| self.labels().get(key).cloned();
        let serves = label(labels::STANDBY).as_deref() == Some(labels::SERVING);
        let Some(namespace) = label(labels::NAMESPACE) else {
            // It was given to nobody yet.
            inputs.standbys.remove(&name);
            return;
        };
        // Its pod is ready from the start, to be assigned: that it answers is told by its label alone.
        let mut pod = super::server(&self.0);
        (pod.ready, pod.early) = (pod.ready && serves, Early::No);
        inputs.standbys.insert(name, StandbyInput { namespace, pod });
    }

    fn remove(&self, inputs: &mut Inputs) {
        inputs.standbys.remove(&self.name_any());
    }

    fn replace(inputs: &mut Inputs, staged: Inputs) {
        inputs.standbys = staged.standbys;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Table;
    use millrace_crds::{Access, Traffic};
    use serde_json::json;

    fn pod(role: Option<&str>, ready: &str, deleted: bool) -> Standby {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "millrace-system", "uid": "u", "labels": {labels::POOL: "l40s", labels::STANDBY: labels::FREE}},
            "spec": {"containers": []},
            "status": {"podIP": "10.1.2.3", "conditions": [{"type": "Ready", "status": ready}]},
        });
        if let Some(role) = role {
            let labels = object["metadata"]["labels"].as_object_mut().unwrap();
            let given = [
                (labels::STANDBY, role),
                (labels::NAMESPACE, "team-a"),
                (labels::SERVICE, "magika"),
                (labels::REVISION, "r1"),
            ];
            labels.extend(given.map(|(key, value)| (key.to_owned(), json!(value))));
        }
        if deleted {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(object).unwrap()
    }

    /// Addresses that requests for a service may go to.
    fn endpoints(inputs: &Inputs, namespace: &str) -> usize {
        let table = Table::build(inputs);
        table.services[&crate::inputs::ServiceId::new(namespace, "magika")].endpoints.len()
    }

    #[test]
    fn requests_go_to_a_standby_while_it_serves_and_to_no_other_service_than_its_own() {
        let mut inputs = Inputs::default();
        for namespace in ["team-a", "team-b", "millrace-system"] {
            let traffic = vec![Traffic { revision: "r1".into(), version: 1, weight: 100 }];
            let service = crate::inputs::ServiceInput { access: Access::default(), traffic, conditions: Vec::new() };
            inputs.services.entry(namespace.to_owned()).or_default().insert("magika".to_owned(), service);
        }
        for (role, ready, deleted, expected) in [
            (None, "True", false, 0),
            (Some(labels::ASSIGNED), "True", false, 0),
            (Some(labels::SERVING), "True", false, 1),
            (Some(labels::SERVING), "False", false, 0),
            (Some(labels::SERVING), "True", true, 0),
        ] {
            pod(role, ready, deleted).put(&mut inputs);
            assert_eq!(endpoints(&inputs, "team-a"), expected, "{role:?} {ready} {deleted}");
            assert_eq!(endpoints(&inputs, "team-b") + endpoints(&inputs, "millrace-system"), 0, "{role:?}");
        }
        pod(Some(labels::SERVING), "True", false).put(&mut inputs);
        inputs.services.get_mut("team-a").unwrap().get_mut("magika").unwrap().traffic[0].revision = "r2".into();
        assert_eq!(endpoints(&inputs, "team-a"), 0, "it serves a revision that has no requests any more");
        pod(None, "True", false).remove(&mut inputs);
        assert!(inputs.standbys.is_empty());
    }

    #[test]
    fn what_is_told_of_it_is_its_pods() {
        assert_eq!(Standby::url_path(&(), Some("n")), "/api/v1/namespaces/n/pods");
        let mut inputs = Inputs::default();
        pod(Some(labels::SERVING), "True", false).put(&mut inputs);
        let text = serde_json::to_string(&inputs).unwrap();
        assert_eq!(serde_json::from_str::<Inputs>(&text).unwrap(), inputs, "it is kept with the routes on disk");
        let older: Inputs = serde_json::from_str(&text.replace("\"standbys\"", "\"unknown\"")).unwrap();
        assert!(older.standbys.is_empty(), "routes that an earlier release kept can be read");
    }
}
