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

const READ: &[&str] = &["list", "watch"];
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
    Rule { group: "apps", resources: &["deployments/scale"], verbs: &["patch"] },
    Rule { group: "policy", resources: &["poddisruptionbudgets"], verbs: OWN },
    Rule { group: "networking.k8s.io", resources: &["networkpolicies"], verbs: OWN },
    Rule { group: "events.k8s.io", resources: &["events"], verbs: &["create", "patch"] },
];

/// In the release's own namespace.
pub const RELEASE: &[Rule] = &[
    Rule { group: "", resources: &["secrets"], verbs: &["get", "create", "patch"] },
    // Standby servers run here: they are claimed by their labels, and end when they aren't needed.
    Rule { group: "", resources: &["pods"], verbs: &["patch", "delete"] },
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
    use std::collections::BTreeSet;

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

    /// `group resource verb` of every rule in a text, which may be a template: one rule is three lines.
    fn granted(text: &str) -> BTreeSet<String> {
        let mut granted = BTreeSet::new();
        let (mut groups, mut resources) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let list = |key: &str| -> Option<Vec<String>> {
                let rest = line.trim().trim_start_matches("- ").strip_prefix(key)?;
                let inner = rest.trim().trim_start_matches('[').trim_end_matches(']');
                Some(inner.split(',').map(|entry| entry.trim().trim_matches('"').to_owned()).collect())
            };
            groups = list("apiGroups:").unwrap_or(groups);
            resources = list("resources:").unwrap_or(resources);
            for verb in list("verbs:").unwrap_or_default() {
                for (group, resource) in
                    groups.iter().flat_map(|group| resources.iter().map(move |resource| (group, resource)))
                {
                    granted.insert(format!("{group} {resource} {verb}"));
                }
            }
        }
        granted
    }

    fn used(table: &[Rule]) -> BTreeSet<String> {
        let of = |rule: &Rule| {
            let Rule { group, resources, verbs } = *rule;
            resources
                .iter()
                .flat_map(move |resource| verbs.iter().map(move |verb| format!("{group} {resource} {verb}")))
        };
        table.iter().flat_map(of).collect()
    }

    #[test]
    fn the_chart_grants_just_these() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/millrace/templates/operator/rbac.yaml");
        let chart = std::fs::read_to_string(path).unwrap();
        let (cluster, release) = chart.split_once("\nkind: Role\n").unwrap();
        assert_eq!(granted(cluster), used(CLUSTER));
        assert_eq!(granted(release), used(RELEASE));
    }
}
