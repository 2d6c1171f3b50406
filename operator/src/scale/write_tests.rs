use super::*;
use millrace_scaler::{Cause, Slot};

fn deployed(name: &str, pool: &str, desired: u32, owned: bool) -> Deployed {
    let slot = Slot::new(&"r".into(), &pool.into());
    Deployed { service: ServiceId::new("n", "s"), slot, name: name.into(), desired, owned, written: None, version: 7 }
}

fn decision(outcome: Outcome) -> Decision {
    Decision { service: ServiceId::new("n", "s"), outcome, cause: Cause::Steady, need: 0.0, metrics_fresh: true }
}

fn hold() -> Decision {
    decision(Outcome::Hold { reason: "r".into() })
}

fn numbers(writes: &[Write]) -> Vec<(&str, u32, Ordering)> {
    writes.iter().map(|write| (write.name.as_str(), write.replicas, write.direction)).collect()
}

#[test]
fn a_hold_writes_only_what_is_not_owned_also_when_it_is_zero() {
    let deployments = [deployed("a", "p", 2, true), deployed("b", "q", 0, false)];
    assert_eq!(numbers(&writes(&deployments, &[hold()])), [("b", 0, Ordering::Equal)]);
}

#[test]
fn a_change_writes_only_what_changed() {
    let deployments = [deployed("a", "p", 2, true), deployed("b", "q", 1, true), deployed("c", "o", 1, true)];
    let replicas = deployments.iter().map(|d| d.slot.clone()).zip([3, 0, 1]).collect();
    let decision = decision(Outcome::To { replicas, reason: "r".into() });
    assert_eq!(numbers(&writes(&deployments, &[decision])), [("a", 3, Ordering::Greater), ("b", 0, Ordering::Less)]);
}

#[test]
fn without_a_decision_nothing_is_written() {
    assert_eq!(writes(&[deployed("a", "p", 2, false)], &[]), []);
}

#[test]
fn the_last_write_counts_until_the_store_has_caught_up() {
    let mut written = Written::default();
    let write =
        Write { service: ServiceId::new("n", "s"), name: "a".into(), replicas: 3, direction: Ordering::Greater };
    written.note(&write, 9);
    let mut seen = [deployed("a", "p", 1, false), deployed("b", "p", 1, false)];
    written.overlay(&mut seen);
    assert_eq!((seen[0].desired, seen[0].owned, seen[1].desired), (3, true, 1));
    let mut caught_up = [Deployed { version: 9, ..deployed("a", "p", 5, true) }];
    written.overlay(&mut caught_up);
    assert_eq!(caught_up[0].desired, 5);
    let mut seen = [deployed("a", "p", 1, false)];
    written.overlay(&mut seen);
    assert_eq!(seen[0].desired, 1, "forgotten");
}

/// What the API server is sent: a forced apply on `/scale` by the scale manager.
#[tokio::test]
async fn the_write_is_a_forced_apply_on_scale() {
    let (service, mut handle) =
        tower_test::mock::pair::<http::Request<kube::client::Body>, http::Response<kube::client::Body>>();
    let client = kube::Client::new(service, "default");
    let write =
        Write { service: ServiceId::new("n", "s"), name: "s-r-p".into(), replicas: 0, direction: Ordering::Equal };
    let server = tokio::spawn(async move {
        let (request, send) = handle.next_request().await.unwrap();
        let answer = r#"{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"s-r-p","resourceVersion":"42"},"spec":{"replicas":0}}"#;
        send.send_response(http::Response::new(kube::client::Body::from(answer.as_bytes().to_vec())));
        request
    });
    assert_eq!(apply(&client, &write).await.unwrap(), 42);
    let request = server.await.unwrap();
    assert_eq!(request.method(), http::Method::PATCH);
    assert_eq!(request.uri().path(), "/apis/apps/v1/namespaces/n/deployments/s-r-p/scale");
    let query = request.uri().query().unwrap();
    assert!(query.contains("force=true") && query.contains("fieldManager=millrace-scale"), "{query}");
    assert_eq!(request.headers()[http::header::CONTENT_TYPE], "application/apply-patch+yaml");
    let body: serde_json::Value = serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap();
    assert_eq!(body["spec"], json!({"replicas": 0}));
    assert_eq!(body["kind"], "Scale");
}
