//! What a pool's standby servers are made of, all in the release's own namespace; pure.
//!
//! Isolation is as strict as that of a tenant's own pods: in from gateway and operator, out to DNS and to the stores of the
//! revision that is served. The last is a label for each store, set when a standby is assigned: a free one reaches none.

use crate::build::config_map;
use crate::build::deployment::on_pool;
use crate::build::network_policy::{CALLERS, egress, port as open, release};
use crate::build::template::{
    DATA_PORT, HEALTH_PORT, MARGIN, common_args, common_mounts, common_volumes, pod_security, port, requirements,
    server,
};
use crate::config::Settings;
use crate::naming::{self, short_digest};
use crate::plan::{Isolation, support};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSchedulingGate, PodSpec, PodTemplateSpec};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};
use millrace_crds::store::Store;
use millrace_crds::{AcceleratorPool, labels};
use std::collections::BTreeMap;

/// Where a standby is assigned.
pub const ASSIGN_PORT: i32 = 8444;
/// Seconds that a standby has for what it admitted.
pub const DRAIN: i64 = 30;
/// What keeps a new standby from being scheduled before its pool has room for it.
pub const GATE: &str = "millrace.dev/room";

/// The objects of a pool.
#[derive(Clone, Debug, Default)]
pub struct PoolObjects {
    /// The release's CA.
    pub config_maps: Vec<ConfigMap>,
    /// Isolation.
    pub network_policies: Vec<NetworkPolicy>,
    /// One.
    pub deployments: Vec<Deployment>,
}

/// The image of a pool's standbys.
#[must_use]
pub fn image<'s>(pool: &AcceleratorPool, settings: &'s Settings) -> &'s str {
    if on_gpu(pool, settings) { &settings.gpu_image } else { &settings.image }
}

/// Whether they have what a GPU needs.
fn on_gpu(pool: &AcceleratorPool, settings: &Settings) -> bool {
    pool.spec.resource.name.is_some() && !settings.gpu_image.is_empty()
}

/// The label by which a pod reaches a store.
#[must_use]
pub fn store_label(store: &Store) -> String {
    format!("store.millrace.dev/{}", short_digest(&format!("{}://{}", store.scheme, store.name), 8))
}

/// What a pool needs; nothing if it asks for no standby, or isn't to be used.
#[must_use]
pub fn objects(pool: &AcceleratorPool, settings: &Settings, ca: &str) -> PoolObjects {
    let refused = support::unsupported(&pool.spec, support::POOL).refused;
    if pool.spec.standby.replicas == 0 || !refused.is_empty() || pool.metadata.deletion_timestamp.is_some() {
        return PoolObjects::default();
    }
    let stores = settings.stores.iter().map(|store| to_store(pool, store, settings));
    PoolObjects {
        config_maps: vec![config_map::ca(&settings.namespace, ca)],
        network_policies: std::iter::once(isolation(pool, settings)).chain(stores).collect(),
        deployments: vec![deployment(pool, settings)],
    }
}

fn common(pool: &str) -> BTreeMap<String, String> {
    [(labels::MANAGED_BY, labels::MANAGER), (labels::COMPONENT, labels::COMPONENT_STANDBY), (labels::POOL, pool)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn child(pool: &AcceleratorPool, settings: &Settings, part: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(naming::standby(&settings.release, &pool.name_any(), part)),
        namespace: Some(settings.namespace.clone()),
        labels: Some(common(&pool.name_any())),
        owner_references: pool.owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

fn selected(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// In from those who may call, out to names alone.
fn isolation(pool: &AcceleratorPool, settings: &Settings) -> NetworkPolicy {
    let from = |components: &[&str], number: i32| NetworkPolicyIngressRule {
        from: Some(vec![release(settings, components)]),
        ports: Some(vec![open(number, "TCP")]),
    };
    NetworkPolicy {
        metadata: child(pool, settings, ""),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selected(common(&pool.name_any()))),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![
                from(&CALLERS, DATA_PORT),
                from(&[labels::COMPONENT_OPERATOR], ASSIGN_PORT),
                NetworkPolicyIngressRule { from: None, ports: Some(vec![open(HEALTH_PORT, "TCP")]) },
            ]),
            egress: Some(egress(&Isolation::default())),
        }),
    }
}

/// Out to one store, for those that serve a model of it.
fn to_store(pool: &AcceleratorPool, store: &Store, settings: &Settings) -> NetworkPolicy {
    let label = store_label(store);
    let part = label.rsplit('/').next().unwrap_or_default();
    let mut reached = common(&pool.name_any());
    reached.insert(label.clone(), "true".to_owned());
    let isolation = Isolation { public: store.cidrs.is_empty(), cidrs: store.cidrs.iter().cloned().collect() };
    NetworkPolicy {
        metadata: child(pool, settings, part),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selected(reached)),
            policy_types: Some(vec!["Egress".to_owned()]),
            ingress: None,
            egress: Some(egress(&isolation)),
        }),
    }
}

fn deployment(pool: &AcceleratorPool, settings: &Settings) -> Deployment {
    let mut free = common(&pool.name_any());
    free.insert(labels::STANDBY.to_owned(), labels::FREE.to_owned());
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(free.clone()), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            containers: vec![container(pool, settings)],
            enable_service_links: Some(false),
            scheduling_gates: Some(vec![PodSchedulingGate { name: GATE.to_owned() }]),
            security_context: Some(pod_security(false)),
            termination_grace_period_seconds: Some(DRAIN + MARGIN),
            volumes: Some(common_volumes(pool.spec.standby.identity.as_ref().map(|identity| &identity.secret_name))),
            ..PodSpec::default()
        }),
    };
    Deployment {
        metadata: child(pool, settings, ""),
        spec: DeploymentSpec {
            replicas: i32::try_from(pool.spec.standby.replicas).ok(),
            revision_history_limit: Some(0),
            // An assigned one has left the selector: it is made anew at once, and no change of the template touches it.
            selector: selected(free),
            // There may be no accelerator beside those that are held.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(0)),
                    max_unavailable: Some(IntOrString::Int(1)),
                }),
            }),
            template: on_pool(template, pool, 1),
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    }
}

fn container(pool: &AcceleratorPool, settings: &Settings) -> Container {
    let standby = &pool.spec.standby;
    let drain = format!("{DRAIN}s");
    let mut args: Vec<String> =
        ["standby", "--assign-address", "0.0.0.0:8444", "--address", "0.0.0.0:8443"].map(str::to_owned).into();
    args.extend(common_args(&drain));
    if on_gpu(pool, settings) {
        args.push("--gpu".to_owned());
    }
    if standby.identity.is_some() {
        args.extend(["--credentials".to_owned(), "/etc/millrace-credentials".to_owned()]);
    }
    Container {
        args: Some(args),
        ports: Some(vec![port("data", DATA_PORT), port("assign", ASSIGN_PORT), port("health", HEALTH_PORT)]),
        resources: Some(requirements(standby.resources.cpu.as_str(), standby.resources.memory.as_str())),
        volume_mounts: Some(common_mounts(standby.identity.is_some())),
        ..server(image(pool, settings), settings)
    }
}
