//! InferenceJob: batch inference over a data set.

use crate::{Condition, Duration, Model, Name, Pipeline, Placement, Runtime, Uri};
use serde::{Deserialize, Serialize};

/// A model run over a data set, on an indexed Job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::CustomResource, kube::KubeSchema))]
#[cfg_attr(
    feature = "resource",
    kube(
        group = "millrace.dev",
        version = "v1alpha1",
        kind = "InferenceJob",
        status = "InferenceJobStatus",
        namespaced,
        shortname = "infj",
        category = "millrace",
        derive = "PartialEq",
        cel,
        doc = "Batch inference over a data set.",
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.conditions[?(@.type=='Accepted')].status"
        ),
        printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Accepted')].reason"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("has(self.model) != has(self.serviceRef)").message("give model or serviceRef")))]
pub struct InferenceJobSpec {
    /// Its own model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Or the revision of a service in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<Name>,
    /// Steps around the model; with serviceRef: the service's.
    #[serde(default)]
    pub pipeline: Pipeline,
    /// The engine.
    #[serde(default)]
    pub runtime: Runtime,
    /// What is read.
    pub input: JobInput,
    /// Where results go.
    pub output: JobOutput,
    /// Pods at the same time.
    #[serde(default = "default_parallelism")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_000)))]
    pub parallelism: u32,
    /// Where pods run.
    #[serde(default)]
    pub placement: Placement,
    /// Longest time for the whole job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
}

fn default_parallelism() -> u32 {
    1
}

/// The data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobInput {
    /// Files; `*` matches within a folder.
    pub uri: Uri,
    /// How records are laid out.
    pub format: JobFormat,
}

/// Formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum JobFormat {
    /// One JSON value a line.
    #[default]
    JSONL,
    /// Parquet.
    Parquet,
    /// One image a file.
    Images,
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobOutput {
    /// A folder.
    pub uri: Uri,
}

/// Observed state of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InferenceJobStatus {
    /// Generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])))]
    pub conditions: Vec<Condition>,
}
