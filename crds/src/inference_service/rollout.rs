//! How a new revision takes over.

use crate::Duration;
use serde::{Deserialize, Serialize};

/// Way from one revision to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("self.strategy != 'Canary' || has(self.steps)").message("a canary needs steps")))]
pub struct Rollout {
    /// At once when ready, or by steps.
    #[serde(default)]
    pub strategy: RolloutStrategy,
    /// Steps of a canary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 16)))]
    pub steps: Vec<RolloutStep>,
    /// What a canary must keep, or it is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// Copies of live requests to the canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
}

/// Kinds of rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum RolloutStrategy {
    /// The new revision takes all traffic when it is ready; the old one then goes.
    #[default]
    Replace,
    /// By steps of weight.
    Canary,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutStep {
    /// Percent of traffic.
    #[cfg_attr(feature = "resource", schemars(range(max = 100)))]
    pub weight: u32,
    /// How long it lasts at least.
    pub pause: Duration,
}

/// Limits for a canary, against the stable revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Analysis {
    /// Highest error ratio of the canary over the stable one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0)))]
    pub max_error_ratio: Option<f64>,
    /// Highest p99 over the stable one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0)))]
    pub max_latency_ratio: Option<f64>,
    /// Fewer requests prove nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<u32>,
}

/// Share of requests that is copied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirror {
    /// Percent.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 100)))]
    pub percent: u32,
}
