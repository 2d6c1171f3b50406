//! Models from every kind of place that a manifest can name, besides S3, which all other tests use.

use crate::{SOON, applied, product, variant};
use serde_json::{Value, json};

/// A service with its model elsewhere answers as it does with the model in S3.
fn serves(name: &str, changes: &[(&str, Value)]) {
    let service = applied(&variant(name, changes));
    service.wait_ready(SOON).unwrap();
    let answer = service.process(b"#include <stdio.h>\nint main(void) { return puts(\"hello\"); }\n").unwrap();
    assert_eq!((answer.status, &answer.json()["label"]), (200, &json!("c")), "{answer:?}");
    service.delete().unwrap();
}

#[test]
fn https_with_a_token_and_an_authority_of_the_platform() {
    let changes = [
        ("/spec/model/uri", json!("https://files/models/magika/model.onnx")),
        ("/spec/model/credentials/secretName", json!("files")),
    ];
    serves("from-https", &changes);
}

#[test]
fn https_with_a_wrong_token_says_so() {
    let changes = [
        ("/spec/model/uri", json!("https://files/models/magika/model.onnx")),
        ("/spec/model/credentials", Value::Null),
    ];
    let service = applied(&variant("no-token", &changes));
    let message = service.wait_condition("ModelVerified", "False", &["FetchFailed"], SOON).unwrap();
    assert!(message.contains("401"), "{message}");
    service.delete().unwrap();
}

#[test]
fn a_mounted_claim() {
    let bed = &product().bed;
    let folder = bed.state.folder.join("volume");
    std::fs::create_dir_all(folder.join("magika")).unwrap();
    std::fs::copy(bed.state.s3.folder.join("models/magika/model.onnx"), folder.join("magika/model.onnx")).unwrap();
    let size = json!({"storage": "1Gi"});
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "models"},
        "spec": {"capacity": size, "accessModes": ["ReadOnlyMany"], "storageClassName": "", "hostPath": {"path": folder},
                 "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": "team-a", "name": "models"}}});
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": "team-a"},
        "spec": {"accessModes": ["ReadOnlyMany"], "storageClassName": "", "volumeName": "models", "resources": {"requests": size}}});
    bed.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [volume, claim]}).to_string()).unwrap();
    let changes =
        [("/spec/model/uri", json!("pvc://models/magika/model.onnx")), ("/spec/model/credentials", Value::Null)];
    serves("from-claim", &changes);
    bed.kubectl(&["-n", "team-a", "delete", "pvc/models"]).unwrap();
    bed.kubectl(&["delete", "pv/models"]).unwrap();
}
