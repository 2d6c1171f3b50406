//! The IO around the scaling law: reports come in, `/scale` goes out.
//!
//! [`run`] belongs to the leader. It asks gateways and servers for reports, draws up the fleet from the controller's
//! stores and plans, lets [`millrace_scaler::decide`] pass over it, and writes nothing but the `/scale` subresource of
//! Deployments, and once a minute a checkpoint for its successor. Pools' standby servers are lent in the same pass, by
//! [`crate::standby`]. What it decided lies in [`ScaleView`], from which the controller's status step takes `status.scaling`
//! and the condition MetricsAvailable.

mod builds;
mod checkpoint;
mod convert;
mod dial;
mod fleet;
mod identity;
mod nodes;
mod ownership;
mod pods;
mod record;
mod run;
mod scrape;
mod starts;
mod view;
mod write;

pub use builds::Engines;
pub use identity::Identity;
pub use ownership::{owns_replicas, replicas_taken};
pub use pods::{Stage, address, stage};
pub use run::run;
pub use view::{Plans, ScaleState, ScaleView};

use crate::config::Settings;
use crate::metrics::Metrics;
use crate::standby::Sources;
use arc_swap::ArcSwapOption;
use k8s_openapi::api::{core::v1::Node, core::v1::Pod};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store;
use millrace_crds::Tenant;
use millrace_scaler::ServiceId;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that [`run`] works with.
pub struct ScaleContext {
    /// The client for `/scale`; its calls have a timeout.
    pub client: kube::Client,
    /// The platform's settings: the release's own namespace, where gateways and standby servers are, and its name.
    pub settings: Settings,
    /// Where inputs and decisions are written, line by line.
    pub record: Option<PathBuf>,
    /// What each service may have, as the controller planned it.
    pub plans: Arc<Plans>,
    /// What was decided, for the controller's status step.
    pub view: Arc<ScaleView>,
    /// The controller's stores.
    pub stores: Stores,
    /// The operator's certificate, from Secret `{release}-operator-tls`; replaced when it rotates.
    pub identity: Arc<ArcSwapOption<Identity>>,
    /// Events.
    pub recorder: Recorder,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Called when `view` has news of a service: the controller should reconcile it.
    pub notify: Arc<dyn Fn(&ServiceId) + Send + Sync>,
}

/// Reflected objects. All must be synced before [`run`] starts.
#[derive(Clone)]
pub struct Stores {
    /// Server pods of all namespaces. Pods that others run on the pools' nodes may be in it: they count as used.
    pub pods: Store<Pod>,
    /// Gateway pods of the release (component `gateway`, in its namespace).
    pub gateways: Store<Pod>,
    /// Nodes.
    pub nodes: Store<Node>,
    /// Tenants.
    pub tenants: Store<Tenant>,
    /// What lending goes by; Deployments and pools among it.
    pub lending: Sources,
}
