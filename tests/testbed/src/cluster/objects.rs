//! The objects that every cluster has: the simulated nodes, and the services that lead to the servers beside the nodes.

use serde_json::{Value, json};

use crate::ClusterState;

use super::{component, nodes};

/// The namespace of the S3 server's service.
pub const STORAGE: &str = "storage";

/// All of them, as one list.
#[must_use]
pub fn all(state: &ClusterState) -> Value {
    let address = state.control_plane.to_string();
    let dns = state.index.dns_service().to_string();
    let s3_ports = json!([{"name": "s3", "port": component::S3_PORT, "protocol": "TCP"}]);
    let dns_ports = json!([
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]);
    let mut items = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STORAGE}}),
        service(STORAGE, "s3", "None", &s3_ports),
        endpoints(STORAGE, "s3", &address, &s3_ports),
        service("kube-system", "kube-dns", &dns, &dns_ports),
        endpoints("kube-system", "kube-dns", &address, &dns_ports),
    ];
    items.extend((0..nodes::SIMULATED).map(nodes::simulated));
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// A service without a selector: its endpoints are written by hand.
fn service(namespace: &str, name: &str, cluster_ip: &str, ports: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": cluster_ip, "ports": ports},
    })
}

fn endpoints(namespace: &str, service: &str, address: &str, ports: &Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": service,
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "millrace-testbed"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": ports,
    })
}
