//! The status of AcceleratorPools: nodes and accelerators, counted.

use crate::plan::support;
use crate::plan::tenancy::list;
use crate::standby;
use crate::status::settle;
use crate::tenant::condition;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{Resource, ResourceExt};
use millrace_crds::conditions::{ACCEPTED, FULLY_SUPPORTED, READY, reason};
use millrace_crds::{AcceleratorCounts, AcceleratorPool, AcceleratorPoolStatus, Condition, ConditionStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The status of a pool, given all nodes, Millrace's server pods, and those of standby servers.
#[must_use]
pub fn status(
    pool: &AcceleratorPool,
    nodes: &[Arc<Node>],
    pods: &[Arc<Pod>],
    standbys: &[Arc<Pod>],
    now: &str,
) -> AcceleratorPoolStatus {
    let members: Vec<_> = nodes.iter().filter(|node| selected(pool, node)).collect();
    let usable: Vec<_> = members.iter().filter(|node| takes_pods(node)).collect();
    let names: BTreeSet<String> = members.iter().map(|node| node.name_any()).collect();
    let accelerators = pool.spec.resource.name.as_ref().map(|resource| AcceleratorCounts {
        total: members
            .iter()
            .map(|node| amount(node.status.as_ref().and_then(|status| status.allocatable.as_ref()), resource.as_str()))
            .sum(),
        allocatable: usable
            .iter()
            .map(|node| amount(node.status.as_ref().and_then(|status| status.allocatable.as_ref()), resource.as_str()))
            .sum(),
        used: pods
            .iter()
            .chain(standbys)
            .filter(|pod| on(pod, &names))
            .map(|pod| requested(pod, resource.as_str()))
            .sum(),
    });
    let mut conditions = conditions(pool, usable.len());
    let old = pool.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    settle(&mut conditions, old, pool.meta().generation, now);
    AcceleratorPoolStatus {
        observed_generation: pool.meta().generation,
        nodes: u32::try_from(usable.len()).unwrap_or(u32::MAX),
        accelerators,
        standby: standby::counts(standbys, &pool.name_any(), pool.spec.standby.replicas),
        conditions,
    }
}

fn conditions(pool: &AcceleratorPool, usable: usize) -> Vec<Condition> {
    let fields = support::unsupported(&pool.spec, support::POOL);
    let accepted = if fields.refused.is_empty() {
        condition(ACCEPTED, ConditionStatus::True, reason::ACCEPTED, "the pool may be used".to_owned())
    } else {
        let message = format!("this release doesn't act on {}: no service is placed here", list(&fields.refused));
        condition(ACCEPTED, ConditionStatus::False, reason::NOT_SUPPORTED, message)
    };
    let grows = pool.spec.provisioning.is_some();
    let ready = match (accepted.status, usable, grows) {
        (ConditionStatus::True, 1.., _) => {
            condition(READY, ConditionStatus::True, reason::READY, format!("{usable} nodes take pods"))
        }
        (ConditionStatus::True, 0, true) => condition(
            READY,
            ConditionStatus::True,
            reason::SCALED_TO_ZERO,
            "no node yet; the pool grows when pods wait".to_owned(),
        ),
        (ConditionStatus::True, _, _) => condition(
            READY,
            ConditionStatus::False,
            reason::NO_POOL_FITS,
            "no ready node has the labels of spec.nodeSelector".to_owned(),
        ),
        _ => condition(READY, ConditionStatus::False, reason::NOT_SUPPORTED, accepted.message.clone()),
    };
    let support = if fields.named.is_empty() {
        condition(
            FULLY_SUPPORTED,
            ConditionStatus::True,
            reason::SUPPORTED,
            "every field in use is acted upon".to_owned(),
        )
    } else {
        condition(
            FULLY_SUPPORTED,
            ConditionStatus::False,
            reason::FIELDS_WITHOUT_EFFECT,
            format!("without effect in this release: {}", list(&fields.named)),
        )
    };
    vec![ready, accepted, support]
}

fn selected(pool: &AcceleratorPool, node: &Node) -> bool {
    pool.spec
        .node_selector
        .iter()
        .all(|(key, value)| node.labels().get(key).map(String::as_str) == Some(value.as_str()))
}

fn takes_pods(node: &Node) -> bool {
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    !cordoned && conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// A pod holds its accelerators until it is gone, also while it terminates.
fn on(pod: &Pod, nodes: &BTreeSet<String>) -> bool {
    let ended = matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
    !ended && pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_some_and(|node| nodes.contains(node))
}

fn requested(pod: &Pod, resource: &str) -> u32 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .map(|container| {
            amount(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()), resource)
        })
        .sum()
}

fn amount(amounts: Option<&BTreeMap<String, Quantity>>, resource: &str) -> u32 {
    let text = amounts
        .and_then(|amounts| amounts.get(resource))
        .map(|quantity| millrace_crds::Quantity::from(quantity.0.as_str()));
    text.and_then(|text| text.to_f64()).map_or(0, |number| number as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pool;
    use serde_json::json;

    fn node(name: &str, ready: &str, cordoned: bool) -> Arc<Node> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name, "labels": {"accelerator": "L40S"}}, "spec": {"unschedulable": cordoned},
            "status": {"allocatable": {"nvidia.com/gpu": "4"}, "conditions": [{"type": "Ready", "status": ready}]}})).unwrap())
    }

    fn pod(on: &str, phase: &str, terminating: bool) -> Arc<Pod> {
        let deleted = terminating.then_some("2026-01-01T00:00:00Z");
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "p", "deletionTimestamp": deleted}, "status": {"phase": phase},
            "spec": {"nodeName": on, "containers": [{"name": "server", "resources": {"requests": {"nvidia.com/gpu": "1"}}}]}})).unwrap())
    }

    #[test]
    fn terminating_pods_count_and_cordoned_nodes_dont() {
        let nodes = [node("a", "True", false), node("b", "True", true), node("c", "False", false)];
        let pods = [
            pod("a", "Running", false),
            pod("a", "Running", true),
            pod("a", "Succeeded", false),
            pod("elsewhere", "Running", false),
        ];
        let seen = status(&pool("l40s-onprem", "L40S", "OnPremises", "0.90"), &nodes, &pods, &[], "now");
        assert_eq!(seen.nodes, 1);
        assert_eq!(seen.accelerators, Some(AcceleratorCounts { total: 12, allocatable: 4, used: 2 }));
    }
}
