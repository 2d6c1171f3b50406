//! AcceleratorPool: what the platform team offers.

use crate::{Condition, Duration, Money, Name, Quantity, Token, Uri};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nodes with one kind of accelerator, at one price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::CustomResource, kube::KubeSchema))]
#[cfg_attr(
    feature = "resource",
    kube(
        group = "millrace.dev",
        version = "v1alpha1",
        kind = "AcceleratorPool",
        status = "AcceleratorPoolStatus",
        shortname = "apool",
        category = "millrace",
        derive = "PartialEq",
        cel,
        doc = "Nodes with one kind of accelerator, at one price.",
        printcolumn(name = "Accelerator", type_ = "string", json_path = ".spec.accelerator"),
        printcolumn(name = "Location", type_ = "string", json_path = ".spec.location"),
        printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"),
        printcolumn(name = "Used", type_ = "integer", json_path = ".status.accelerators.used"),
        printcolumn(name = "Allocatable", type_ = "integer", json_path = ".status.accelerators.allocatable"),
        printcolumn(name = "Cost/h", type_ = "string", json_path = ".spec.hourlyCost.amount"),
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("self.accelerator == 'CPU' || has(self.memory)").message("an accelerator's memory must be given: services are placed by it")))]
pub struct AcceleratorPoolSpec {
    /// Product: `H100`, `L40S`, another name, or `CPU`.
    pub accelerator: Token,
    /// Memory of one accelerator, as the driver tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// What pods request.
    pub resource: PoolResource,
    /// Where it stands.
    pub location: Location,
    /// Region, for data residency.
    pub region: Token,
    /// Whether it may vanish.
    #[serde(default)]
    pub capacity_type: CapacityType,
    /// Price of one accelerator; on premises: amortised.
    pub hourly_cost: HourlyCost,
    /// A pool that may start empty and is grown by a node autoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning: Option<Provisioning>,
    /// Labels of its nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "resource", schemars(extend("maxProperties" = 32)))]
    pub node_selector: BTreeMap<String, Token>,
    /// Taints of its nodes that pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 16)))]
    pub tolerations: Vec<PoolToleration>,
    /// Speed against the reference accelerator, until it has been measured.
    #[serde(default = "default_speed")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.001, max = 1000.0)))]
    pub relative_speed: f64,
    /// Warm servers without a model, shared by the services that fit: one that wakes or bursts is answered by a standby
    /// until its own replica is ready.
    #[serde(default)]
    pub standby: Standby,
    /// A member cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Name>,
}

fn default_speed() -> f64 {
    1.0
}

/// An extended resource, or a device class of DRA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!(has(self.name) && has(self.deviceClass))").message("give name or deviceClass")))]
pub struct PoolResource {
    /// Extended resource, such as `nvidia.com/gpu` or `nvidia.com/mig-1g.10gb`. Absent with accelerator CPU: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Token>,
    /// Device class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_class: Option<Token>,
}

/// Kind of place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Location {
    /// The platform's own.
    #[default]
    OnPremises,
    /// Rented.
    Cloud,
    /// At the edge.
    Edge,
}

/// How firm the capacity is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum CapacityType {
    /// Stays.
    #[default]
    OnDemand,
    /// May be taken away.
    Spot,
}

/// A price with its date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HourlyCost {
    /// For one accelerator and hour.
    pub amount: Money,
    /// Currency.
    #[serde(default)]
    pub currency: Currency,
    /// Date of the price, YYYY-MM-DD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Token>,
}

/// Currency of prices; one for a fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Currency {
    /// US dollar.
    #[default]
    USD,
    /// Euro.
    EUR,
}

/// Growth of a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provisioning {
    /// Usual time until a new node is ready.
    pub delay: Duration,
    /// Most accelerators that the pool grows to.
    #[cfg_attr(feature = "resource", schemars(range(max = 100_000)))]
    pub max_accelerators: u32,
}

/// A toleration, as in a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolToleration {
    /// Key of the taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Token>,
    /// How the value compares.
    #[serde(default)]
    pub operator: TolerationOperator,
    /// Value of the taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Token>,
    /// Effect; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
}

/// Comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum TolerationOperator {
    /// Key and value are equal.
    #[default]
    Equal,
    /// The key exists.
    Exists,
}

/// Effect of a taint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum TaintEffect {
    /// No new pods.
    #[default]
    NoSchedule,
    /// Rather no new pods.
    PreferNoSchedule,
    /// Pods leave.
    NoExecute,
}

/// Warm servers. Each holds one accelerator of the pool; they run in the release's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Standby {
    /// How many.
    #[serde(default)]
    #[cfg_attr(feature = "resource", schemars(range(max = 1_000)))]
    pub replicas: u32,
    /// What they read models with. Absent: they serve only models that are read without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<StandbyIdentity>,
    /// What each asks of its node. A service that asks for more starts cold.
    #[serde(default)]
    pub resources: StandbyResources,
}

/// A pool's own access to stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StandbyIdentity {
    /// A Secret in the release's namespace, with the keys of a model's credentials. Its keys lie where tenants' models run:
    /// let them read, and nothing that the pool's tenants may not see.
    pub secret_name: Name,
    /// What these keys open: uris below which models may be read.
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 64)))]
    pub sources: Vec<Uri>,
}

/// Requests (and for memory also the limit) of a standby server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StandbyResources {
    /// Cores.
    #[serde(default = "default_cpu")]
    pub cpu: Quantity,
    /// Memory.
    #[serde(default = "default_memory")]
    pub memory: Quantity,
}

fn default_cpu() -> Quantity {
    Quantity::from("1")
}

fn default_memory() -> Quantity {
    Quantity::from("512Mi")
}

impl Default for StandbyResources {
    fn default() -> Self {
        Self { cpu: default_cpu(), memory: default_memory() }
    }
}

/// Observed state of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AcceleratorPoolStatus {
    /// Generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes that match and are ready.
    #[serde(default)]
    pub nodes: u32,
    /// Accelerators on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerators: Option<AcceleratorCounts>,
    /// Its standby servers; absent: it asks for none, and has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<StandbyCounts>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])))]
    pub conditions: Vec<Condition>,
}

/// Accelerators of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AcceleratorCounts {
    /// On all its nodes.
    pub total: u32,
    /// On nodes that take pods.
    pub allocatable: u32,
    /// Requested by pods, terminating ones included.
    pub used: u32,
}

/// Standby servers of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StandbyCounts {
    /// Free, with their runtime up.
    pub ready: u32,
    /// Given to a service, and not gone yet.
    pub assigned: u32,
}
