//! Tabular records with a real model: the example as it stands, held to scikit-learn's own answers.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use millrace_server::model::verify;
use serde_json::{Map, Value, json};
use std::path::Path;
use support::{
    Serving,
    real::{Real, example},
};

/// The example, pinned to the model that was trained here.
fn manifest(model: &Path) -> String {
    let text = example("fraud.yaml");
    let pinned = text.split_once("sha256: ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let trained = verify::digest_of(model).unwrap();
    if pinned != trained {
        println!("training on this machine gave {trained}; the example pins {pinned}");
    }
    text.replace(&pinned, &trained)
}

/// Each column to an input of its own: the model encodes the country itself.
fn by_columns(manifest: &str) -> String {
    let text = manifest.replace(", mean: 100, std: 80", "");
    assert_ne!(text, manifest);
    text
}

fn columns(records: &[Value]) -> Value {
    let mut columns = Map::new();
    for key in records[0].as_object().unwrap().keys() {
        columns.insert(key.clone(), records.iter().map(|record| record[key].clone()).collect());
    }
    Value::Object(columns)
}

async fn answers(serving: &Serving, body: &Value) -> Vec<Value> {
    let (status, text) = serving.post_as("/process", "application/json", body.to_string()).await;
    assert_eq!(status, 200, "{text}");
    match serde_json::from_str(&text).unwrap() {
        Value::Array(answers) => answers,
        one => vec![one],
    }
}

/// The largest difference to the reference's probabilities.
fn difference(ours: &[Value], theirs: &[Value]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let pairs = ours.iter().zip(theirs).flat_map(|(ours, theirs)| {
        ["legitimate", "fraud"].iter().enumerate().map(move |(at, class)| (&ours[*class], &theirs[at]))
    });
    pairs.map(|(a, b)| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs()).fold(0.0, f64::max)
}

#[tokio::test]
async fn answers_equal_predict_proba() {
    let Some(real) = Real::here() else { return };
    let folder = real.models.join("fraud");
    let cases: Value = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let records = cases["records"].as_array().unwrap();
    assert!(records.len() == 300 && records.iter().any(|record| record["account_age_days"].is_null()));
    for (kind, file) in [("matrix", "matrix.onnx"), ("columns", "columns.onnx")] {
        let model = folder.join(file);
        let text = manifest(&model);
        let text = if kind == "matrix" { text } else { by_columns(&text) };
        let serving = real.serve(&text, &model).await.unwrap();
        let theirs = cases[kind].as_array().unwrap();
        let listed = answers(&serving, &json!(records)).await;
        let columnar = answers(&serving, &columns(records)).await;
        assert_eq!(listed, columnar, "{kind}: one table in two forms");
        let largest = difference(&listed, theirs);
        println!("{kind}: {} records, largest difference {largest:.2e}", records.len());
        assert!(largest <= 1e-5, "{kind}: {largest}");
        let frauds = listed.iter().filter(|answer| answer["fraud"].as_f64() > Some(0.5)).count();
        assert!((5..295).contains(&frauds), "{frauds} frauds: the model tells something");
        for (record, theirs) in records.iter().zip(theirs).take(5) {
            let one = answers(&serving, record).await;
            assert!(difference(&one, std::slice::from_ref(theirs)) <= 1e-5, "{record}");
        }
    }
}

#[tokio::test]
async fn bad_records_name_their_column() {
    let Some(real) = Real::here() else { return };
    let model = real.models.join("fraud/matrix.onnx");
    let serving = real.serve(&manifest(&model), &model).await.unwrap();
    let good = json!({"amount": 1, "hour": 2, "country": "DE", "account_age_days": 3, "card_present": true});
    let with = |key: &str, value: Value| {
        let mut record = good.clone();
        record[key] = value;
        record.to_string()
    };
    for (body, status, says) in [
        (good.to_string(), 200, "fraud"),
        (with("amount", json!("much")), 422, "column \"amount\" is the text \"much\""),
        (with("amount", Value::Null), 422, "column \"amount\" is missing"),
        (with("country", json!("XX")), 422, "column \"country\" is \"XX\", which is none of its categories"),
        (with("iban", json!("x")), 422, "there is no column \"iban\""),
        ("{\"amount\": 1,".to_owned(), 400, "no JSON"),
        (format!("{}1{}", "[".repeat(40), "]".repeat(40)), 400, "access.maxJsonDepth"),
    ] {
        let (got, text) = serving.post_as("/process", "application/json", body.clone()).await;
        assert_eq!(got, status, "{body}: {text}");
        assert!(
            serde_json::from_str::<Value>(&text).unwrap().to_string().contains(&says.replace('"', "\\\"")),
            "{body}: {text}"
        );
    }
    let (status, text) = serving.post("/v1/embeddings", r#"{"model": "fraud", "input": "a"}"#).await;
    assert_eq!(status, 501, "{text}");
}

#[tokio::test]
async fn weights_in_other_files_are_taken_only_if_they_are_pinned() {
    let Some(real) = Real::here() else { return };
    let folder = tempfile::tempdir().unwrap();
    real.run("external_model.py", &[folder.path().to_str().unwrap()], "");
    let digest = |name: &str| verify::digest_of(&folder.path().join(name)).unwrap();
    let manifest = |files: &[&str]| {
        let list: Vec<Value> = files.iter().map(|name| json!({"path": name, "sha256": digest(name)})).collect();
        json!({"apiVersion": "millrace.dev/v1alpha1", "kind": "InferenceService", "metadata": {"name": "m"}, "spec": {
            "model": {"uri": "pvc://claim/m/", "files": list}, "runtime": {"executionProviders": ["CPU"]}}})
        .to_string()
    };
    let serving = real.serve(&manifest(&["good.onnx", "weights.bin"]), folder.path()).await.unwrap();
    let body = json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 0.5]}]});
    let (status, text) = serving.post("/v2/models/m/infer", &body.to_string()).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["outputs"][0]["data"], json!([1.0, 2.0, 3.0, 4.5]));
    for (files, says) in [
        (&["good.onnx"][..], "weights.bin"),
        (&["upwards.onnx", "weights.bin"], "isn't among model.files"),
        (&["absolute.onnx", "weights.bin"], "isn't among model.files"),
        (&["beyond.onnx", "weights.bin"], "beyond its end"),
    ] {
        let error = real.serve(&manifest(files), folder.path()).await.err().unwrap();
        assert!(error.reason == "ModelInvalid" && error.message.contains(says), "{files:?}: {error}");
    }
    let single = manifest(&["good.onnx"]).replace("m/\"", "good.onnx\"");
    let mut single: Value = serde_json::from_str(&single).unwrap();
    single["spec"]["model"]["files"] = json!([]);
    let error = real.serve(&single.to_string(), &folder.path().join("good.onnx")).await.err().unwrap();
    assert!(error.message.contains("name them in model.files"), "{error}");
}
