//! Bad input gets a clear error that says what to do; what ran goes on.

use crate::{SOON, applied, magika, product, variant};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// Applies a faulty service and holds that it says why within [`SOON`], while the Magika service goes on answering.
fn refused(name: &str, changes: &[(&str, Value)], condition: &str, reasons: &[&str], says: &str) {
    let healthy = magika();
    let faulty = applied(&variant(name, changes));
    let message = faulty.wait_condition(condition, "False", reasons, SOON).unwrap();
    assert!(message.contains(says), "{condition} of {name} says {message:?}, expected {says:?}");
    let ready = faulty.condition("Ready").unwrap().unwrap();
    assert_eq!(ready[0], "False", "{ready:?}");
    let called = faulty.process(b"hello, hello").unwrap();
    assert_eq!(called.status, 503, "{}", called.error());
    assert!(!called.error().is_empty());
    assert_eq!(healthy.process(b"hello, hello").unwrap().status, 200);
    let events = product()
        .bed
        .list(&["-n", "team-a", "events", "--field-selector", &format!("involvedObject.name={name}")])
        .unwrap();
    assert!(events.iter().any(|event| event["type"] == "Warning"), "no Event tells of {name}: {events:?}");
    faulty.delete().unwrap();
}

#[test]
fn a_wrong_digest() {
    let zeros = "0".repeat(64);
    refused("bad-digest", &[("/spec/model/sha256", json!(zeros))], "ModelVerified", &["DigestMismatch"], "sha256");
}

#[test]
fn a_file_that_is_not_in_the_store() {
    let uri = json!("s3://models/no/such.onnx");
    refused("bad-path", &[("/spec/model/uri", uri)], "ModelVerified", &["FetchFailed"], "s3://models/no/such.onnx");
}

#[test]
fn a_store_that_is_not_the_platforms() {
    let uri = json!("s3://elsewhere/model.onnx");
    refused("bad-store", &[("/spec/model/uri", uri)], "Accepted", &["UnknownStore", "ForbiddenByPolicy"], "elsewhere");
}

#[test]
fn a_store_that_does_not_answer() {
    let uri = json!("s3://nobody/model.onnx");
    refused("dead-store", &[("/spec/model/uri", uri)], "ModelVerified", &["FetchFailed"], "nobody");
}

#[test]
fn a_secret_that_is_missing() {
    let secret = json!("no-such-secret");
    refused(
        "no-secret",
        &[("/spec/model/credentials/secretName", secret)],
        "WorkloadAvailable",
        &["MissingReference"],
        "no-such-secret",
    );
}

#[test]
fn a_file_that_is_no_model() {
    let bed = &product().bed;
    let file = bed.state.folder.join("no-model.onnx");
    std::fs::write(&file, "this is no model\n").unwrap();
    bed.put("models", "broken/model.onnx", &file).unwrap();
    let digest = millrace_testbed::exec::output(std::process::Command::new("sha256sum").arg(&file)).unwrap();
    let changes =
        [("/spec/model/uri", json!("s3://models/broken/model.onnx")), ("/spec/model/sha256", json!(digest[..64]))];
    refused("no-model", &changes, "WorkloadAvailable", &["ModelInvalid"], "model");
}

#[test]
fn no_pool_that_fits() {
    let memory = json!("200Gi");
    refused("too-big", &[("/spec/runtime/resources/acceleratorMemory", memory)], "Placed", &["NoPoolFits"], "200Gi");
}

#[test]
fn a_region_that_no_pool_has() {
    refused("far-away", &[("/spec/placement/regions", json!(["mars-north"]))], "Placed", &["NoPoolFits"], "mars-north");
}

#[test]
fn a_pipeline_that_does_not_fit_the_model() {
    let changes = [("/spec/pipeline/postprocess", json!([{"argmax": {"labels": {"values": ["only", "two"]}}}]))];
    refused("bad-pipeline", &changes, "WorkloadAvailable", &["PipelineMismatch"], "2");
}

#[test]
fn tensorrt_where_there_is_none() {
    let changes = [("/spec/runtime/executionProviders", json!(["TensorRT"]))];
    refused("wants-tensorrt", &changes, "WorkloadAvailable", &["ProviderUnavailable"], "TensorRT");
}

#[test]
fn bounds_that_contradict_each_other_are_refused_at_once() {
    let scaling = json!({"minReplicas": 3, "maxReplicas": 1});
    let error = product().bed.apply(&variant("upside-down", &[("/spec/scaling", scaling)]).to_string()).unwrap_err();
    assert!(error.to_string().contains("maxReplicas must be at least minReplicas"), "{error}");
}

