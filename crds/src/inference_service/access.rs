//! Who may call, how much, and what is written down.

use crate::{Duration, Priority, RateLimit, Uri};
use serde::{Deserialize, Serialize};

/// The door of the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// Whether a key is needed. None needs `allowAnonymous` in the tenant's policy.
    #[serde(default)]
    pub authentication: Authentication,
    /// Limit of the service over all callers, for each gateway replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Larger bodies are answered 413; of a compressed one, what it decodes to counts.
    #[serde(default = "default_max_bytes")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_073_741_824)))]
    pub max_request_bytes: u64,
    /// Deepest nesting of a JSON body of /process and /v1/embeddings; deeper ones are answered 400.
    #[serde(default = "default_max_json_depth")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 100)))]
    pub max_json_depth: u32,
    /// Longest time for one request, waiting for a replica included.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// Lane in the queue, at most the tenant's.
    #[serde(default)]
    pub priority: Priority,
}

fn default_max_bytes() -> u64 {
    64 << 20
}

fn default_max_json_depth() -> u32 {
    32
}

fn default_timeout() -> Duration {
    Duration::from("30s")
}

impl Default for Access {
    fn default() -> Self {
        Self {
            authentication: Authentication::default(),
            rate_limit: None,
            max_request_bytes: default_max_bytes(),
            max_json_depth: default_max_json_depth(),
            timeout: default_timeout(),
            priority: Priority::default(),
        }
    }
}

/// Need of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Authentication {
    /// A key of the tenant.
    #[default]
    Required,
    /// Anybody.
    None,
}

/// Records of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("self.payloads == 'None' || has(self.sink)").message("audit needs a sink")))]
pub struct Audit {
    /// What of the payload is recorded.
    #[serde(default)]
    pub payloads: AuditPayloads,
    /// Where records go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<Uri>,
    /// What happens to a request that can't be recorded.
    #[serde(default)]
    pub on_failure: AuditFailure,
}

/// Depth of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum AuditPayloads {
    /// No record.
    #[default]
    None,
    /// Digests.
    Digest,
    /// Whole payloads.
    Full,
}

/// When the sink fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum AuditFailure {
    /// The record is lost.
    #[default]
    Drop,
    /// The request is refused.
    Refuse,
}

/// Explanations of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Explain {
    /// How.
    pub method: ExplainMethod,
    /// Reference data.
    pub background: Background,
    /// Most model runs for one explanation.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_000_000)))]
    pub max_evaluations: u32,
}

/// Methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum ExplainMethod {
    /// Kernel SHAP.
    #[default]
    KernelShap,
}

/// A pinned data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Background {
    /// Where.
    pub uri: Uri,
    /// Its digest.
    pub sha256: crate::Sha256,
}

/// How the service lives through disruptions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Availability {
    /// Whether a PodDisruptionBudget is kept.
    #[serde(default)]
    pub disruption_budget: DisruptionBudget,
    /// What replicas are spread over.
    #[serde(default)]
    pub spread: Spread,
    /// Longest time a replica finishes what it admitted.
    #[serde(default = "default_drain")]
    pub drain: Duration,
}

fn default_drain() -> Duration {
    Duration::from("30s")
}

impl Default for Availability {
    fn default() -> Self {
        Self { disruption_budget: DisruptionBudget::default(), spread: Spread::default(), drain: default_drain() }
    }
}

/// PodDisruptionBudget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum DisruptionBudget {
    /// At most one pod of the revision is evicted at a time.
    #[default]
    Auto,
    /// None is kept.
    None,
}

/// Topology.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Spread {
    /// Over nodes.
    #[default]
    Node,
    /// Over zones.
    Zone,
}
