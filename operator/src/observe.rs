//! Everything that a service's spec refers to and everything that we own of it, as the index has it.

use crate::index::Index;
use crate::pods::{self, PodView};
use crate::standby::{self, Standby};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt};
use millrace_crds::{AcceleratorPool, InferenceService, Tenant, labels};
use millrace_scaler::ServiceId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What there is.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The service.
    pub service: Arc<InferenceService>,
    /// Labels of its namespace.
    pub namespace_labels: BTreeMap<String, String>,
    /// All tenants.
    pub tenants: Vec<Arc<Tenant>>,
    /// All pools.
    pub pools: Vec<Arc<AcceleratorPool>>,
    /// What we own of it.
    pub owned: Owned,
    /// Its pods.
    pub pods: Vec<PodView>,
    /// Standby servers that stand in for some of them.
    pub standbys: Vec<Standby>,
    /// Public part of the release's CA.
    pub ca: Option<String>,
}

/// Live objects of a service.
#[derive(Clone, Debug, Default)]
pub struct Owned {
    /// Of revisions; and the CA of the namespace.
    pub config_maps: Vec<Arc<ConfigMap>>,
    /// Revisions.
    pub controller_revisions: Vec<Arc<ControllerRevision>>,
    /// One for each revision and pool.
    pub deployments: Vec<Arc<Deployment>>,
    /// The headless Service.
    pub services: Vec<Arc<Service>>,
    /// The budget.
    pub budgets: Vec<Arc<PodDisruptionBudget>>,
    /// The policy.
    pub network_policies: Vec<Arc<NetworkPolicy>>,
}

impl Observed {
    /// Revisions that have Deployments.
    #[must_use]
    pub fn revisions_with_deployments(&self) -> BTreeSet<String> {
        self.owned.deployments.iter().filter_map(|live| live.labels().get(labels::REVISION).cloned()).collect()
    }
}

/// Looks at the index, and at the Events of a pod that hangs before its container is made: only there is it told which
/// Secret is missing, for the operator may not look at Secrets itself.
///
/// # Errors
/// The Events can't be read.
pub async fn observe(
    client: &Client,
    index: &Index,
    service: Arc<InferenceService>,
    now: k8s_openapi::jiff::Timestamp,
) -> Result<Observed, kube::Error> {
    let namespace = service.namespace().unwrap_or_default();
    let name = service.name_any();
    let uid = service.uid().unwrap_or_default();
    let mut pods: Vec<PodView> = index
        .pods
        .state_filter(|pod| {
            pod.meta().namespace.as_deref() == Some(namespace.as_str())
                && pod.labels().get(labels::SERVICE) == Some(&name)
                && !older(pod.meta(), service.meta())
        })
        .iter()
        .map(|pod| pods::view(pod))
        .collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(hanging) = pods.iter_mut().find(|pod| pod.hangs(now)) {
        let events = warnings(client, &namespace, &hanging.name).await?;
        hanging.trouble = hanging.trouble.take().or_else(|| events.iter().find_map(pods::trouble_of_event));
    }
    Ok(Observed {
        namespace_labels: index
            .namespaces
            .get(&ObjectRef::new(&namespace))
            .map(|found| found.labels().clone())
            .unwrap_or_default(),
        tenants: index.tenants.state(),
        pools: index.pools.state(),
        owned: Owned {
            config_maps: index.config_maps.state_filter(|live| ours(live, &namespace, &uid) || is_ca(live, &namespace)),
            controller_revisions: owned(&index.controller_revisions, &namespace, &uid),
            deployments: owned(&index.deployments, &namespace, &uid),
            services: owned(&index.services, &namespace, &uid),
            budgets: owned(&index.budgets, &namespace, &uid),
            network_policies: owned(&index.network_policies, &namespace, &uid),
        },
        pods,
        standbys: standby::of_service(&index.standbys.state(), &ServiceId::new(&namespace, &name)),
        ca: index.ca.load_full().map(|ca| (*ca).clone()),
        service,
    })
}

/// Whether a pod was made before the service: then it is of a deleted one of the same name, and says nothing of this one.
fn older(pod: &ObjectMeta, service: &ObjectMeta) -> bool {
    matches!((&pod.creation_timestamp, &service.creation_timestamp), (Some(pod), Some(service)) if pod < service)
}

fn owned<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>, namespace: &str, uid: &str) -> Vec<Arc<K>> {
    store.state_filter(|live| ours(live, namespace, uid))
}

/// Whether the object belongs to the service with this uid.
pub fn ours<K: Resource>(live: &K, namespace: &str, uid: &str) -> bool {
    live.meta().namespace.as_deref() == Some(namespace) && live.owner_references().iter().any(|owner| owner.uid == uid)
}

fn is_ca(live: &ConfigMap, namespace: &str) -> bool {
    live.meta().namespace.as_deref() == Some(namespace) && live.name_any() == crate::build::config_map::CA
}

async fn warnings(client: &Client, namespace: &str, pod: &str) -> Result<Vec<Event>, kube::Error> {
    let selector = format!("involvedObject.kind=Pod,involvedObject.name={pod},type=Warning");
    let listed = Api::<Event>::namespaced(client.clone(), namespace)
        .list(&ListParams::default().fields(&selector).limit(20))
        .await?;
    Ok(listed.items)
}
