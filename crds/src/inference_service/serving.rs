//! How a replica runs the model: batching, engine, resources.

use crate::{Duration, Name, Precision, Quantity};
use serde::{Deserialize, Serialize};

/// How requests are put together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batching {
    /// Most rows in a batch; 1: no batching.
    #[serde(default = "default_max_size")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 4_096)))]
    pub max_size: u32,
    /// How long a batch waits for more; 0s: a batch is what queued while the engine was busy.
    #[serde(default = "default_max_delay")]
    pub max_delay: Duration,
    /// Batch sizes that the engine is prepared for, rising; a batch is padded to the next one, a larger batch is not. Absent: any size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 32)))]
    pub buckets: Vec<u32>,
    /// Requests that wait at most; more are answered 429.
    #[serde(default = "default_max_queue")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 100_000)))]
    pub max_queue: u32,
}

fn default_max_size() -> u32 {
    32
}

fn default_max_delay() -> Duration {
    Duration::from("0s")
}

fn default_max_queue() -> u32 {
    256
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            max_size: default_max_size(),
            max_delay: default_max_delay(),
            buckets: Vec::new(),
            max_queue: default_max_queue(),
        }
    }
}

/// The engine and what it gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Runtime {
    /// Tried in order; the first one that is named must be had, or the replica fails: never a silent run on the CPU.
    #[serde(default = "default_providers")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 3), extend("x-kubernetes-list-type" = "set")))]
    pub execution_providers: Vec<ExecutionProvider>,
    /// Precision that the engine computes in; absent: the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// How many of TensorRT's built engines are kept, and where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_cache: Option<EngineCache>,
    /// Batches of the model that one replica runs at once. On the CPU those of one thread each share one copy of the weights.
    #[serde(default = "default_one")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 64)))]
    pub instances: u32,
    /// Threads of one instance on the CPU; absent: the cores of the container over the instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 256)))]
    pub intra_op_threads: Option<u32>,
    /// What a replica asks of its node.
    #[serde(default)]
    pub resources: Resources,
}

fn default_providers() -> Vec<ExecutionProvider> {
    vec![ExecutionProvider::CUDA]
}

fn default_one() -> u32 {
    1
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            execution_providers: default_providers(),
            precision: None,
            engine_cache: None,
            instances: 1,
            intra_op_threads: None,
            resources: Resources::default(),
        }
    }
}

/// What runs the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum ExecutionProvider {
    /// NVIDIA TensorRT.
    TensorRT,
    /// NVIDIA CUDA.
    #[default]
    CUDA,
    /// The processor.
    CPU,
}

/// TensorRT's built engines, kept from one start to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EngineCache {
    /// Most bytes of engines; beyond it, those that were used longest ago are given up.
    pub size_limit: Quantity,
    /// A claim in the service's namespace that its replicas can write, for engines that outlive their pod: ReadWriteMany if
    /// replicas run on several nodes. Services may share it. Absent: engines live as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_name: Option<Name>,
}

/// Requests (and for memory also the limit) of a replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Cores; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory; absent: derived from the model's size by the server's measure, 512Mi to begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Accelerators of the pool's resource.
    #[serde(default = "default_one")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 16)))]
    pub accelerators: u32,
    /// Accelerator memory that the model needs: pools with less are never chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator_memory: Option<Quantity>,
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpu: None, memory: None, accelerators: 1, accelerator_memory: None }
    }
}
