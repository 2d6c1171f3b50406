//! From Kubernetes to the routing table: watches fill a synchronous index, each change makes a new table.
//!
//! Objects are turned into their few useful fields as they arrive; none is kept whole.

mod standby;

use crate::fleet::Fleet;
use crate::inputs::{Early, Inputs, PodInput, SERVER_PORT, ServiceInput, TenantInput};
use crate::routes::Table;
use crate::tls::Identity;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{Api, ApiResource, Object};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};
use millrace_crds::{Access, ApiKey, Condition, NamespaceSelector, RateLimit, Traffic, conditions, labels};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use standby::Standby;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Of an InferenceService's spec, what the gateway reads: other fields may be of a later release.
#[derive(Clone, Debug, Deserialize)]
pub struct ServiceSpec {
    #[serde(default)]
    access: Access,
}

/// Of its status.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ServiceStatus {
    #[serde(default)]
    traffic: Vec<Traffic>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// Of a Tenant's spec.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    namespaces: NamespaceSelector,
    #[serde(default)]
    keys: Vec<ApiKey>,
    #[serde(default)]
    rate_limit: Option<RateLimit>,
    #[serde(default)]
    policy: Policy,
}

/// Of its policy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    #[serde(default)]
    allow_anonymous: bool,
}

/// An object that can't be read must not blind the watch.
pub type Service = DeserializeGuard<Object<ServiceSpec, ServiceStatus>>;
/// The same for tenants.
pub type Tenant = DeserializeGuard<Object<TenantSpec, BTreeMap<String, serde_json::Value>>>;

/// An object that has a place in the inputs.
pub trait Indexed: ResourceExt + Sized {
    /// Puts it in, in place of an older one.
    fn put(self, inputs: &mut Inputs);
    /// Takes it out.
    fn remove(&self, inputs: &mut Inputs);
    /// Puts all objects of this kind from one set of inputs in place of the other's.
    fn replace(inputs: &mut Inputs, staged: Inputs);
}

fn put_in<T>(map: &mut BTreeMap<String, BTreeMap<String, T>>, object: &impl ResourceExt, value: T) {
    map.entry(object.namespace().unwrap_or_default()).or_default().insert(object.name_any(), value);
}

fn take_out<T>(map: &mut BTreeMap<String, BTreeMap<String, T>>, object: &impl ResourceExt) {
    let namespace = object.namespace().unwrap_or_default();
    if let Some(inner) = map.get_mut(&namespace) {
        inner.remove(&object.name_any());
        if inner.is_empty() {
            map.remove(&namespace);
        }
    }
}

impl Indexed for Service {
    fn put(self, inputs: &mut Inputs) {
        let object = match &self.0 {
            Ok(object) => object,
            // The last good one stays, as for any other reader of an object that it can't read.
            Err(error) => return tracing::warn!(%error, service = %self.name_any(), "can't read an InferenceService"),
        };
        let status = object.status.clone().unwrap_or_default();
        let heeded = [conditions::READY, conditions::ACCEPTED, conditions::STALLED];
        let conditions = status.conditions.into_iter().filter(|c| heeded.contains(&c.type_.as_str())).collect();
        let input = ServiceInput { access: object.spec.access.clone(), traffic: status.traffic, conditions };
        put_in(&mut inputs.services, &self, input);
    }

    fn remove(&self, inputs: &mut Inputs) {
        take_out(&mut inputs.services, self);
    }

    fn replace(inputs: &mut Inputs, staged: Inputs) {
        inputs.services = staged.services;
    }
}

impl Indexed for Tenant {
    fn put(self, inputs: &mut Inputs) {
        let object = match &self.0 {
            Ok(object) => object,
            Err(error) => return tracing::warn!(%error, tenant = %self.name_any(), "can't read a Tenant"),
        };
        let labels = object.spec.namespaces.match_labels.iter();
        let input = TenantInput {
            created: self.creation_timestamp().map_or(i64::MAX, |time| time.0.as_second()),
            namespaces: labels.map(|(key, value)| (key.clone(), value.to_string())).collect(),
            keys: object.spec.keys.clone(),
            rate_limit: object.spec.rate_limit.clone(),
            allow_anonymous: object.spec.policy.allow_anonymous,
        };
        inputs.tenants.insert(self.name_any(), input);
    }

    fn remove(&self, inputs: &mut Inputs) {
        inputs.tenants.remove(&self.name_any());
    }

    fn replace(inputs: &mut Inputs, staged: Inputs) {
        inputs.tenants = staged.tenants;
    }
}

impl Indexed for PartialObjectMeta<Namespace> {
    fn put(self, inputs: &mut Inputs) {
        inputs.namespaces.insert(self.name_any(), self.labels().clone());
    }

    fn remove(&self, inputs: &mut Inputs) {
        inputs.namespaces.remove(&self.name_any());
    }

    fn replace(inputs: &mut Inputs, staged: Inputs) {
        inputs.namespaces = staged.namespaces;
    }
}

/// What a server's pod tells of itself.
fn server(pod: &Pod) -> PodInput {
    let label = |name: &str| pod.labels().get(name).cloned().unwrap_or_default();
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    PodInput {
        uid: pod.uid().unwrap_or_default(),
        service: label(labels::SERVICE),
        revision: label(labels::REVISION),
        pool: label(labels::POOL),
        ip: status.and_then(|status| status.pod_ip.as_ref()?.parse().ok()),
        port: SERVER_PORT,
        ready: ready && pod.metadata.deletion_timestamp.is_none(),
        early: early(pod, ready),
    }
}

impl Indexed for Pod {
    fn put(self, inputs: &mut Inputs) {
        let input = server(&self);
        // Kubernetes' word counts from the first time that it is given.
        if input.early == Early::No {
            inputs.vouched.remove(&input.uid);
        }
        put_in(&mut inputs.pods, &self, input);
    }

