//! How many accelerators a pool has; pure.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use millrace_crds::AcceleratorPoolSpec;
use millrace_scaler::Capacity;

/// Whether `node` belongs to `pool`.
pub fn matches(pool: &AcceleratorPoolSpec, node: &Node) -> bool {
    pool.node_selector.iter().all(|(key, value)| node.labels().get(key).map(String::as_str) == Some(value.as_str()))
}

/// What the pool has on nodes that take pods, or may be grown to.
pub fn capacity<'a>(pool: &AcceleratorPoolSpec, nodes: impl Iterator<Item = &'a Node>) -> Capacity {
    if pool.resource.device_class.is_some() {
        return Capacity::Unknown;
    }
    let Some(resource) = &pool.resource.name else { return Capacity::Uncounted };
    let usable = nodes.filter(|node| matches(pool, node) && takes_pods(node));
    let present: u64 = usable.map(|node| allocatable(node, resource.as_str())).sum();
    let grown = pool.provisioning.as_ref().map_or(0, |provisioning| u64::from(provisioning.max_accelerators));
    Capacity::Accelerators(present.max(grown))
}

/// Accelerators that a pod requests.
pub fn requested(pod: &Pod, resource: &str) -> u64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let amounts = containers.filter_map(|container| {
        let resources = container.resources.as_ref()?;
        let amount = |list: &Option<std::collections::BTreeMap<String, _>>| list.as_ref()?.get(resource).cloned();
        let quantity: k8s_openapi::apimachinery::pkg::api::resource::Quantity =
            amount(&resources.requests).or_else(|| amount(&resources.limits))?;
        quantity.0.parse::<u64>().ok()
    });
    amounts.sum()
}

fn takes_pods(node: &Node) -> bool {
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    !cordoned && conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

fn allocatable(node: &Node, resource: &str) -> u64 {
    let amounts = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    amounts.and_then(|amounts| amounts.get(resource)).and_then(|amount| amount.0.parse().ok()).unwrap_or(0)
}
