//! Every field of the generated schemas is in the tables, and what the tables say really happens.

use super::*;
use kube::CustomResourceExt;
use millrace_crds::{AcceleratorPool, InferenceService, Tenant};

/// Leaf paths below `spec` in a generated schema, each with the schema of the leaf.
fn leaves(schema: &Value, path: String, out: &mut Vec<(String, Value)>) {
    let children = schema.get("properties").and_then(Value::as_object);
    match (children, schema.get("items")) {
        (Some(properties), _) if !properties.is_empty() => {
            properties.iter().for_each(|(key, inner)| leaves(inner, join(&path, key), out));
        }
        (_, Some(items)) if items.get("properties").is_some() => leaves(items, format!("{path}[]"), out),
        _ => out.push((path, schema.clone())),
    }
}

fn spec_leaves<K: CustomResourceExt>() -> Vec<(String, Value)> {
    let crd = serde_json::to_value(K::crd()).unwrap();
    let spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
    let mut out = Vec::new();
    leaves(&spec, String::new(), &mut out);
    out
}

/// A value that a leaf may have and that isn't `idle`.
fn sample(schema: &Value, idle: Option<&str>) -> Value {
    if let Some(options) = schema["enum"].as_array() {
        return options.iter().find(|option| option.as_str() != idle && !option.is_null()).cloned().unwrap();
    }
    match schema["type"].as_str().unwrap_or("object") {
        "string" => Value::from("x"),
        "integer" | "number" => Value::from(7),
        "boolean" => Value::from(true),
        "array" => Value::Array(vec![Value::from("x")]),
        _ => Value::Object(serde_json::Map::new()),
    }
}

/// A document that sets just the leaf at `path`.
fn document(path: &str, leaf: Value) -> Value {
    path.split('.').rev().fold(leaf, |inner, segment| match segment.strip_suffix("[]") {
        Some(name) => serde_json::json!({name: [inner]}),
        None => serde_json::json!({segment: inner}),
    })
}

fn check<K: CustomResourceExt>(table: &'static [Field], least: usize) {
    let leaves = spec_leaves::<K>();
    assert!(leaves.len() >= least, "the schema has only {} leaves: is it read right?", leaves.len());
    for (path, schema) in &leaves {
        let field = classify(path, table).unwrap_or_else(|| panic!("{path} is in no table: say what becomes of it"));
        let found = unsupported(&document(path, sample(schema, field.idle)), table);
        let (refused, named) = (found.refused.contains(field.path), found.named.contains(field.path));
        let expected = (field.class == Class::Refused, field.class == Class::Named);
        assert_eq!((refused, named), expected, "{path} as {:?}", field.class);
    }
    for field in table {
        assert!(leaves.iter().any(|(path, _)| covers(field.path, path)), "{} is no field of the schema", field.path);
    }
}

#[test]
fn every_field_of_a_service() {
    check::<InferenceService>(SERVICE, 100);
}

#[test]
fn every_field_of_a_pool() {
    check::<AcceleratorPool>(POOL, 15);
}

#[test]
fn every_field_of_a_tenant() {
    check::<Tenant>(TENANT, 15);
}

#[test]
fn idle_values_ask_for_nothing() {
    let spec = serde_json::json!({"placement": {"mode": "Replicas"}, "audit": {"payloads": "None", "onFailure": "Drop"}, "access": {"priority": "Standard"}});
    assert_eq!(unsupported(&spec, SERVICE), Unsupported::default());
}
