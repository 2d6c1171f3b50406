//! Keeps a pool's standby servers as they should be.

use super::objects::{PoolObjects, objects};
use crate::apply::{ApplyError, all, rest};
use crate::controller::Context;
use crate::observe::ours;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use millrace_crds::AcceleratorPool;

/// Writes what differs, in the order in which pods need it, then removes what isn't wanted any more.
///
/// # Errors
/// The first write that fails; the next attempt goes on from there.
pub async fn keep(context: &Context, pool: &AcceleratorPool) -> Result<(), ApplyError> {
    let (index, client, settings) = (&context.index, &context.client, &context.settings);
    let (namespace, uid) = (settings.namespace.as_str(), pool.uid().unwrap_or_default());
    let Some(ca) = index.ca.load_full() else { return Ok(()) };
    let PoolObjects { config_maps, network_policies, deployments } = objects(pool, settings, &ca);
    let maps = index.config_maps.state_filter(|map| map.namespace().as_deref() == Some(namespace));
    let policies = index.network_policies.state_filter(|live| ours(live, namespace, &uid));
    let live = index.deployments.state_filter(|live| ours::<Deployment>(live, namespace, &uid));
    // The CA is the namespace's, and stays.
    all(client, config_maps, &maps).await?;
    let network_policies = all(client, network_policies, &policies).await?;
    let deployments = all(client, deployments, &live).await?;
    rest(client, &deployments, &live).await?;
    rest(client, &network_policies, &policies).await
}
