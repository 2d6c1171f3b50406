//! The index: one reflector for each kind, each as narrow as it can be, and which services a change concerns.

use arc_swap::ArcSwapOption;
use futures::{FutureExt, Stream, StreamExt, future};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt};
use millrace_crds::{AcceleratorPool, InferenceService, Tenant, labels};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// A service as it is watched: one that can't be read must not blind the watch.
pub type Guarded = DeserializeGuard<InferenceService>;

/// Which services to look at again.
#[derive(Clone, Debug)]
pub struct Triggers {
    /// One service.
    pub one: UnboundedSender<ObjectRef<Guarded>>,
    /// All of them.
    pub all: UnboundedSender<()>,
    /// Pools: their counts may have changed.
    pub pools: UnboundedSender<()>,
    /// Tenants: their namespaces may have changed.
    pub tenants: UnboundedSender<()>,
}

/// What is known of the cluster.
#[derive(Clone)]
pub struct Index {
    /// Pools.
    pub pools: Store<AcceleratorPool>,
    /// Tenants.
    pub tenants: Store<Tenant>,
    /// Labels of namespaces.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Nodes.
    pub nodes: Store<Node>,
    /// Server pods.
    pub pods: Store<Pod>,
    /// Pods of standby servers: those of the release's own namespace, for what another says of itself counts for nothing.
    pub standbys: Store<Pod>,
    /// Gateway pods.
    pub gateways: Store<Pod>,
    /// ConfigMaps.
    pub config_maps: Store<ConfigMap>,
    /// ControllerRevisions.
    pub controller_revisions: Store<ControllerRevision>,
    /// Deployments.
    pub deployments: Store<Deployment>,
    /// Services.
    pub services: Store<Service>,
    /// Budgets.
    pub budgets: Store<PodDisruptionBudget>,
    /// Policies.
    pub network_policies: Store<NetworkPolicy>,
    /// Public part of the release's CA.
    pub ca: Arc<ArcSwapOption<String>>,
}

/// The watches that feed the index, to be run for as long as it is used.
pub type Watches = future::BoxFuture<'static, ()>;

/// Starts an index. It is empty until its watches run.
#[must_use]
pub fn index(
    client: &Client,
    namespace: &str,
    triggers: &Triggers,
    ca: Arc<ArcSwapOption<String>>,
) -> (Index, Watches) {
    let mut watches: Vec<Watches> = Vec::new();
    let ours = || watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGER));
    let of_release = watcher::Config::default().labels(&format!("{}={}", labels::COMPONENT, labels::COMPONENT_GATEWAY));
    let servers = ours().labels(&format!(
        "{}={},{}={}",
        labels::MANAGED_BY,
        labels::MANAGER,
        labels::COMPONENT,
        labels::COMPONENT_SERVER
    ));
    let standbys = ours().labels(&format!(
        "{}={},{}={}",
        labels::MANAGED_BY,
        labels::MANAGER,
        labels::COMPONENT,
        labels::COMPONENT_STANDBY
    ));
    // The scaler's checkpoints are written every minute, large, and of no service.
    let of_services = ours().labels(&format!(
        "{}={},{}!={}",
        labels::MANAGED_BY,
        labels::MANAGER,
        labels::COMPONENT,
        labels::COMPONENT_OPERATOR
    ));
    let on_spec =
        changed::<AcceleratorPool>(triggers.all.clone(), |pool| pool.meta().generation.unwrap_or(0).to_string());
    let on_tenant = changed::<Tenant>(triggers.all.clone(), |tenant| tenant.meta().generation.unwrap_or(0).to_string());
    let on_namespace =
        changed::<PartialObjectMeta<Namespace>>(triggers.all.clone(), |namespace| format!("{:?}", namespace.labels()));
    let (tenants, pools) = (triggers.tenants.clone(), triggers.pools.clone());
    let on_labels = move |namespace: &PartialObjectMeta<Namespace>| {
        on_namespace(namespace);
        _ = tenants.send(());
    };
    let node_pools = pools.clone();
    let to_service = service_of::<Pod>(triggers.one.clone());
    let (standby_pools, lent) = (pools.clone(), triggers.one.clone());
    let on_standby = move |pod: &Pod| {
        let label = |key: &str| pod.labels().get(key);
        if let (Some(name), Some(namespace)) = (label(labels::SERVICE), label(labels::NAMESPACE)) {
            _ = lent.send(ObjectRef::new(name).within(namespace));
        }
        _ = standby_pools.send(());
    };
    let on_pod = move |pod: &Pod| {
        to_service(pod);
        _ = pools.send(());
    };
    let index = Index {
        pools: reflect(guarded(Api::all(client.clone())), on_spec, &mut watches),
        tenants: reflect(guarded(Api::all(client.clone())), on_tenant, &mut watches),
        namespaces: reflect(watch(Api::all(client.clone()), watcher::Config::default()), on_labels, &mut watches),
        nodes: reflect(
            watch(Api::all(client.clone()), watcher::Config::default()).modify(trim_node),
            move |_: &Node| _ = node_pools.send(()),
            &mut watches,
        ),
        pods: reflect(watch(Api::all(client.clone()), servers).modify(trim_pod), on_pod, &mut watches),
        standbys: reflect(
            watch(Api::namespaced(client.clone(), namespace), standbys).modify(trim_pod),
            on_standby,
            &mut watches,
        ),
        gateways: reflect(
            watch(Api::namespaced(client.clone(), namespace), of_release).modify(trim_pod),
            |_: &Pod| {},
            &mut watches,
        ),
        config_maps: child(client, of_services, triggers, &mut watches),
        controller_revisions: child(client, ours(), triggers, &mut watches),
        deployments: reflect(
            watch(Api::all(client.clone()), ours()).modify(trim_deployment),
            service_of(triggers.one.clone()),
            &mut watches,
        ),
        services: child(client, ours(), triggers, &mut watches),
        budgets: child(client, ours(), triggers, &mut watches),
        network_policies: child(client, ours(), triggers, &mut watches),
        ca,
    };
    (index, Box::pin(future::join_all(watches).map(drop)))
}