#[test]
fn a_namespace_without_a_tenant() {
    let bed = &product().bed;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "nobodys"}});
    bed.apply(&namespace.to_string()).unwrap();
    bed.apply(&variant("orphan", &[("/metadata/namespace", json!("nobodys"))]).to_string()).unwrap();
    bed.kubectl(&[
        "-n",
        "nobodys",
        "wait",
        "infs/orphan",
        "--for=jsonpath={.status.conditions[?(@.type==\"Accepted\")].reason}=NoTenant",
        "--timeout=60s",
    ])
    .unwrap();
    bed.kubectl(&["delete", "namespace", "nobodys"]).unwrap();
}

/// A spec that turns bad leaves the replicas that run.
#[test]
fn a_service_that_ran_goes_on_when_its_spec_turns_bad() {
    let service = applied(&variant("turns-bad", &[("/spec/scaling/minReplicas", json!(1))]));
    service.wait_ready(SOON).unwrap();
    let stop = AtomicBool::new(false);
    let failures = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = service.process(b"hello, hello").unwrap();
                if answer.status != 200 {
                    failures.push((answer.status, answer.error(), answer.problem));
                }
            }
            failures
        });
        let bad = variant(
            "turns-bad",
            &[("/spec/scaling/minReplicas", json!(1)), ("/spec/model/sha256", json!("1".repeat(64)))],
        );
        applied(&bad);
        let told = service.wait_condition("ModelVerified", "False", &["DigestMismatch"], SOON);
        stop.store(true, Ordering::Relaxed);
        told.unwrap();
        traffic.join().unwrap()
    });
    assert!(failures.is_empty(), "{failures:?}");
    service.delete().unwrap();
}

#[test]
fn requests_that_make_no_sense() {
    let service = magika();
    let infer = |body: Value| service.call("/v2/models/magika/infer").body(body.to_string()).send().unwrap();
    let tensor = |shape: Value, kind: &str, data: Value| json!({"inputs": [{"name": "bytes", "shape": shape, "datatype": kind, "data": data}]});
    for (what, answer, status) in [
        ("a wrong shape", infer(tensor(json!([1, 3]), "INT32", json!([1, 2, 3]))), 400),
        ("a wrong type", infer(tensor(json!([1, 2048]), "FP32", json!(vec![0; 2048]))), 400),
        ("a wrong length", infer(tensor(json!([1, 2048]), "INT32", json!([1, 2, 3]))), 400),
        ("a negative dimension", infer(tensor(json!([-1, 2048]), "INT32", json!([]))), 400),
        (
            "an unknown tensor",
            infer(json!({"inputs": [{"name": "x", "shape": [1], "datatype": "INT32", "data": [1]}]})),
            400,
        ),
        ("no JSON", service.call("/v2/models/magika/infer").body("{").send().unwrap(), 400),
        ("an unknown model", service.call("/v2/models/other").send().unwrap(), 404),
        ("an unknown service", product().call("/team-a/other/process").body("x").send().unwrap(), 404),
        ("an unknown namespace", product().call("/team-x/magika/process").body("x").send().unwrap(), 404),
        ("a wrong key", service.call("/process").key(Some("mr_wrong")).body("x").send().unwrap(), 401),
        ("no key", service.call("/process").key(None).body("x").send().unwrap(), 401),
        ("loading by URL", service.call("/v2/repository/models/magika/load").body("{}").send().unwrap(), 501),
    ] {
        assert_eq!(answer.status, status, "{what}: {} {}", answer.error(), answer.problem);
        assert!(!answer.error().is_empty(), "{what} has no error text");
        assert!(
            !answer.error().contains("10.") && !answer.error().contains("/var/"),
            "{what} leaks: {}",
            answer.error()
        );
    }
}

#[test]
fn a_body_above_the_limit() {
    let changes = [("/spec/access", json!({"maxRequestBytes": 1000})), ("/spec/scaling/minReplicas", json!(1))];
    let service = applied(&variant("small-bodies", &changes));
    service.wait_ready(SOON).unwrap();
    assert_eq!(service.process(&[b'a'; 1000]).unwrap().status, 200);
    let answer = service.process(&[b'a'; 1001]).unwrap();
    assert_eq!(answer.status, 413, "{}", answer.error());
    assert!(answer.error().contains("access.maxRequestBytes"), "{}", answer.error());
    // Small on the wire: the gateway lets it pass, and the server counts what it decodes to.
    let file = product().bed.state.folder.join("spaces");
    std::fs::write(&file, [b' '; 100_000]).unwrap();
    let packed = std::process::Command::new("gzip").arg("-c").arg(&file).output().unwrap().stdout;
    assert!((1..1000).contains(&packed.len()), "{} bytes", packed.len());
    let answer = service.call("/process").header("Content-Encoding: gzip").body(packed).send().unwrap();
    assert_eq!(answer.status, 413, "{}", answer.error());
    assert!(answer.error().contains("1000 bytes of access.maxRequestBytes"), "{}", answer.error());
    service.delete().unwrap();
}
