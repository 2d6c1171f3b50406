//! The invariants of ARCHITECTURE.md about what is absent.

// Every function here runs in a test.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Names of the crates that a package links.
fn links(package: &str, features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--offline", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(features)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Lines of Rust code below a file or folder that hold one of the words, tests aside.
fn lines_with(place: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(place)];
    assert!(open[0].exists(), "{place} is gone: adapt this test and ARCHITECTURE.md");
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.to_string_lossy().contains("tests") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.extend(
                lines
                    .filter(|line| words.iter().any(|word| line.contains(word)))
                    .map(|line| format!("{}: {line}", path.display())),
            );
        }
    }
    found
}

#[test]
fn only_the_engine_and_the_allocator_have_unsafe_code() {
    let crates = ["crds", "hop", "operator", "scaler", "server", "gateway", "bench", "tests", "xtask"];
    let found: Vec<String> = crates.iter().flat_map(|place| lines_with(place, &["unsafe {", "unsafe_code"])).collect();
    let places = [
        "server/src/engine/ort/direct.rs",
        "server/src/engine/ort/native.rs",
        "server/src/engine/ort/raw.rs",
        "server/src/memory.rs",
    ];
    let (inside, outside): (Vec<_>, Vec<_>) =
        found.iter().partition(|line| places.iter().any(|place| line.contains(place)));
    assert!(!inside.is_empty(), "the list is read wrongly");
    assert_eq!(outside, Vec::<&String>::new());
}

#[test]
fn the_server_links_no_kubernetes_client() {
    let linked = links("millrace-server", &[]);
    assert!(linked.contains(&"ort".to_owned()), "the list is read wrongly: {linked:?}");
    for banned in ["kube", "kube-client", "k8s-openapi"] {
        assert!(!linked.contains(&banned.to_owned()), "millrace-server links {banned}");
    }
}

#[test]
fn only_the_server_links_the_engine() {
    for package in ["millrace-operator", "millrace-gateway", "millrace-scaler"] {
        assert!(!links(package, &[]).contains(&"ort".to_owned()), "{package} links ort");
    }
}

#[test]
fn the_resources_depend_on_nothing_of_ours_and_the_scaler_is_pure() {
    let ours = |package: &str, features: &[&str]| -> Vec<String> {
        links(package, features).into_iter().filter(|name| name.starts_with("millrace-") && name != package).collect()
    };
    assert_eq!(ours("millrace-crds", &["--features", "resource"]), Vec::<String>::new());
    assert_eq!(ours("millrace-hop", &["--features", "caller"]), ["millrace-crds"]);
    assert!(!links("millrace-hop", &[]).contains(&"rustls".to_owned()), "the server's side calls nobody");
    let linked = links("millrace-scaler", &[]);
    for banned in ["kube", "tokio", "jiff"] {
        assert!(!linked.contains(&banned.to_owned()), "millrace-scaler links {banned}");
    }
}

#[test]
fn pure_rooms_know_no_clock_no_runtime_and_no_client() {
    for place in [
        "operator/src/plan",
        "operator/src/build",
        "operator/src/status.rs",
        "operator/src/status",
        "scaler/src",
        "server/src/pace.rs",
        "server/src/queue.rs",
        "server/src/batch.rs",
    ] {
        let found = lines_with(
            place,
            &["tokio::", "Instant::now", "SystemTime::now", "Timestamp::now", "kube::Client", "kube::Api"],
        );
        assert!(found.is_empty(), "{place} must stay pure:\n{}", found.join("\n"));
    }
}

#[test]
fn the_gateway_has_no_write_verb() {
    let text = std::fs::read_to_string(root().join("charts/millrace/templates/gateway/rbac.yaml")).unwrap();
    for verb in ["create", "update", "patch", "delete", "deletecollection", "impersonate", "bind", "escalate", "\"*\""]
    {
        let granted = text
            .lines()
            .filter(|line| line.trim_start().starts_with("verbs") || line.contains("verbs:"))
            .any(|line| line.contains(verb));
        assert!(!granted, "the gateway's role grants {verb}");
    }
}

#[test]
fn the_chart_installs_the_generated_definitions() {
    for entry in std::fs::read_dir(root().join("crds/yaml")).unwrap() {
        let file = entry.unwrap().path();
        let copy = root().join("charts/millrace/files/crds").join(file.file_name().unwrap());
        let same = std::fs::read(&file).unwrap() == std::fs::read(&copy).unwrap_or_default();
        assert!(same, "{} is stale: run `cargo xtask generate`", copy.display());
    }
}

/// A variable that no program reads looks like a setting and has no effect.
#[test]
fn each_variable_that_the_chart_sets_is_read() {
    for program in ["operator", "gateway"] {
        let chart = format!("charts/millrace/templates/{program}/deployment.yaml");
        let text = std::fs::read_to_string(root().join(&chart)).unwrap();
        let code: String = ["config.rs", "args.rs"]
            .iter()
            .filter_map(|file| std::fs::read_to_string(root().join(program).join("src").join(file)).ok())
            .collect();
        let variables = text.lines().filter_map(|line| line.trim().strip_prefix("- name: "));
        let variables: Vec<_> = variables.filter(|name| name.chars().all(|c| c == '_' || c.is_uppercase())).collect();
        assert!(variables.contains(&"MILLRACE_LOG"), "{chart} is read wrongly: {variables:?}");
        for name in variables {
            assert!(code.contains(&format!("env = \"{name}\"")), "{chart} sets {name}, which no flag reads");
        }
    }
}
