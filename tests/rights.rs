//! The rights of the chart are those that the programs use: none is lacking, none is idle. The witness is the API server's
//! audit log, so this looks at what the end-to-end tests made the programs do: `cargo xtask test e2e` runs it after them.

#![allow(clippy::unwrap_used)] // a failed step is the test's failure

use millrace_tests::Bed;
use millrace_tests::audit::{Request, requests_of};
use serde_json::Value;
use std::collections::BTreeSet;

/// Rights whose use leaves no entry in the log.
const SILENT: &[&str] = &[
    // Asked for by an admission plugin (OwnerReferencesPermissionEnforcement) of many clusters while a child is written.
    "millrace.dev inferenceservices/finalizers update",
];

/// `GROUP RESOURCE VERB` of every rule that the program's roles hold.
fn granted(bed: &Bed, program: &str) -> BTreeSet<String> {
    let selector = format!("app.kubernetes.io/component={program}");
    let mut roles = bed.list(&["clusterroles", "-l", &selector]).unwrap();
    roles.extend(bed.list(&["-n", "millrace-system", "roles", "-l", &selector]).unwrap());
    assert!(!roles.is_empty(), "no role of the {program}");
    let words = |rule: &Value, key: &str| -> Vec<String> {
        rule[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in roles.iter().flat_map(|role| role["rules"].as_array().unwrap()) {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                rights.extend(words(rule, "verbs").iter().map(|verb| format!("{group} {resource} {verb}")));
            }
        }
    }
    rights
}

fn idle_and_lacking(program: &str) -> (Vec<String>, Vec<String>) {
    let bed = Bed::from_env().unwrap();
    let requests = requests_of(&bed, program).unwrap();
    assert!(!requests.is_empty(), "the audit log names no request of the {program}");
    let granted = granted(&bed, program);
    let used: BTreeSet<String> = requests.iter().flat_map(Request::rights).collect();
    let idle = granted.difference(&used).filter(|right| !SILENT.contains(&right.as_str())).cloned().collect();
    // Around an uninstall a program may outlive its role for a moment: what the role grants is no gap.
    let refused: BTreeSet<String> =
        requests.iter().filter(|request| request.status() == 403).flat_map(Request::rights).collect();
    (idle, refused.difference(&granted).cloned().collect())
}

#[test]
fn of_the_operator() {
    assert_eq!(idle_and_lacking("operator"), (Vec::new(), Vec::new()), "(idle, lacking)");
}

#[test]
fn of_the_gateway() {
    assert_eq!(idle_and_lacking("gateway"), (Vec::new(), Vec::new()), "(idle, lacking)");
}
