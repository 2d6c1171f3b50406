//! The validation rules (CEL), evaluated as the API server does, without one.

// Every function here runs in a test.
#![allow(clippy::unwrap_used)]

use millrace_crds::{AcceleratorPool, InferenceJob, InferenceService, Tenant};
use rstest::rstest;
use serde_json::{Value, json};

/// A service that every rule accepts.
fn service() -> Value {
    json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": "magika", "namespace": "team-a"},
        "spec": {"model": {"uri": "s3://models/m.onnx", "sha256": "a".repeat(64)}}
    })
}

/// The message of the violated rule, or nothing.
fn check(pointer: &str, value: Value) -> String {
    let mut object = service();
    set(&mut object, pointer, value);
    let object: InferenceService = serde_json::from_value(object).unwrap();
    object.validate_cel().map_or_else(|error| error.to_string(), |()| String::new())
}

fn set(object: &mut Value, path: &str, value: Value) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    let mut place = object;
    for step in parent.split('/').skip(1) {
        place = place.as_object_mut().unwrap().entry(step).or_insert_with(|| json!({}));
    }
    let place = place.as_object_mut().unwrap();
    if value.is_null() {
        place.remove(key)
    } else {
        place.insert(key.to_owned(), value)
    };
}

#[test]
fn the_base_is_accepted() {
    assert_eq!(check("/spec/scaling", json!({"minReplicas": 0, "maxReplicas": 4})), "");
    let graph = json!({"models": [{"name": "a", "uri": "s3://models/a.onnx"}], "pipeline": {"steps": [{"name": "x", "infer": {"model": "a"}}]}});
    assert_eq!(check("/spec", graph), "");
}

#[rstest]
#[case("/spec/scaling", json!({"minReplicas": 5, "maxReplicas": 2}), "maxReplicas must be at least minReplicas")]
#[case("/spec/model", Value::Null, "give model (one) or models (several)")]
#[case("/spec/models", json!([{"name": "a", "uri": "s3://models/a.onnx"}]), "give model (one) or models (several)")]
#[case("/spec/model/uri", json!("s3://models/folder/"), "a uri that ends in /")]
#[case("/spec/model/minQuality", json!(0.9), "minQuality chooses among variants")]
#[case("/spec/model/variants", json!([{"name": "int8", "uri": "s3://models/folder/", "sha256": "a".repeat(64), "precision": "INT8", "quality": 1}]), "a variant is one file")]
#[case("/spec/rollout", json!({"strategy": "Canary"}), "a canary needs steps")]
#[case("/spec/audit", json!({"payloads": "Full"}), "audit needs a sink")]
#[case("/spec/pipeline", json!({"postprocess": [{"argmax": {"labels": {}}}]}), "give one of values, file and metadata")]
#[case("/spec/pipeline", json!({"preprocess": [{"audio": {"sampleRate": 16000, "state": [{"input": "a", "output": "b"}]}}]}), "give frame")]
#[case("/spec/pipeline", json!({"preprocess": [{"records": {"columns": [{"name": "a", "missing": 0, "missingAsNaN": true}]}}]}), "give missing or missingAsNaN")]
#[case("/spec/pipeline", json!({"preprocess": [{"records": {"columns": [{"name": "a", "unknown": 0}]}}]}), "unknown is for columns with categories")]
#[case("/spec", json!({"models": [{"name": "a", "uri": "s3://models/a.onnx"}]}), "models and pipeline.steps go together")]
#[case("/spec", json!({"models": [{"name": "a", "uri": "s3://models/a/"}], "pipeline": {"steps": [{"name": "x", "infer": {"model": "a"}}]}}), "a uri that ends in /")]
#[case("/spec", json!({"models": [{"name": "a", "uri": "s3://models/a.onnx"}], "pipeline": {"steps": [{"name": "x", "infer": {"model": "b"}}]}}), "infer.model must be one of models")]
#[case("/spec", json!({"models": [{"name": "a", "uri": "s3://models/a.onnx"}], "pipeline": {"steps": [{"name": "x"}]}}), "a step is exactly one of")]
#[case("/spec", json!({"models": [{"name": "a", "uri": "s3://models/a.onnx"}], "pipeline": {"steps": [{"name": "x", "infer": {"model": "a"}, "crop": {}}]}}), "a step is exactly one of")]
#[case("/metadata/name", json!("n".repeat(41)), "at most 40 characters")]
fn a_contradiction_is_refused_with_the_way_out(#[case] path: &str, #[case] value: Value, #[case] message: &str) {
    let found = check(path, value);
    assert!(found.contains(message), "expected {message:?}, found {found:?}");
}

#[test]
fn an_accelerator_without_memory_is_refused() {
    let pool: AcceleratorPool = serde_json::from_value(json!({
        "apiVersion": "millrace.dev/v1alpha1", "kind": "AcceleratorPool", "metadata": {"name": "p"},
        "spec": {"accelerator": "H100", "resource": {"name": "nvidia.com/gpu"}, "location": "Cloud", "region": "eu",
                 "hourlyCost": {"amount": "2.10"}}
    }))
    .unwrap();
    assert!(pool.validate_cel().unwrap_err().to_string().contains("memory must be given"));
}

#[test]
fn a_tenant_that_would_claim_everything_is_refused() {
    let tenant: Tenant = serde_json::from_value(json!({
        "apiVersion": "millrace.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "t"},
        "spec": {"namespaces": {"matchLabels": {}}}
    }))
    .unwrap();
    assert!(tenant.validate_cel().unwrap_err().to_string().contains("at least one label"));
}

#[test]
fn a_job_takes_one_source_of_its_model() {
    let job: InferenceJob = serde_json::from_value(json!({
        "apiVersion": "millrace.dev/v1alpha1", "kind": "InferenceJob", "metadata": {"name": "j", "namespace": "n"},
        "spec": {"input": {"uri": "s3://b/in/", "format": "JSONL"}, "output": {"uri": "s3://b/out/"}}
    }))
    .unwrap();
    assert!(job.validate_cel().unwrap_err().to_string().contains("give model or serviceRef"));
}
