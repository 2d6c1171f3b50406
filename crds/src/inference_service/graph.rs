//! Several models in one service.

use super::{PostprocessStep, PreprocessStep};
use crate::{Credentials, ModelFile, Name, Sha256, Uri};
use serde::{Deserialize, Serialize};

/// One model of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedModel {
    /// What steps call it.
    pub name: Name,
    /// Where its file is.
    pub uri: Uri,
    /// Digest of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Files of a folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"])))]
    pub files: Vec<ModelFile>,
    /// What opens the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

/// A step of the graph: what it takes, what it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("[has(self.before), has(self.infer), has(self.after)].filter(x, x).size() == 1").message("a step is exactly one of before, infer, after")))]
pub struct GraphStep {
    /// What later steps call its output.
    pub name: Name,
    /// Steps whose outputs it takes; empty: the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 8), extend("x-kubernetes-list-type" = "set")))]
    pub from: Vec<Name>,
    /// An input step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PreprocessStep>,
    /// A run of a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infer: Option<Infer>,
    /// An output step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PostprocessStep>,
}

/// Which model runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Infer {
    /// Its name in `models`.
    pub model: Name,
}

/// Tensors that a stateful model carries from one request of a sequence to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// State inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub inputs: Vec<StateTensor>,
    /// State outputs, in the order of the inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub outputs: Vec<StateTensor>,
    /// A sequence without a request for so long is forgotten.
    pub idle: crate::Duration,
}

/// A tensor by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateTensor {
    /// Its name in the model.
    pub name: crate::Token,
}
