//! What gateways and servers report to the scaler: JSON over mutual TLS.
//!
//! Counters are monotonic since the reporter's start; the reader takes differences, so that a lost report loses nothing.
//! `started_at` names the reporter's life: when it changes, counters began anew.

use serde::{Deserialize, Serialize};

/// Upper bounds of latency buckets in seconds; a last bucket without bound follows.
pub const LATENCY_BOUNDS: [f64; 16] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// A histogram over [`LATENCY_BOUNDS`]; monotonic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Histogram {
    /// Count in each bucket (not cumulative), one more than there are bounds.
    pub buckets: Vec<u64>,
    /// Sum of all values, in seconds.
    pub sum: f64,
}

/// One gateway replica's view: `GET /report?wait=1s`. The answer comes when the wait is over, or at once when a request is newly held or a
/// service's load surges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayReport {
    /// The gateway's pod.
    pub gateway: String,
    /// Start of this process, seconds since the epoch.
    pub started_at: f64,
    /// Rises each time the routing table changes; scale to zero needs all gateways at one table.
    pub generation: u64,
    /// Whether the wait was cut short: something is to be decided now.
    #[serde(default)]
    pub urgent: bool,
    /// Per service.
    pub services: Vec<ServiceReport>,
}

/// What one gateway saw of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    /// Namespace of the service.
    pub namespace: String,
    /// Name of the service.
    pub name: String,
    /// Requests that came in (admitted or held), monotonic.
    pub arrivals: u64,
    /// Requests that ended, monotonic.
    pub completed: u64,
    /// Of those, failed by us: 5xx, gRPC UNAVAILABLE or INTERNAL; monotonic.
    pub failed: u64,
    /// Admitted and not ended, now.
    pub in_flight: u64,
    /// Waiting for a replica, now.
    pub held: u64,
    /// Seconds since the last arrival; absent: none since start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<f64>,
    /// Time from arrival to the last byte of the answer.
    pub latency: Histogram,
    /// The same by backend.
    #[serde(default)]
    pub backends: Vec<BackendReport>,
    /// Replicas that requests could first go to within the last half minute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routed: Vec<RoutedReport>,
}

/// When a replica came into a gateway's table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutedReport {
    /// UID of its pod.
    pub pod: String,
    /// Seconds since the epoch.
    pub at: f64,
}

/// What one gateway saw of one revision on one pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendReport {
    /// Revision.
    pub revision: String,
    /// Pool.
    pub pool: String,
    /// Requests that ended, monotonic.
    pub completed: u64,
    /// Of those, failed; monotonic.
    pub failed: u64,
    /// Forwarded and not ended, now.
    pub in_flight: u64,
    /// Time from forwarding to the last byte of the answer.
    pub latency: Histogram,
}

/// One server replica's view: `GET /report`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerReport {
    /// Service name.
    pub model: String,
    /// Revision that it serves.
    pub revision: String,
    /// When this server became ready, seconds since the epoch; its counters rise from then.
    pub started_at: f64,
    /// Whether it takes requests.
    pub ready: bool,
    /// Requests queued for the engine, now.
    pub queue_depth: u64,
    /// Admitted and not ended, now.
    pub in_flight: u64,
    /// Requests that ended, monotonic.
    pub completed: u64,
    /// Engine runs by batch size, monotonic.
    pub batches: Vec<BatchReport>,
    /// What the start took.
    pub startup: StartupReport,
    /// How the build of a better engine fares, while another serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_build: Option<EngineBuild>,
}

/// A build of TensorRT's engine, while CUDA serves.
/// In the order of what is worth telling of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EngineBuild {
    /// It has ended, and its engine serves.
    Built,
    /// It goes on.
    #[default]
    Building,
    /// It failed: what served goes on serving.
    Failed,
}

/// Engine time at one batch size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchReport {
    /// Rows in the batch.
    pub size: u64,
    /// Runs of that size.
    pub count: u64,
    /// Sum of their engine time in seconds.
    pub seconds: f64,
}

/// Phases of a server's start, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartupReport {
    /// Reading the model from its store.
    pub fetch: f64,
    /// Making the engine's session.
    pub load: f64,
    /// Running it on every bucket.
    pub warm_up: f64,
}
