//! ControllerRevisions: what a revision was rendered to, kept so that an upgrade of the operator restarts no pod.

use super::{child, template};
use crate::config::Settings;
use crate::naming;
use crate::plan::Plan;
use crate::plan::revision::{Revision, RevisionData, RevisionInputs};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::ResourceExt;
use millrace_crds::manifest::{Manifest, ManifestMetadata};
use millrace_crds::{
    API_VERSION, Access, Availability, Duration, InferenceServiceSpec, Placement, Rollout, Scaling, labels,
};

/// Largest body that the schema allows: in a cluster the gateway enforces the service's own limit, which may change
/// without a new revision.
const MOST_BYTES: u64 = 1_073_741_824;
/// Deepest JSON that the schema allows: the gateway tells the server of the service's own limit, for the same reason.
const DEEPEST: u32 = 100;
/// The gateway enforces the service's own timeout, for the same reason.
const LONGEST: &str = "24h";

/// What the newest revision is rendered to, or was.
///
/// # Errors
/// The manifest can't be written as YAML: a fault of the program.
pub fn data(plan: &Plan, settings: &Settings) -> Result<RevisionData, String> {
    if let Some(stored) = &plan.newest.stored {
        return Ok(stored.clone());
    }
    Ok(RevisionData {
        inputs: serde_json::to_value(&plan.inputs).map_err(|error| error.to_string())?,
        template: template::template(plan, settings),
        manifest: yaml(&manifest(plan))?,
        stores: yaml(&plan.inputs.stores)?,
    })
}

/// The object. Its data never changes: the API server refuses it.
///
/// # Errors
/// The data can't be written as JSON: a fault of the program.
pub fn controller_revision(
    plan: &Plan,
    revision: &Revision,
    data: &RevisionData,
) -> Result<ControllerRevision, String> {
    let name = naming::revision_object(&plan.service.name_any(), &revision.name);
    Ok(ControllerRevision {
        metadata: child(&plan.service, name, &[(labels::REVISION, &revision.name)]),
        data: RawExtension(serde_json::to_value(data).map_err(|error| error.to_string())?),
        revision: Some(revision.version),
    })
}

/// What the pods serve: only what makes the revision; the rest is the gateway's and the scaler's.
fn manifest(plan: &Plan) -> Manifest {
    let RevisionInputs { model, models, pipeline, state, batching, runtime, explain, stores: _ } = plan.inputs.clone();
    Manifest {
        api_version: API_VERSION.to_owned(),
        kind: "InferenceService".to_owned(),
        metadata: ManifestMetadata {
            name: plan.service.name_any(),
            namespace: plan.service.namespace().unwrap_or_default(),
            revision: Some(plan.newest.name.clone()),
            version: Some(plan.newest.version),
        },
        spec: InferenceServiceSpec {
            model,
            models,
            pipeline,
            state,
            batching,
            runtime,
            explain,
            slo: None,
            scaling: Scaling::default(),
            placement: Placement::default(),
            rollout: Rollout::default(),
            access: Access {
                max_request_bytes: MOST_BYTES,
                max_json_depth: DEEPEST,
                timeout: Duration::from(LONGEST),
                ..Access::default()
            },
            audit: None,
            availability: Availability::default(),
        },
    }
}

fn yaml<T: serde::Serialize>(value: &T) -> Result<String, String> {
    let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    serde_saphyr::to_string(&value).map_err(|error| error.to_string())
}
