//! What the pod of a standby server tells of itself; pure.

use crate::scale::{Stage, address, stage};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use millrace_crds::{StandbyCounts, labels};
use millrace_scaler::{PoolName, ServiceId, Slot};
use std::net::IpAddr;
use std::sync::Arc;

/// A standby server.
#[derive(Clone, Debug, PartialEq)]
pub struct Standby {
    /// Its pod's name.
    pub name: String,
    /// Its pod's uid.
    pub uid: String,
    /// Its pod's resourceVersion: a claim is bound to it.
    pub version: String,
    /// Uids of what the pod belongs to.
    pub owners: Vec<String>,
    /// Its pool.
    pub pool: PoolName,
    /// The image that it runs.
    pub image: String,
    /// Where it answers.
    pub address: Option<IpAddr>,
    /// What it is for.
    pub role: Role,
    /// Where its pod stands.
    pub stage: Stage,
    /// Whether a container of it has ended: what follows isn't what was assigned.
    pub restarted: bool,
}

/// What a standby server is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It waits for room in its pool, and isn't scheduled before.
    Gated,
    /// It has served nobody.
    Free,
    /// It was given to a slot of a service, and loads the model.
    Assigned(ServiceId, Slot),
    /// It answers for one.
    Serving(ServiceId, Slot),
}

impl Standby {
    /// The service and slot that it stands in for.
    #[must_use]
    pub fn loan(&self) -> Option<(&ServiceId, &Slot)> {
        match &self.role {
            Role::Assigned(service, slot) | Role::Serving(service, slot) => Some((service, slot)),
            Role::Gated | Role::Free => None,
        }
    }

    /// Whether it answers requests.
    #[must_use]
    pub fn serves(&self) -> bool {
        matches!((&self.role, &self.stage), (Role::Serving(..), Stage::Ready { .. }))
    }

    /// Whether it could be given away now.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.role == Role::Free && matches!(self.stage, Stage::Ready { .. })
    }

    /// Whether it holds an accelerator, or will as soon as the cluster catches up.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.role {
            Role::Gated => false,
            // What finds no node must not keep replicas from it either.
            Role::Free => !matches!(self.stage, Stage::Gone | Stage::Unschedulable(_)),
            Role::Assigned(..) | Role::Serving(..) => self.stage != Stage::Gone,
        }
    }
}

/// Reads a pod of the release's own namespace; `None`: it is no standby server.
#[must_use]
pub fn read(pod: &Pod) -> Option<Standby> {
    let label = |key: &str| pod.labels().get(key).cloned();
    let pool = PoolName::from(label(labels::POOL)?);
    let loan = || {
        let service = ServiceId::new(&label(labels::NAMESPACE)?, &label(labels::SERVICE)?);
        Some((service, Slot { revision: label(labels::REVISION)?.into(), pool: pool.clone() }))
    };
    let gated =
        pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref()).is_some_and(|gates| !gates.is_empty());
    let role = match label(labels::STANDBY)?.as_str() {
        labels::FREE if gated => Role::Gated,
        labels::FREE => Role::Free,
        labels::ASSIGNED => loan().map(|(service, slot)| Role::Assigned(service, slot))?,
        labels::SERVING => loan().map(|(service, slot)| Role::Serving(service, slot))?,
        _ => return None,
    };
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    Some(Standby {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        version: pod.resource_version().unwrap_or_default(),
        owners: pod.owner_references().iter().map(|owner| owner.uid.clone()).collect(),
        image: containers.first().and_then(|container| container.image.clone()).unwrap_or_default(),
        address: address(pod),
        stage: stage(pod),
        restarted: statuses.into_iter().flatten().any(|container| container.restart_count > 0),
        pool,
        role,
    })
}

/// Those that stand in for a service, by name of their pods.
#[must_use]
pub fn of_service(pods: &[Arc<Pod>], service: &ServiceId) -> Vec<Standby> {
    let own = |standby: &Standby| standby.loan().is_some_and(|(id, _)| id == service);
    let mut found: Vec<Standby> = pods.iter().filter_map(|pod| read(pod)).filter(own).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Those of a pool, counted; `None`: it asks for none and has none.
#[must_use]
pub fn counts(pods: &[Arc<Pod>], pool: &str, asked: u32) -> Option<StandbyCounts> {
    let of_pool: Vec<Standby> =
        pods.iter().filter_map(|pod| read(pod)).filter(|standby| standby.pool.as_str() == pool).collect();
    let count = |wanted: &dyn Fn(&Standby) -> bool| {
        u32::try_from(of_pool.iter().filter(|standby| wanted(standby)).count()).unwrap_or(u32::MAX)
    };
    (asked > 0 || !of_pool.is_empty()).then(|| StandbyCounts {
        ready: count(&Standby::is_free),
        assigned: count(&|standby| standby.loan().is_some() && standby.holds()),
    })
}
