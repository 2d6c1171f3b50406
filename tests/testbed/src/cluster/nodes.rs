//! The nodes: what the real ones say about themselves, and the simulated ones.

use serde_json::{Value, json};

/// A real node: a kubelet with a container runtime of its own. Its GPUs are a number in its status; there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeSpec {
    /// The name.
    pub name: &'static str,
    /// Its number among the nodes, from 0.
    pub number: u8,
    /// How many GPUs it offers.
    pub gpus: u32,
    /// Labels, as NVIDIA's feature discovery and a cloud provider would set them.
    pub labels: &'static [(&'static str, &'static str)],
    /// Taints, as the kubelet's flag wants them.
    pub taints: &'static [&'static str],
}

/// The real nodes.
pub const REAL: [NodeSpec; 2] = [
    NodeSpec {
        name: "onprem-l40s-0",
        number: 0,
        gpus: 2,
        labels: &[
            ("nvidia.com/gpu.product", "NVIDIA-L40S"),
            ("nvidia.com/gpu.memory", "46068"),
            ("topology.kubernetes.io/region", "eu-central"),
            ("millrace.dev/location", "OnPremises"),
        ],
        taints: &[],
    },
    NodeSpec {
        name: "cloud-h100-0",
        number: 1,
        gpus: 4,
        labels: &[
            ("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3"),
            ("nvidia.com/gpu.memory", "81559"),
            ("topology.kubernetes.io/region", "eu-central"),
            ("millrace.dev/location", "Cloud"),
        ],
        taints: &["millrace.dev/cloud=true:NoSchedule"],
    },
];

/// How many nodes are simulated.
pub const SIMULATED: usize = 4;

/// The annotation by which kwok knows its nodes: it must never touch a real one.
pub const SIMULATED_MARK: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

impl NodeSpec {
    /// The value of the kubelet's flag `--node-labels`.
    #[must_use]
    pub fn label_flag(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(",")
    }
}

/// The patch of a node's status that gives it GPUs: the kubelet keeps it, and the scheduler honours it.
#[must_use]
pub fn gpu_patch(gpus: u32) -> Value {
    json!({"status": {"capacity": {"nvidia.com/gpu": gpus.to_string()}, "allocatable": {"nvidia.com/gpu": gpus.to_string()}}})
}

/// A simulated node.
#[must_use]
pub fn simulated(number: usize) -> Value {
    let (mark, fake) = SIMULATED_MARK;
    let name = format!("sim-{number}");
    let amounts = json!({"cpu": "32", "memory": "256Gi", "pods": "110", "nvidia.com/gpu": "8"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {mark: fake},
            "labels": {
                "type": "kwok",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
                "nvidia.com/gpu.memory": "81920",
                "topology.kubernetes.io/region": "eu-central",
            },
        },
        "spec": {"taints": [{"key": mark, "value": fake, "effect": "NoSchedule"}]},
        "status": {"capacity": amounts, "allocatable": amounts},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_one_flag() {
        let flag = REAL[0].label_flag();
        assert!(flag.contains("nvidia.com/gpu.product=NVIDIA-L40S,nvidia.com/gpu.memory=46068"), "{flag}");
    }

    #[test]
    fn simulated_nodes_carry_the_mark_and_keep_real_pods_away() {
        let node = simulated(2);
        assert_eq!(node["metadata"]["annotations"]["kwok.x-k8s.io/node"], "fake");
        assert_eq!(node["spec"]["taints"][0]["effect"], "NoSchedule");
        assert_eq!(node["metadata"]["name"], "sim-2");
    }
}