    fn remove(&self, inputs: &mut Inputs) {
        inputs.vouched.remove(&self.uid().unwrap_or_default());
        take_out(&mut inputs.pods, self);
    }

    fn replace(inputs: &mut Inputs, staged: Inputs) {
        inputs.pods = staged.pods;
        let early = inputs.pods.values().flat_map(BTreeMap::values).filter(|pod| pod.early != Early::No);
        let early: BTreeSet<&String> = early.map(|pod| &pod.uid).collect();
        inputs.vouched.retain(|uid| early.contains(uid));
    }
}

/// A pod's first start, as far as its status tells: nothing of it was ever ready, ended or restarted.
fn early(pod: &Pod, ready: bool) -> Early {
    let Some(status) = pod.status.as_ref().filter(|_| !ready && pod.metadata.deletion_timestamp.is_none()) else {
        return Early::No;
    };
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let broken = containers.iter().any(|container| {
        let ended = container.state.as_ref().is_some_and(|state| state.terminated.is_some());
        container.restart_count > 0 || ended
    });
    match status.phase.as_deref() {
        Some("Pending" | "Running") if !broken => {}
        _ => return Early::No,
    }
    let started = containers.iter().any(|container| container.started == Some(true));
    if started { Early::Keep } else { Early::Ask }
}

/// What the watches have told.
#[derive(Debug, Default)]
pub struct Index {
    inputs: Mutex<Inputs>,
    /// Counts changes.
    changed: watch::Sender<u64>,
}

impl Index {
    /// From what was saved, or from nothing.
    #[must_use]
    pub fn new(inputs: Inputs) -> Self {
        Self { inputs: Mutex::new(inputs), changed: watch::Sender::default() }
    }

    /// Changes it.
    pub fn edit(&self, change: impl FnOnce(&mut Inputs)) {
        change(&mut self.inputs.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_modify(|count| *count += 1);
    }

    /// Tells of each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Reads it.
    pub fn read<T>(&self, look: impl FnOnce(&Inputs) -> T) -> T {
        look(&self.inputs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes a table after each change, for ever. Changes that come while a table is built make one table together.
    pub async fn publish(&self, fleet: &Fleet, mut synced: watch::Receiver<usize>) {
        // Half a list isn't a table: services without pods would be woken, tenants without namespaces refused.
        let _ = synced.wait_for(|lists| *lists >= LISTS).await;
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            fleet.publish(self.read(Table::build));
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Lists that must be there before the first table is made.
pub const LISTS: usize = 5;

/// Applies a watch's events to the index, for ever; counts the first whole list.
pub async fn follow<K>(index: &Index, api: Api<K>, config: watcher::Config, synced: &watch::Sender<usize>)
where
    K: Indexed + Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut staged = Inputs::default();
    let mut first = true;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => staged = Inputs::default(),
            Ok(Event::InitApply(object)) => object.put(&mut staged),
            Ok(Event::InitDone) => {
                let staged = std::mem::take(&mut staged);
                index.edit(|inputs| K::replace(inputs, staged));
                if std::mem::take(&mut first) {
                    synced.send_modify(|lists| *lists += 1);
                }
            }
            Ok(Event::Apply(object)) => index.edit(|inputs| object.put(inputs)),
            Ok(Event::Delete(object)) => index.edit(|inputs| object.remove(inputs)),
            Err(error) => tracing::warn!(%error, "a watch broke off and is taken up again"),
        }
    }
}

/// Follows everything that the table is made of; `release` is the namespace of the release.
pub async fn follow_all(index: &Index, client: &Client, release: &str, synced: &watch::Sender<usize>) {
    let resource = |kind: &str, plural: &str| ApiResource {
        group: millrace_crds::GROUP.to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: millrace_crds::API_VERSION.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    let services: Api<Service> = Api::all_with(client.clone(), &resource("InferenceService", "inferenceservices"));
    let tenants: Api<Tenant> = Api::all_with(client.clone(), &resource("Tenant", "tenants"));
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client.clone());
    let standbys: Api<Standby> = Api::namespaced(client.clone(), release);
    let running = |component: &str| {
        [(labels::MANAGED_BY, labels::MANAGER), (labels::COMPONENT, component)]
            .map(|(key, value)| format!("{key}={value}"))
            .join(",")
    };
    // Pages of 100: the peak of a list's memory is a page's.
    let config = || watcher::Config::default().page_size(100);
    tokio::join!(
        follow(index, services, config(), synced),
        follow(index, tenants, config(), synced),
        follow(index, namespaces, config(), synced),
        follow(index, pods, config().labels(&running(labels::COMPONENT_SERVER)), synced),
        follow(index, standbys, config().labels(&running(labels::COMPONENT_STANDBY)), synced),
    );
}

/// Follows the Secret that holds the gateway's identity, and hands each one on.
pub async fn follow_identity(api: Api<Secret>, name: &str, identity: &watch::Sender<Option<Arc<Identity>>>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(secret) | Event::Apply(secret)) => match read_identity(&secret) {
                Some(fresh) => {
                    identity.send_if_modified(|held| {
                        let new = held.as_deref() != Some(&fresh);
                        *held = Some(Arc::new(fresh));
                        new
                    });
                }
                None => tracing::warn!(name, "the Secret lacks tls.crt, tls.key or ca.crt"),
            },
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the watch of the gateway's Secret broke off and is taken up again"),
        }
    }
}

fn read_identity(secret: &Secret) -> Option<Identity> {
    let data = secret.data.as_ref()?;
    let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
    Some(Identity { cert: text("tls.crt")?, key: text("tls.key")?, ca: text("ca.crt")? })
}

#[cfg(test)]
mod tests;
