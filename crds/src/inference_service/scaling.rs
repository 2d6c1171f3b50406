//! The objective, and how many replicas may serve it.

use crate::Duration;
use serde::{Deserialize, Serialize};

/// Service level objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slo {
    /// How fast.
    pub latency: LatencyObjective,
    /// Share of answered requests, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 100.0)))]
    pub availability: Option<f64>,
}

/// So many percent of requests are answered within the target, measured at the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LatencyObjective {
    /// Percent.
    #[serde(default = "default_percentile")]
    #[cfg_attr(feature = "resource", schemars(range(min = 50.0, max = 99.99)))]
    pub percentile: f64,
    /// Time from arrival to the last byte.
    pub target: Duration,
}

fn default_percentile() -> f64 {
    99.0
}

/// Bounds and pace of the number of replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas").message("maxReplicas must be at least minReplicas")))]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("self.minWarm <= self.maxReplicas").message("minWarm must be at most maxReplicas")))]
pub struct Scaling {
    /// Floor over all pools; 0: to zero when idle. `kubectl scale` sets it.
    #[serde(default = "default_min")]
    #[cfg_attr(feature = "resource", schemars(range(max = 10_000)))]
    pub min_replicas: u32,
    /// Ceiling over all pools.
    #[serde(default = "default_max")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 10_000)))]
    pub max_replicas: u32,
    /// Spare ready replicas beyond need, for jobs whose bursts nothing foretells.
    #[serde(default)]
    #[cfg_attr(feature = "resource", schemars(range(max = 10_000)))]
    pub min_warm: u32,
    /// Without a request for so long, a service with minReplicas 0 goes to zero.
    #[serde(default = "default_idle")]
    pub idle_after: Duration,
    /// Holds the number of replicas as it is.
    #[serde(default)]
    pub pause: bool,
}

fn default_min() -> u32 {
    1
}

fn default_max() -> u32 {
    4
}

fn default_idle() -> Duration {
    Duration::from("5m")
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            min_replicas: default_min(),
            max_replicas: default_max(),
            min_warm: 0,
            idle_after: default_idle(),
            pause: false,
        }
    }
}
