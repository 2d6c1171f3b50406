//! Writes what is to be: server-side apply in a stated order, then prune.
//!
//! Order: what pods read comes before the pods; isolation before what it isolates.

use crate::build::{Applied, Desired, Objects};
use crate::observe::{Observed, Owned, ours};
use crate::scale::replicas_taken;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use millrace_crds::labels;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

/// Why objects couldn't be written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused or can't be reached.
    #[error("{what} can't be written: {source}")]
    Api {
        /// Kind and name.
        what: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// An object of that name is somebody else's.
    #[error("{kind} {name} exists and doesn't belong to this service: rename one of them")]
    Foreign {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object of that name belongs to a service of the same name that was deleted.
    #[error("{kind} {name} of the deleted service of this name is still there: the cluster removes it")]
    Former {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
}

/// What an object of a kind needs so that it can be applied.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}
impl<K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned> Child
    for K
{
}

/// Writes what differs, then removes what isn't wanted any more.
///
/// # Errors
/// The first write that fails; what was written stays, and the next attempt goes on from there.
pub async fn apply(
    client: &Client,
    objects: Objects<Desired>,
    observed: &Observed,
) -> Result<Objects<Applied>, ApplyError> {
    let Objects {
        controller_revisions,
        config_maps,
        network_policies,
        services,
        budgets,
        deployments,
        stage: PhantomData,
    } = objects;
    let live = &observed.owned;
    let applied = Objects {
        controller_revisions: all(client, controller_revisions, &live.controller_revisions).await?,
        config_maps: all(client, config_maps, &live.config_maps).await?,
        network_policies: all(client, network_policies, &live.network_policies).await?,
        services: all(client, services, &live.services).await?,
        budgets: all(client, budgets, &live.budgets).await?,
        deployments: all(client, deployments, &live.deployments).await?,
        stage: PhantomData,
    };
    prune(client, &applied, observed).await?;
    Ok(applied)
}

/// Writes those of a kind that differ from what is there.
///
/// # Errors
/// The first write that fails.
pub(crate) async fn all<K: Child>(client: &Client, desired: Vec<K>, live: &[Arc<K>]) -> Result<Vec<K>, ApplyError> {
    let mut applied = Vec::with_capacity(desired.len());
    for object in desired {
        let known = live.iter().find(|live| live.name_any() == object.name_any());
        applied.push(match known {
            Some(known) if covers(&json(&**known), &json(&object)) => (**known).clone(),
            _ => write(client, object).await?,
        });
    }
    Ok(applied)
}

/// Looks at the object as it is now, and writes it if nobody else's is in the way. The look is not from the index: on a
/// stale one, a Deployment that the scaler has just taken over would be set back to zero.
async fn write<K: Child>(client: &Client, object: K) -> Result<K, ApplyError> {
    let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
    let failed = |source: kube::Error| ApplyError::Api { what: format!("{kind} {name}"), source: Box::new(source) };
    let api = Api::<K>::namespaced(client.clone(), object.meta().namespace.as_deref().unwrap_or_default());
    let mut body = json(&object);
    if let Some(now) = api.get_opt(&name).await.map_err(failed)? {
        if former(&now, &object) {
            return Err(ApplyError::Former { kind: kind.clone(), name: name.clone() });
        }
        if foreign(&now, &object) {
            return Err(ApplyError::Foreign { kind: kind.clone(), name: name.clone() });
        }
        let fresh = json(&now);
        if taken_over(&fresh) {
            body.pointer_mut("/spec").and_then(Value::as_object_mut).map(|spec| spec.remove("replicas"));
        }
        if covers(&fresh, &body) {
            return Ok(now);
        }
        body["metadata"]["resourceVersion"] = now.resource_version().into();
    }
    let params = PatchParams::apply(labels::FIELD_MANAGER).force();
    tracing::info!(kind, name, "apply");
    api.patch(&name, &params, &Patch::Apply(&body)).await.map_err(failed)
}

/// Whether a live object, as JSON, is a Deployment whose number of replicas is the scaler's.
fn taken_over(live: &Value) -> bool {
    live["kind"] == "Deployment"
        && serde_json::from_value::<Deployment>(live.clone()).is_ok_and(|deployment| replicas_taken(&deployment))
}

/// Whether a live object isn't ours to write: it has another owner than the one that we would give it, or no label of ours.
fn foreign<K: Resource>(live: &K, desired: &K) -> bool {
    let namespace = desired.meta().namespace.as_deref().unwrap_or_default();
    match desired.owner_references().first() {
        Some(owner) => !ours(live, namespace, &owner.uid),
        None => live.labels().get(labels::MANAGED_BY).map(String::as_str) != Some(labels::MANAGER),
    }
}

/// Whether a live object was left by a service of the same name, which was deleted and made anew: no conflict, but a
/// matter of waiting until the cluster has removed it.
fn former<K: Resource>(live: &K, desired: &K) -> bool {
    let Some(owner) = desired.owner_references().first() else { return false };
    live.owner_references().iter().any(|old| old.kind == owner.kind && old.name == owner.name && old.uid != owner.uid)
}

/// Removes what the service owns and no longer wants.
async fn prune(client: &Client, applied: &Objects<Applied>, observed: &Observed) -> Result<(), ApplyError> {
    let Objects {
        controller_revisions,
        config_maps,
        network_policies,
        services,
        budgets,
        deployments,
        stage: PhantomData,
    } = applied;
    let Owned {
        config_maps: maps,
        controller_revisions: revisions,
        deployments: live,
        services: names,
        budgets: limits,
        network_policies: policies,
    } = &observed.owned;
    let idle: Vec<_> = live.iter().filter(|deployment| is_idle(deployment, observed)).cloned().collect();
    rest(client, deployments, &idle).await?;
    rest(client, budgets, limits).await?;
    rest(client, services, names).await?;
    rest(client, network_policies, policies).await?;
    rest(client, config_maps, maps).await?;
    rest(client, controller_revisions, revisions).await
}

/// A Deployment may go only when the scaler has brought it to zero and its last pod is gone: until then it serves or drains.
fn is_idle(deployment: &Deployment, observed: &Observed) -> bool {
    let label = |key: &str| deployment.labels().get(key).cloned().unwrap_or_default();
    let replicas = deployment.spec.replicas.unwrap_or(1);
    let (revision, pool) = (label(labels::REVISION), label(labels::POOL));
    replicas == 0 && !observed.pods.iter().any(|pod| pod.revision == revision && pod.pool == pool)
}

/// Removes those of a kind that are there and not wanted.
///
/// # Errors
/// The first removal that fails.
pub(crate) async fn rest<K: Child>(client: &Client, wanted: &[K], live: &[Arc<K>]) -> Result<(), ApplyError> {
    for gone in live.iter().filter(|live| {
        live.meta().deletion_timestamp.is_none() && !wanted.iter().any(|object| object.name_any() == live.name_any())
    }) {
        let (kind, name) = (K::kind(&()).into_owned(), gone.name_any());
        let api = Api::<K>::namespaced(client.clone(), gone.meta().namespace.as_deref().unwrap_or_default());
        let exactly = Preconditions { uid: gone.uid(), resource_version: gone.resource_version() };
        let params = DeleteParams { preconditions: Some(exactly), ..DeleteParams::background() };
        tracing::info!(kind, name, "prune");
        match api.delete(&name, &params).await {
            Ok(_) => {}
            Err(error) if is_status(&error, 404) => {}
            Err(source) => return Err(ApplyError::Api { what: format!("{kind} {name}"), source: Box::new(source) }),
        }
    }
    Ok(())
}

/// Whether the API server answered with this code.
#[must_use]
pub fn is_status(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// An object as JSON, with kind and version: the typed structs of Kubernetes leave nothing out.
fn json<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// Whether a live value has everything that is desired. What the API server adds by default is no difference.
#[must_use]
pub fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (_, Value::Null) => true,
        (Value::Object(live), Value::Object(desired)) => desired
            .iter()
            .all(|(key, wanted)| live.get(key).map_or_else(|| is_nothing(wanted), |live| covers(live, wanted))),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len() && live.iter().zip(desired).all(|(live, wanted)| covers(live, wanted))
        }
        (Value::String(live), Value::String(desired)) => live == desired || same_amount(live, desired),
        _ => live == desired,
    }
}

/// The API server leaves empty lists and maps out of what it answers.
fn is_nothing(wanted: &Value) -> bool {
    match wanted {
        Value::Null => true,
        Value::Array(entries) => entries.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// `0.2` and `200m`: the API server writes amounts its own way.
fn same_amount(live: &str, desired: &str) -> bool {
    let amount = |text: &str| {
        let starts = text.starts_with(|first: char| first.is_ascii_digit());
        starts.then(|| millrace_crds::Quantity::from(text).to_f64()).flatten()
    };
    matches!((amount(live), amount(desired)), (Some(live), Some(desired)) if (live - desired).abs() <= 1e-9 * live.abs())
}

#[cfg(test)]
mod tests;
