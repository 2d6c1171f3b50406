//! The pipeline: declarative input processing and output creation.

use super::{GraphStep, PostprocessStep, PreprocessStep};
use serde::{Deserialize, Serialize};

/// Steps before and after the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!(has(self.steps) && (has(self.preprocess) || has(self.postprocess)))").message("steps is the long form, preprocess and postprocess the short one: give one of them")))]
pub struct Pipeline {
    /// From the raw input to the tensors of the model, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 16)))]
    pub preprocess: Vec<PreprocessStep>,
    /// From the tensors of the model to the JSON answer, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 16)))]
    pub postprocess: Vec<PostprocessStep>,
    /// The graph over several `models`: acyclic, and one step, which no other takes, is the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub steps: Vec<GraphStep>,
}
