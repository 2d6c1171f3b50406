//! What became of the spec.

use crate::{Name, Sha256, Token};
use serde::{Deserialize, Serialize};

/// Observed state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InferenceServiceStatus {
    /// Generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where tenants call it from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(length(max = 2_048)))]
    pub url: Option<String>,
    /// HOST:PORT for gRPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(length(max = 2_048)))]
    pub grpc_address: Option<String>,
    /// The gateway inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// The model that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStatus>,
    /// Pods of all pools, for the scale subresource.
    #[serde(default)]
    pub replicas: u32,
    /// Label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(length(max = 512)))]
    pub selector: Option<String>,
    /// Revisions that get requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["revision"])))]
    pub traffic: Vec<Traffic>,
    /// Revisions that have once passed their probe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 4), extend("x-kubernetes-list-type" = "set")))]
    pub proven: Vec<Token>,
    /// Replicas by pool, in the order of preference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub pools: Vec<PoolReplicas>,
    /// The last decision that changed something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// Conditions; see each one's message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])))]
    pub conditions: Vec<Condition>,
}

/// An address inside the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// The url.
    #[cfg_attr(feature = "resource", schemars(length(max = 2_048)))]
    pub url: String,
}

/// The model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// Short digest of what makes a revision.
    pub revision: Token,
    /// Rises with each revision; what clients see.
    pub version: i64,
    /// Digest of the file that is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// The variant that is served, on the first pool with replicas; absent: the model itself. `pools` has each pool's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Name>,
    /// Where its load stands.
    pub state: ModelState,
    /// The last failure of a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
}

/// State of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum ModelState {
    /// No server has it.
    #[default]
    Pending,
    /// Servers load it.
    Loading,
    /// A server has it.
    Loaded,
    /// Servers fail to load it.
    Failed,
}

/// Why a server failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One of the condition reasons.
    pub reason: Token,
    /// A sentence.
    #[cfg_attr(feature = "resource", schemars(length(max = 1_024)))]
    pub message: String,
    /// How often it was seen.
    #[serde(default)]
    pub count: u32,
}

/// Share of one revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The revision.
    pub revision: Token,
    /// Its version.
    pub version: i64,
    /// Percent.
    #[cfg_attr(feature = "resource", schemars(range(max = 100)))]
    pub weight: u32,
}

/// One pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PoolReplicas {
    /// The AcceleratorPool.
    pub name: Name,
    /// Its accelerator.
    pub accelerator: Token,
    /// Asked for.
    pub desired: u32,
    /// Ready.
    pub ready: u32,
    /// Standby servers of the pool that stand in for replicas that aren't ready yet.
    #[serde(default, skip_serializing_if = "is_none_at_all")]
    pub standbys: u32,
    /// Why the service gets none of the pool's standby servers, and so starts cold here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(length(max = 512)))]
    pub starts_cold: Option<String>,
    /// The variant that replicas of the newest revision serve; absent: the model itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Name>,
    /// Why replicas wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(length(max = 512)))]
    pub waiting: Option<String>,
    /// Of the desired replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly_cost: Option<crate::Money>,
}

/// Whether a count is worth no word.
fn is_none_at_all(count: &u32) -> bool {
    *count == 0
}

/// A decision and its reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// Replicas over all pools.
    pub desired: u32,
    /// A sentence with the figures that decided.
    #[cfg_attr(feature = "resource", schemars(length(max = 1_024)))]
    pub reason: String,
    /// When, RFC 3339.
    #[cfg_attr(feature = "resource", schemars(length(max = 64)))]
    pub at: String,
}

/// A condition of `metav1.Condition`'s shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is spoken of.
    #[serde(rename = "type")]
    pub type_: Token,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word for programs.
    pub reason: Token,
    /// A sentence for people: what is, and how to mend it.
    #[cfg_attr(feature = "resource", schemars(length(max = 32_768)))]
    pub message: String,
    /// Generation of the spec that it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` last flipped, RFC 3339.
    #[cfg_attr(feature = "resource", schemars(length(max = 64)))]
    pub last_transition_time: String,
}

/// Truth of a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// It can't be told.
    #[default]
    Unknown,
}
