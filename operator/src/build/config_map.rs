//! ConfigMaps: what a revision's pods read, and the public part of the release's CA.

use super::child;
use crate::naming;
use crate::plan::Plan;
use crate::plan::revision::{Revision, RevisionData};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use millrace_crds::labels;

/// Name of the ConfigMap with the CA in each namespace that has services.
pub const CA: &str = "millrace-ca";

/// Manifest and stores of a revision. Immutable, and made from what the revision keeps.
#[must_use]
pub fn revision(plan: &Plan, revision: &Revision, data: &RevisionData) -> ConfigMap {
    let name = naming::revision_object(&plan.service.name_any(), &revision.name);
    ConfigMap {
        metadata: child(&plan.service, name, &[(labels::REVISION, &revision.name)]),
        immutable: Some(true),
        data: Some(
            [("manifest.yaml".to_owned(), data.manifest.clone()), ("stores.yaml".to_owned(), data.stores.clone())]
                .into(),
        ),
        ..ConfigMap::default()
    }
}

/// The public part of the release's CA. It belongs to the namespace, not to one service: no owner.
#[must_use]
pub fn ca(namespace: &str, bundle: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(CA.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some([(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some([("ca.crt".to_owned(), bundle.to_owned())].into()),
        ..ConfigMap::default()
    }
}
