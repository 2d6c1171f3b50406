//! InferenceService: a model, served.

mod access;
mod graph;
mod model;
mod pipeline;
mod placement;
mod postprocess;
mod preprocess;
mod rollout;
mod scaling;
mod serving;
mod status;

pub use access::*;
pub use graph::*;
pub use model::*;
pub use pipeline::*;
pub use placement::*;
pub use postprocess::*;
pub use preprocess::*;
pub use rollout::*;
pub use scaling::*;
pub use serving::*;
pub use status::*;

use serde::{Deserialize, Serialize};

/// A model, its pipeline, and what is asked of its service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::CustomResource, kube::KubeSchema))]
#[cfg_attr(
    feature = "resource",
    kube(
        group = "millrace.dev",
        version = "v1alpha1",
        kind = "InferenceService",
        namespaced,
        status = "InferenceServiceStatus",
        shortname = "infs",
        category = "millrace",
        derive = "PartialEq",
        cel,
        doc = "A model served on accelerator pools, with an endpoint that tenants call.",
        scale(
            spec_replicas_path = ".spec.scaling.minReplicas",
            status_replicas_path = ".status.replicas",
            label_selector_path = ".status.selector"
        ),
        validation = Rule::new("size(self.metadata.name) <= 40").message("the name may have at most 40 characters: names of its pods are made from it"),
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
        printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
        printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
        printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
        printcolumn(name = "Pools", type_ = "string", json_path = ".status.pools[?(@.desired>0)].name"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Model", type_ = "string", json_path = ".spec.model.uri", priority = 1),
        printcolumn(name = "Target", type_ = "string", json_path = ".spec.slo.latency.target", priority = 1)
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("has(self.model) != has(self.models)").message("give model (one) or models (several)")))]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("has(self.models) == (has(self.pipeline) && has(self.pipeline.steps))").message("models and pipeline.steps go together")))]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!has(self.models) || !has(self.pipeline) || !has(self.pipeline.steps) || self.pipeline.steps.all(s, !has(s.infer) || self.models.exists(m, m.name == s.infer.model))").message("infer.model must be one of models")))]
pub struct InferenceServiceSpec {
    /// The model; the short form for one model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Several models, used by `pipeline.steps`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub models: Vec<NamedModel>,
    /// Input processing and output creation.
    #[serde(default)]
    pub pipeline: Pipeline,
    /// State of a streaming model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// How requests are put together.
    #[serde(default)]
    pub batching: Batching,
    /// The engine.
    #[serde(default)]
    pub runtime: Runtime,
    /// What callers are promised; absent: p99 within ten times the time of a lone request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// Number of replicas.
    #[serde(default)]
    pub scaling: Scaling,
    /// Where they run.
    #[serde(default)]
    pub placement: Placement,
    /// How a new revision takes over.
    #[serde(default)]
    pub rollout: Rollout,
    /// Who may call.
    #[serde(default)]
    pub access: Access,
    /// Explanations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
    /// Records of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Life through disruptions.
    #[serde(default)]
    pub availability: Availability,
}
