//! The generated CRDs: fresh, small, bounded and documented.

// Every function here runs in a test.
#![allow(clippy::unwrap_used)]

use millrace_crds::schema::{crds, rendered};
use serde_json::Value;
use std::path::Path;

#[test]
fn committed_files_are_what_the_types_generate() {
    for (name, text) in rendered().unwrap() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml").join(&name);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "crds/yaml/{name} is stale: run `cargo xtask generate` and commit it");
    }
}

#[test]
fn each_file_is_under_256_kilobytes() {
    for (name, text) in rendered().unwrap() {
        assert!(text.len() < 256 * 1024, "{name} has {} bytes", text.len());
    }
}

#[test]
fn every_list_string_and_map_is_bounded_and_every_field_is_documented() {
    let mut faults = Vec::new();
    for crd in crds() {
        let value = serde_json::to_value(&crd).unwrap();
        let schema = &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            walk(&schema["properties"][part], &format!("{}.{part}", crd.spec.names.kind), &mut faults);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Collects what is unbounded or undocumented at `path` and below.
fn walk(schema: &Value, path: &str, faults: &mut Vec<String>) {
    let bound = |key: &str| !schema[key].is_null();
    match schema["type"].as_str() {
        Some("array") if !bound("maxItems") => faults.push(format!("{path}: a list without maxItems")),
        Some("string") if !bound("maxLength") && !bound("enum") => {
            faults.push(format!("{path}: a string without maxLength"))
        }
        Some("object") if !schema["additionalProperties"].is_null() && !bound("maxProperties") => {
            faults.push(format!("{path}: a map without maxProperties"));
        }
        _ => {}
    }
    if bound("x-kubernetes-preserve-unknown-fields") {
        faults.push(format!("{path}: keeps unknown fields"));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if field["description"].is_null() {
            faults.push(format!("{path}.{name}: no description"));
        }
        walk(field, &format!("{path}.{name}"), faults);
    }
    for part in ["items", "additionalProperties"] {
        if schema[part].is_object() {
            walk(&schema[part], &format!("{path}[]"), faults);
        }
    }
}
