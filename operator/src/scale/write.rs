//! Which `/scale` is written, and the write.

use super::fleet::Deployed;
use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use millrace_crds::labels::SCALE_MANAGER;
use millrace_scaler::{Decision, Outcome, ServiceId};
use serde_json::json;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Whose.
    pub service: ServiceId,
    /// The Deployment.
    pub name: String,
    /// Replicas.
    pub replicas: u32,
    /// Up, down, or (equal) only to own the field.
    pub direction: Ordering,
}

/// The writes that `decisions` ask for. A Deployment whose `replicas` isn't owned yet is written even if the number
/// stays, also when it is 0: else the controller could never leave the field out.
pub fn writes(deployments: &[Deployed], decisions: &[Decision]) -> Vec<Write> {
    let decided: BTreeMap<&ServiceId, &Decision> = decisions.iter().map(|d| (&d.service, d)).collect();
    let each = deployments.iter().filter_map(|deployed| {
        let decision = decided.get(&deployed.service)?;
        let replicas = match &decision.outcome {
            Outcome::To { replicas, .. } => *replicas.get(&deployed.slot).unwrap_or(&deployed.desired),
            Outcome::Hold { .. } => deployed.desired,
        };
        let direction = replicas.cmp(&deployed.desired);
        (direction != Ordering::Equal || !deployed.owned).then(|| Write {
            service: deployed.service.clone(),
            name: deployed.name.clone(),
            replicas,
            direction,
        })
    });
    each.collect()
}

/// Server-side apply of `replicas`, forced: only an apply takes the field, a merge patch of an equal value doesn't.
/// Gives the Deployment's new resourceVersion.
pub async fn apply(client: &kube::Client, write: &Write) -> Result<u64> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &write.service.namespace);
    let scale = json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": write.name, "namespace": write.service.namespace},
        "spec": {"replicas": write.replicas},
    });
    let parameters = PatchParams::apply(SCALE_MANAGER).force();
    let patch = Patch::Apply(scale);
    let call = api.patch_scale(&write.name, &parameters, &patch);
    let written = tokio::time::timeout(TIMEOUT, call).await.context("the API server took too long")??;
    Ok(written.metadata.resource_version.and_then(|version| version.parse().ok()).unwrap_or(0))
}

/// What was written and isn't in the store yet: a decision must not rest on the number before it.
#[derive(Debug, Default)]
pub struct Written(BTreeMap<(String, String), (u64, u32)>);

impl Written {
    /// Notes a write.
    pub fn note(&mut self, write: &Write, version: u64) {
        self.0.insert((write.service.namespace.to_string(), write.name.clone()), (version, write.replicas));
    }

    /// Brings what the store holds up to date, and forgets writes that it has caught up with.
    pub fn overlay(&mut self, deployments: &mut [Deployed]) {
        let mut behind = BTreeMap::new();
        for deployed in deployments {
            let key = (deployed.service.namespace.to_string(), deployed.name.clone());
            if let Some((version, replicas)) = self.0.get(&key).copied().filter(|(at, _)| *at > deployed.version) {
                (deployed.desired, deployed.owned) = (replicas, true);
                behind.insert(key, (version, replicas));
            }
        }
        self.0 = behind;
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