impl Index {
    /// Waits until every store has its first list.
    ///
    /// # Errors
    /// A watch has ended: the process is on its way out.
    pub async fn synced(&self) -> Result<(), reflector::store::WriterDropped> {
        self.pools.wait_until_ready().await?;
        self.tenants.wait_until_ready().await?;
        self.namespaces.wait_until_ready().await?;
        self.nodes.wait_until_ready().await?;
        self.pods.wait_until_ready().await?;
        self.standbys.wait_until_ready().await?;
        self.gateways.wait_until_ready().await?;
        self.config_maps.wait_until_ready().await?;
        self.controller_revisions.wait_until_ready().await?;
        self.deployments.wait_until_ready().await?;
        self.services.wait_until_ready().await?;
        self.budgets.wait_until_ready().await?;
        self.network_policies.wait_until_ready().await
    }
}

/// A reflector over a stream of events, with what to do on each change.
fn reflect<K, S>(stream: S, on: impl Fn(&K) + Send + 'static, watches: &mut Vec<Watches>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    S: Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
{
    let (reader, writer) = reflector::store();
    let run = stream.default_backoff().reflect(writer).for_each(move |event| {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => on(&object),
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "watch failed; it is taken up again"),
        }
        future::ready(())
    });
    watches.push(Box::pin(run));
    reader
}

fn child<K>(client: &Client, config: watcher::Config, triggers: &Triggers, watches: &mut Vec<Watches>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    reflect(watch(Api::all(client.clone()), config).modify(trim), service_of(triggers.one.clone()), watches)
}

/// A watch of a kind that others write. An object that can't be read is left out, told, and the last good one stays.
fn guarded<K>(api: Api<DeserializeGuard<K>>) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    watch(api, watcher::Config::default()).filter_map(|event| {
        let open = |guard: DeserializeGuard<K>| match guard.0 {
            Ok(mut object) => {
                trim(&mut object);
                Some(object)
            }
            Err(invalid) => {
                let name = invalid.metadata.name.as_deref().unwrap_or_default();
                tracing::warn!(kind = %K::kind(&()), name, error = %invalid, "an object can't be read by this release");
                None
            }
        };
        future::ready(match event {
            Ok(Event::Apply(guard)) => open(guard).map(|object| Ok(Event::Apply(object))),
            Ok(Event::InitApply(guard)) => open(guard).map(|object| Ok(Event::InitApply(object))),
            Ok(Event::Delete(guard)) => open(guard).map(|object| Ok(Event::Delete(object))),
            Ok(Event::Init) => Some(Ok(Event::Init)),
            Ok(Event::InitDone) => Some(Ok(Event::InitDone)),
            Err(error) => Some(Err(error)),
        })
    })
}

/// Looks at the service that a child's labels name.
fn service_of<K: Resource>(one: UnboundedSender<ObjectRef<Guarded>>) -> impl Fn(&K) + Send + 'static {
    move |child| {
        if let (Some(name), Some(namespace)) = (child.labels().get(labels::SERVICE), child.namespace()) {
            _ = one.send(ObjectRef::new(name).within(&namespace));
        }
    }
}

/// Looks at all services when an object's mark has changed: its status alone must not.
fn changed<K: Resource>(
    all: UnboundedSender<()>,
    mark: impl Fn(&K) -> String + Send + 'static,
) -> impl Fn(&K) + Send + 'static {
    let seen: Mutex<HashMap<String, String>> = Mutex::default();
    move |object| {
        let mark =
            format!("{} {:?} {}", object.uid().unwrap_or_default(), object.meta().deletion_timestamp, mark(object));
        if seen.lock().unwrap_or_else(PoisonError::into_inner).insert(object.name_any(), mark.clone()) != Some(mark) {
            _ = all.send(());
        }
    }
}

fn trim<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// Keeps of managedFields what tells who owns `spec.replicas`.
fn trim_deployment(deployment: &mut Deployment) {
    let owns_replicas = |entry: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    };
    if let Some(entries) = &mut deployment.metadata.managed_fields {
        entries.retain(owns_replicas);
        for entry in entries {
            entry.fields_v1 = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1(
                serde_json::json!({"f:spec": {"f:replicas": {}}}),
            ));
        }
    }
    deployment.status = None;
}

/// Keeps of a pod what tells where it runs, which image, what it holds and how it fares.
fn trim_pod(pod: &mut Pod) {
    trim(pod);
    pod.metadata.annotations = None;
    if let Some(spec) = &mut pod.spec {
        spec.volumes = None;
        spec.tolerations = None;
        for container in &mut spec.containers {
            let kept = k8s_openapi::api::core::v1::Container {
                name: std::mem::take(&mut container.name),
                image: container.image.take(),
                resources: container.resources.take(),
                ..Default::default()
            };
            *container = kept;
        }
    }
}

/// Keeps of a node its labels, taints, amounts and conditions.
fn trim_node(node: &mut Node) {
    trim(node);
    node.metadata.annotations = None;
    if let Some(status) = &mut node.status {
        status.images = None;
        status.volumes_attached = None;
        status.volumes_in_use = None;
        status.node_info = None;
    }
}
