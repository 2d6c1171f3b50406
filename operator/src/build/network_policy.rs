//! The NetworkPolicy: in from gateway and operator, out to DNS and stores.

use super::{child, common};
use crate::build::template::{DATA_PORT, HEALTH_PORT};
use crate::config::Settings;
use crate::plan::{Isolation, Plan};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use millrace_crds::labels;

/// Addresses that are nobody's own: left out where a store may be anywhere in public.
const PRIVATE_V4: [&str; 6] =
    ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"];
const PRIVATE_V6: [&str; 3] = ["::1/128", "fc00::/7", "fe80::/10"];

/// Who calls servers.
pub(crate) const CALLERS: [&str; 2] = [labels::COMPONENT_GATEWAY, labels::COMPONENT_OPERATOR];

/// The policy.
#[must_use]
pub fn network_policy(plan: &Plan, isolation: &Isolation, settings: &Settings) -> NetworkPolicy {
    let name = plan.service.name_any();
    NetworkPolicy {
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(common(&name)), ..LabelSelector::default() }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![
                NetworkPolicyIngressRule {
                    from: Some(vec![release(settings, &CALLERS)]),
                    ports: Some(vec![port(DATA_PORT, "TCP")]),
                },
                // Probes come from the node, whose address no selector knows; nothing but health is behind this port.
                NetworkPolicyIngressRule { from: None, ports: Some(vec![port(HEALTH_PORT, "TCP")]) },
            ]),
            egress: Some(egress(isolation)),
        }),
        metadata: child(&plan.service, name, &[]),
    }
}

/// Pods of these components of the release.
pub(crate) fn release(settings: &Settings, components: &[&str]) -> NetworkPolicyPeer {
    let namespace = [("kubernetes.io/metadata.name".to_owned(), settings.namespace.clone())];
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector { match_labels: Some(namespace.into()), ..LabelSelector::default() }),
        pod_selector: Some(LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: labels::COMPONENT.to_owned(),
                operator: "In".to_owned(),
                values: Some(components.iter().map(|component| (*component).to_owned()).collect()),
            }]),
            ..LabelSelector::default()
        }),
        ip_block: None,
    }
}

/// Out to DNS, and to what the stores need.
pub(crate) fn egress(isolation: &Isolation) -> Vec<NetworkPolicyEgressRule> {
    let block = |cidr: &str, except: &[&str]| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: (!except.is_empty()).then(|| except.iter().map(|range| (*range).to_owned()).collect()),
        }),
        ..NetworkPolicyPeer::default()
    };
    let mut rules = vec![NetworkPolicyEgressRule { to: None, ports: Some(vec![port(53, "UDP"), port(53, "TCP")]) }];
    if !isolation.cidrs.is_empty() {
        let stores = isolation.cidrs.iter().map(|cidr| block(cidr, &[])).collect();
        rules.push(NetworkPolicyEgressRule { to: Some(stores), ports: None });
    }
    if isolation.public {
        let public = vec![block("0.0.0.0/0", &PRIVATE_V4), block("::/0", &PRIVATE_V6)];
        rules.push(NetworkPolicyEgressRule { to: Some(public), ports: Some(vec![port(443, "TCP")]) });
    }
    rules
}

pub(crate) fn port(number: i32, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(number)), protocol: Some(protocol.to_owned()), end_port: None }
}
