//! Condition types and reasons: constants, because scripts and alerts match on them.

/// Serves, or would at the next request. The one to wait for.
pub const READY: &str = "Ready";
/// Work towards the spec is under way (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// No progress without somebody's help (kstatus).
pub const STALLED: &str = "Stalled";
/// The spec is valid, allowed, and wholly enforced.
pub const ACCEPTED: &str = "Accepted";
/// The model's bytes are those that the spec names.
pub const MODEL_VERIFIED: &str = "ModelVerified";
/// There is a pool for every replica.
pub const PLACED: &str = "Placed";
/// Pods run and pass their probes.
pub const WORKLOAD_AVAILABLE: &str = "WorkloadAvailable";
/// Gateways can route to the service.
pub const ROUTES_READY: &str = "RoutesReady";
/// The scaler hears from gateways and servers.
pub const METRICS_AVAILABLE: &str = "MetricsAvailable";
/// Fields of comfort that this release doesn't act on yet, named in the message.
pub const FULLY_SUPPORTED: &str = "FullySupported";
/// Whether the cluster's network enforces NetworkPolicy: stated by the platform, never assumed.
pub const NETWORK_POLICY_ENFORCED: &str = "NetworkPolicyEnforced";

/// Reasons, in the order of the conditions above.
pub mod reason {
    /// Everything holds.
    pub const READY: &str = "Ready";
    /// No replica runs, by design; the next request starts one.
    pub const SCALED_TO_ZERO: &str = "ScaledToZero";
    /// Work is under way.
    pub const PROGRESSING: &str = "Progressing";
    /// Nothing to do.
    pub const UP_TO_DATE: &str = "UpToDate";
    /// The spec is fine.
    pub const ACCEPTED: &str = "Accepted";
    /// The spec contradicts itself.
    pub const INVALID: &str = "Invalid";
    /// A field that promises protection or a limit isn't enforced by this release.
    pub const NOT_SUPPORTED: &str = "NotSupported";
    /// No Tenant claims the namespace.
    pub const NO_TENANT: &str = "NoTenant";
    /// The tenant's policy forbids it.
    pub const FORBIDDEN_BY_POLICY: &str = "ForbiddenByPolicy";
    /// Two claim the same thing; the older keeps it.
    pub const CONFLICT: &str = "Conflict";
    /// A uri's authority is no store of the platform.
    pub const UNKNOWN_STORE: &str = "UnknownStore";
    /// No pool meets the hard limits.
    pub const NO_POOL_FITS: &str = "NoPoolFits";
    /// Pools meet the limits, and have no room.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// A pool is found.
    pub const PLACED: &str = "Placed";
    /// The digest isn't the asked one.
    pub const DIGEST_MISMATCH: &str = "DigestMismatch";
    /// The store can't be reached or refuses.
    pub const FETCH_FAILED: &str = "FetchFailed";
    /// The file is no model that the engine can load.
    pub const MODEL_INVALID: &str = "ModelInvalid";
    /// The pipeline doesn't fit the model's inputs and outputs.
    pub const PIPELINE_MISMATCH: &str = "PipelineMismatch";
    /// TensorRT or CUDA was asked for and can't be had.
    pub const PROVIDER_UNAVAILABLE: &str = "ProviderUnavailable";
    /// Digest checked by a server.
    pub const VERIFIED: &str = "Verified";
    /// Not known yet.
    pub const PENDING: &str = "Pending";
    /// A Secret or ConfigMap that the spec refers to is missing.
    pub const MISSING_REFERENCE: &str = "MissingReference";
    /// An image can't be pulled.
    pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
    /// Killed for memory.
    pub const OUT_OF_MEMORY: &str = "OutOfMemory";
    /// The server ends again and again.
    pub const CRASH_LOOP: &str = "CrashLoop";
    /// Pods start.
    pub const STARTING: &str = "Starting";
    /// As many pods as asked are ready.
    pub const AVAILABLE: &str = "Available";
    /// CUDA serves while TensorRT builds its engine.
    pub const ENGINE_BUILDING: &str = "EngineBuilding";
    /// TensorRT can't build its engine: CUDA goes on serving.
    pub const ENGINE_FAILED: &str = "EngineFailed";
    /// No signal from gateways or servers.
    pub const NO_METRICS: &str = "NoMetrics";
    /// Signals are fresh.
    pub const FRESH: &str = "Fresh";
    /// Every field in use is acted upon.
    pub const SUPPORTED: &str = "Supported";
    /// Some fields in use have no effect yet.
    pub const FIELDS_WITHOUT_EFFECT: &str = "FieldsWithoutEffect";
    /// The platform says nothing about it.
    pub const NOT_VERIFIED: &str = "NotVerified";
}

/// A condition of `metav1.Condition`'s shape.
pub type Condition = crate::inference_service::Condition;
