//! Labels and field managers: every object that Millrace writes carries them, every watch selects by them.

/// Standard label; always [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "millrace";
/// Standard label: which program a pod runs (`server`, `standby`, `gateway`, `operator`).
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The InferenceService that an object belongs to.
pub const SERVICE: &str = "millrace.dev/service";
/// The revision of that service.
pub const REVISION: &str = "millrace.dev/revision";
/// The AcceleratorPool that a Deployment or pod runs on.
pub const POOL: &str = "millrace.dev/pool";
/// The variant of the model that a Deployment or pod serves; absent: the model itself.
pub const VARIANT: &str = "millrace.dev/variant";
/// On a namespace: the claim in which its servers keep models on their nodes. The platform team sets it.
pub const NODE_CACHE: &str = "millrace.dev/node-cache";
/// Where a standby server stands: [`FREE`], [`ASSIGNED`] or [`SERVING`].
pub const STANDBY: &str = "millrace.dev/standby";
/// The namespace of the service that a standby server is assigned to.
pub const NAMESPACE: &str = "millrace.dev/namespace";

/// A standby server that has served nobody.
pub const FREE: &str = "free";
/// One that was given to a service, and loads its model.
pub const ASSIGNED: &str = "assigned";
/// One that answers for a service: gateways may send it requests.
pub const SERVING: &str = "serving";

/// Field manager of everything that the controller applies, bar what follows.
pub const FIELD_MANAGER: &str = "millrace-operator";
/// Field manager of `spec.replicas`: the scaler's alone.
pub const SCALE_MANAGER: &str = "millrace-scale";
/// Field manager of what the scaler remembers.
pub const CHECKPOINT_MANAGER: &str = "millrace-checkpoint";
/// Field manager of what changes of a standby server's pod.
pub const STANDBY_MANAGER: &str = "millrace-standby";
/// Field manager of status.
pub const STATUS_MANAGER: &str = "millrace-status";

/// The component value of model server pods.
pub const COMPONENT_SERVER: &str = "server";
/// The component value of a pool's standby servers.
pub const COMPONENT_STANDBY: &str = "standby";
/// The component value of gateway pods.
pub const COMPONENT_GATEWAY: &str = "gateway";
/// The component value of operator pods.
pub const COMPONENT_OPERATOR: &str = "operator";
