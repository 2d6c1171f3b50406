//! What a pod's state says to the scaler; pure.

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use millrace_crds::labels;
use millrace_scaler::{Count, Reporter, ServiceId, Slot};
use std::net::IpAddr;

/// Where a replica's pod stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Takes requests.
    Ready {
        /// Since when.
        since: f64,
        /// When it was made.
        made: f64,
    },
    /// On its way.
    Starting(f64),
    /// The scheduler refuses it, since when.
    Unschedulable(f64),
    /// Ends, and still holds its node's accelerators.
    Terminating,
    /// Holds nothing.
    Gone,
}

/// The stage of a pod.
pub fn stage(pod: &Pod) -> Stage {
    let status = pod.status.as_ref();
    let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    if matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed")) {
        return Stage::Gone;
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return if bound { Stage::Terminating } else { Stage::Gone };
    }
    let made = pod.metadata.creation_timestamp.as_ref().map_or(0.0, seconds);
    let since = |condition: &PodCondition| condition.last_transition_time.as_ref().map_or(made, seconds);
    if let Some(ready) = condition(pod, "Ready").filter(|ready| ready.status == "True") {
        return Stage::Ready { since: since(ready), made };
    }
    match condition(pod, "PodScheduled") {
        Some(scheduled) if scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable") => {
            Stage::Unschedulable(since(scheduled))
        }
        _ => Stage::Starting(made),
    }
}

/// The service and slot that a server's pod (or Deployment) is of.
pub fn slot(object: &impl ResourceExt) -> Option<(ServiceId, Slot)> {
    let label = |name: &str| object.labels().get(name).cloned();
    let id = ServiceId::new(&object.namespace()?, &label(labels::SERVICE)?);
    let slot = Slot { revision: label(labels::REVISION)?.into(), pool: label(labels::POOL)?.into() };
    (label(labels::MANAGED_BY).as_deref() == Some(labels::MANAGER)).then_some((id, slot))
}

/// Adds a pod to its slot's count.
pub fn count(into: &mut Count, stage: &Stage) {
    match stage {
        Stage::Ready { .. } => into.ready += 1,
        Stage::Starting(made) => into.starting.push(*made),
        Stage::Unschedulable(since) => into.unschedulable.push(*since),
        Stage::Terminating => into.terminating += 1,
        Stage::Gone => {}
    }
}

/// A pod's name as a reporter: its uid, for names come again.
pub fn reporter(pod: &Pod) -> Option<Reporter> {
    pod.metadata.uid.clone().map(Reporter::from)
}

/// Its address.
pub fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()
}

/// Whether a container of it runs: then a gateway may hold requests, ready or not, terminating or not.
pub fn runs(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses
        .into_iter()
        .flatten()
        .any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// Whether none of its containers was ever restarted.
pub fn never_restarted(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().all(|container| container.restart_count == 0)
}

/// When the scheduler gave it a node.
pub fn scheduled(pod: &Pod) -> Option<f64> {
    let scheduled = condition(pod, "PodScheduled").filter(|scheduled| scheduled.status == "True")?;
    scheduled.last_transition_time.as_ref().map(seconds)
}

/// When its container began to run.
pub fn began(pod: &Pod) -> Option<f64> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let running = containers.iter().find_map(|container| container.state.as_ref()?.running.as_ref())?;
    running.started_at.as_ref().map(seconds)
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// A moment, in seconds since the epoch.
pub fn seconds(time: &Time) -> f64 {
    time.0.as_millisecond() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    const AT: &str = "2026-01-01T00:00:10Z";

    #[test]
    fn stages() {
        let made = json!({"creationTimestamp": AT, "deletionTimestamp": null});
        let leaving = json!({"creationTimestamp": AT, "deletionTimestamp": AT});
        let condition = |kind: &str, status: &str, reason: &str| json!([{"type": kind, "status": status, "reason": reason, "lastTransitionTime": AT}]);
        let at = 1_767_225_610.0;
        for (value, expected) in [
            (json!({"metadata": made}), Stage::Starting(at)),
            (
                json!({"metadata": made, "status": {"conditions": condition("Ready", "True", "")}}),
                Stage::Ready { since: at, made: at },
            ),
            (json!({"metadata": made, "status": {"conditions": condition("Ready", "False", "")}}), Stage::Starting(at)),
            (
                json!({"metadata": made, "status": {"conditions": condition("PodScheduled", "False", "Unschedulable")}}),
                Stage::Unschedulable(at),
            ),
            (
                json!({"metadata": made, "status": {"conditions": condition("PodScheduled", "False", "SchedulingGated")}}),
                Stage::Starting(at),
            ),
            (json!({"metadata": made, "status": {"phase": "Failed"}}), Stage::Gone),
            (json!({"metadata": leaving, "spec": {"nodeName": "n", "containers": []}}), Stage::Terminating),
            (json!({"metadata": leaving}), Stage::Gone),
        ] {
            assert_eq!(stage(&pod(value.clone())), expected, "{value}");
        }
    }

    #[test]
    fn only_our_labels_make_a_slot() {
        let labels = json!({"app.kubernetes.io/managed-by": "millrace", "millrace.dev/service": "s", "millrace.dev/revision": "r", "millrace.dev/pool": "p"});
        let (id, found) = slot(&pod(json!({"metadata": {"namespace": "n", "labels": labels}}))).unwrap();
        assert_eq!((id, found), (ServiceId::new("n", "s"), Slot::new(&"r".into(), &"p".into())));
        let mut foreign = labels;
        foreign["app.kubernetes.io/managed-by"] = json!("Helm");
        assert_eq!(slot(&pod(json!({"metadata": {"namespace": "n", "labels": foreign}}))), None);
    }

    #[test]
    fn a_gateway_that_runs_counts_even_when_it_leaves() {
        let running = json!({"containerStatuses": [{"name": "g", "image": "", "imageID": "", "ready": false, "restartCount": 1, "state": {"running": {}}}]});
        let leaving = pod(json!({"metadata": {"deletionTimestamp": AT}, "status": running}));
        assert!(runs(&leaving) && !never_restarted(&leaving));
        assert!(!runs(&pod(json!({"metadata": {}, "status": {"phase": "Pending"}}))));
    }
}
