//! What the routing table is made of: the few fields that the gateway needs of each watched object.
//!
//! Only these are kept, never whole objects: that is what holds the gateway's memory down. Watches fill an [`Inputs`],
//! tests fill one by hand, and it is what lies on disk for a start without the API server.

use millrace_crds::{Access, ApiKey, Condition, RateLimit, Traffic};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Namespace and name of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ServiceId {
    /// From its two parts.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.name)
    }
}

/// Of an InferenceService.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceInput {
    /// `spec.access`.
    pub access: Access,
    /// `status.traffic`.
    pub traffic: Vec<Traffic>,
    /// `status.conditions`.
    pub conditions: Vec<Condition>,
}

/// Of a Tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TenantInput {
    /// Creation, seconds since the epoch: the older of two keeps a namespace that both claim.
    pub created: i64,
    /// Labels that a namespace of the tenant carries.
    pub namespaces: BTreeMap<String, String>,
    /// API keys (hashes only).
    pub keys: Vec<ApiKey>,
    /// Limit over all services of the tenant.
    pub rate_limit: Option<RateLimit>,
    /// Whether its services may do without keys.
    pub allow_anonymous: bool,
}

/// Of a server's pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodInput {
    /// UID: a pod of the same name is another pod.
    pub uid: String,
    /// Its service's name.
    pub service: String,
    /// Revision label.
    pub revision: String,
    /// Pool label.
    pub pool: String,
    /// Address, once it has one.
    pub ip: Option<IpAddr>,
    /// Port; in a cluster always [`SERVER_PORT`].
    pub port: u16,
    /// Ready and not terminating.
    pub ready: bool,
    /// Whether it may serve before that.
    #[serde(default)]
    pub early: Early,
}

/// Whether a pod that Kubernetes doesn't call ready may serve: only one that starts for the first time, never one that has
/// lost its readiness, goes, or has broken down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Early {
    /// No.
    #[default]
    No,
    /// Its server may be asked whether it is ready.
    Ask,
    /// Its startup probe has passed: it goes on serving if its server has said so before.
    Keep,
}

/// Of a pool's standby server that was given to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandbyInput {
    /// Namespace of the service that it stands in for.
    pub namespace: String,
    /// Its pod; ready only while it answers for that service.
    pub pod: PodInput,
}

/// The port on which servers listen for the gateway.
pub const SERVER_PORT: u16 = 8443;

/// Everything that the table is built from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// InferenceServices by namespace and name.
    pub services: BTreeMap<String, BTreeMap<String, ServiceInput>>,
    /// Tenants by name.
    pub tenants: BTreeMap<String, TenantInput>,
    /// Labels of namespaces, by name.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Server pods by namespace and name.
    pub pods: BTreeMap<String, BTreeMap<String, PodInput>>,
    /// Standby servers by the name of their pod, all of the release's own namespace.
    #[serde(default)]
    pub standbys: BTreeMap<String, StandbyInput>,
    /// Tenant of namespaces that none claims; empty: they are refused.
    #[serde(default)]
    pub default_tenant: String,
    /// UIDs of pods that start and whose servers have said themselves that they are ready.
    #[serde(skip)]
    pub vouched: BTreeSet<String>,
}
