//! Existing clients, unchanged, through the gateway.

use crate::{magika, product};
use millrace_tests::python;
use serde_json::Value;

/// Runs a client script; it prints what it saw, each entry true.
fn check(script: &str) {
    let service = magika();
    let ca = service.product.ca.display().to_string();
    let seen =
        python(&product().bed, script, &[&product().url(), "team-a", &service.name, &product().key, &ca]).unwrap();
    let Value::Object(seen) = seen else { panic!("{script} printed {seen}") };
    let failed: Vec<_> = seen.iter().filter(|(_, value)| **value != Value::Bool(true)).collect();
    assert!(failed.is_empty() && !seen.is_empty(), "{script}: {failed:?}");
}

#[test]
fn the_openapi_document_of_a_service() {
    let answer = magika().call("/openapi.json").send().unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert!(answer.json()["paths"]["/process"].is_object(), "{}", answer.json());
}

#[test]
fn tritonclient_over_http() {
    check("triton_http.py");
}

#[test]
fn tritonclient_over_grpc() {
    check("triton_grpc.py");
}

#[test]
fn the_kserve_client_over_rest_and_grpc() {
    check("kserve_client.py");
}
