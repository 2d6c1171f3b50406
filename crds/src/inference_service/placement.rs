//! Where replicas may run.

use crate::{Location, Money, Token};
use serde::{Deserialize, Serialize};

/// Hard limits first (accelerators, regions, memory), then order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placement {
    /// Replicas over pools, or one on each matching node.
    #[serde(default)]
    pub mode: PlacementMode,
    /// Kinds that are acceptable (`H100`, `L40S`, `CPU`); absent: any that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 16), extend("x-kubernetes-list-type" = "set")))]
    pub accelerators: Vec<Token>,
    /// How pools are ordered within a location.
    #[serde(default)]
    pub strategy: Strategy,
    /// Allowed locations; their order is preference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 3), extend("x-kubernetes-list-type" = "set")))]
    pub locations: Vec<Location>,
    /// Allowed regions: data residency, hard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 32), extend("x-kubernetes-list-type" = "set")))]
    pub regions: Vec<Token>,
    /// Whether capacity that may vanish is used.
    #[serde(default)]
    pub spot: SpotPolicy,
    /// Most that all replicas together may cost in an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hourly_cost: Option<Money>,
}

/// Shape of a service in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum PlacementMode {
    /// A number of replicas over pools.
    #[default]
    Replicas,
    /// An edge replica on each matching node, served locally.
    PerNode,
}

/// Order of pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Strategy {
    /// By cost per request served within the objective.
    #[default]
    Cheapest,
    /// By speed.
    Fastest,
    /// As `accelerators` and `locations` list them.
    Ordered,
}

/// Use of spot capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum SpotPolicy {
    /// Only on-demand capacity.
    #[default]
    Never,
    /// Either.
    Allowed,
    /// Spot first.
    Preferred,
}
