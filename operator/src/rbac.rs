//! The rights that the operator uses, all of them. The chart's roles are made from these tables, and a test holds them equal.

use serde_json::{Value, json};

/// Rights on some resources.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// API group; empty: core.
    pub group: &'static str,
    /// Resources.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
}

const READ: &[&str] = &["get", "list", "watch"];
const OWN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// In the whole cluster. Nothing here touches Secrets.
pub const CLUSTER: &[Rule] = &[
    Rule {
        group: "millrace.dev",
        resources: &["inferenceservices", "acceleratorpools", "tenants", "inferencejobs"],
        verbs: READ,
    },
    Rule {
        group: "millrace.dev",
        resources: &["inferenceservices/status", "acceleratorpools/status", "tenants/status", "inferencejobs/status"],
        verbs: &["patch"],
    },
    // To set an owner reference that blocks deletion is a right on the owner's finalizers, where the cluster checks it.
    Rule { group: "millrace.dev", resources: &["inferenceservices/finalizers"], verbs: &["update"] },
    Rule { group: "", resources: &["namespaces", "nodes", "pods"], verbs: READ },
    Rule { group: "", resources: &["events"], verbs: &["list"] },
    Rule { group: "", resources: &["configmaps", "services"], verbs: OWN },
    Rule { group: "apps", resources: &["deployments", "controllerrevisions"], verbs: OWN },
    Rule { group: "apps", resources: &["deployments/scale"], verbs: &["get", "patch"] },
    Rule { group: "policy", resources: &["poddisruptionbudgets"], verbs: OWN },
    Rule { group: "networking.k8s.io", resources: &["networkpolicies"], verbs: OWN },
    Rule { group: "events.k8s.io", resources: &["events"], verbs: &["create", "patch"] },
];

/// In the release's own namespace.
pub const RELEASE: &[Rule] = &[
    Rule { group: "", resources: &["secrets"], verbs: &["get", "create", "patch"] },
    Rule { group: "coordination.k8s.io", resources: &["leases"], verbs: &["get", "create", "update"] },
];

fn rules(table: &[Rule]) -> Value {
    table
        .iter()
        .map(|rule| json!({"apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs}))
        .collect()
}

/// Both tables as YAML: `cluster` and `release`, each a list of rules.
///
/// # Errors
/// Never for these tables.
pub fn yaml() -> Result<String, String> {
    serde_saphyr::to_string(&json!({"cluster": rules(CLUSTER), "release": rules(RELEASE)}))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_right_too_many() {
        for rule in CLUSTER.iter().chain(RELEASE) {
            for verb in rule.verbs {
                assert!(!["*", "escalate", "bind", "impersonate", "deletecollection"].contains(verb), "{rule:?}");
            }
            assert!(rule.group != "*" && !rule.resources.contains(&"*"), "{rule:?}");
        }
        assert!(CLUSTER.iter().all(|rule| !rule.resources.iter().any(|resource| resource.starts_with("secrets"))));
    }
}
