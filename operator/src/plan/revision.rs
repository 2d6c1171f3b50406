//! Revisions: what makes one, and how one that exists is recognised.

use crate::naming::short_digest;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;
use millrace_crds::labels;
use millrace_crds::store::Store;
use millrace_crds::{Batching, Explain, InferenceServiceSpec, Model, NamedModel, Pipeline, Runtime, State};
use serde::{Deserialize, Serialize};

/// What makes a revision: change one of these, and pods are made anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionInputs {
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Several models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<NamedModel>,
    /// Steps around it.
    #[serde(default)]
    pub pipeline: Pipeline,
    /// State.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Batching.
    #[serde(default)]
    pub batching: Batching,
    /// The engine.
    #[serde(default)]
    pub runtime: Runtime,
    /// Explanations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
    /// The stores that the model is read from, as the platform defined them: a store that moves makes a revision, since
    /// a cold start from the old place would fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Store>,
}

impl RevisionInputs {
    /// The part of a spec that makes a revision.
    #[must_use]
    pub fn of(spec: &InferenceServiceSpec, stores: Vec<Store>) -> Self {
        Self {
            model: spec.model.clone(),
            models: spec.models.clone(),
            pipeline: spec.pipeline.clone(),
            state: spec.state.clone(),
            batching: spec.batching.clone(),
            runtime: spec.runtime.clone(),
            explain: spec.explain.clone(),
            stores,
        }
    }

    fn digest(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        short_digest(&value.to_string(), 8)
    }
}

/// What a ControllerRevision keeps, so that no later release renders it differently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevisionData {
    /// What made it, as it was written then.
    pub inputs: serde_json::Value,
    /// The pod template without the pool's fields.
    pub template: PodTemplateSpec,
    /// `manifest.yaml` of its ConfigMap.
    pub manifest: String,
    /// `stores.yaml` of its ConfigMap.
    pub stores: String,
}

/// A revision of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Its name: a short digest.
    pub name: String,
    /// The number that clients see; rises with each revision.
    pub version: i64,
    /// What is kept of it; `None`: it is new and yet to be rendered.
    pub stored: Option<RevisionData>,
}

/// The revisions that ControllerRevisions keep. One that can't be read, as after a downgrade, is left out.
#[must_use]
pub fn stored(objects: &[std::sync::Arc<ControllerRevision>]) -> Vec<Revision> {
    objects
        .iter()
        .filter_map(|object| {
            let data = serde_json::from_value(object.data.0.clone()).ok()?;
            let name = object.labels().get(labels::REVISION)?.clone();
            Some(Revision { name, version: object.revision.unwrap_or(0), stored: Some(data) })
        })
        .collect()
}

/// The revision for `inputs`: a stored one of equal meaning, else a new one.
///
/// `shown` is what status says of revisions and their versions, should the ControllerRevisions be lost or late. Meaning is compared, not text or digest: a release that adds a field with a default makes no new revision.
#[must_use]
pub fn newest(inputs: &RevisionInputs, stored: &[Revision], shown: &[(String, i64)]) -> Revision {
    let same = |revision: &&Revision| {
        let kept = revision.stored.as_ref().map(|data| data.inputs.clone());
        kept.and_then(|value| serde_json::from_value::<RevisionInputs>(value).ok()).as_ref() == Some(inputs)
    };
    if let Some(found) = stored.iter().filter(same).max_by_key(|revision| revision.version) {
        return found.clone();
    }
    let mut name = inputs.digest();
    while stored.iter().any(|revision| revision.name == name) {
        name = short_digest(&name, 8);
    }
    // A status that already shows it was written from it: the index is only late with the ControllerRevision.
    let known = shown.iter().find(|(shown, _)| *shown == name).map(|(_, version)| *version);
    let highest = stored.iter().map(|revision| revision.version).chain(shown.iter().map(|(_, version)| *version)).max();
    let version = known.unwrap_or(highest.unwrap_or(0) + 1);
    Revision { name, version, stored: None }
}
