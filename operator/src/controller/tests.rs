//! Whole reconciliations against an API server that keeps what it is sent, and the wait after failures.

use super::*;
use crate::testing::api::Server;
use crate::testing::{built, context, observed, service};
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

const OBJECT: &str = "/apis/millrace.dev/v1alpha1/namespaces/team-a/inferenceservices/magika";
const CHILD: &str = "/api/v1/namespaces/team-a/services/magika";

/// A look at the service that `observed` has.
async fn look(server: &Arc<Server>, observed: &Observed, context: &Arc<Context>) -> Result<Action, Error> {
    let service = (*observed.service).clone();
    server.put(OBJECT, serde_json::to_value(&service).unwrap());
    reconcile(Arc::new(DeserializeGuard(Ok(service))), context.clone()).await
}

/// Status and reason of a condition that was written.
fn told(server: &Server, kind: &str) -> (String, String) {
    let status = server.get(&format!("{OBJECT}/status")).unwrap()["status"].clone();
    let conditions: Vec<Value> = serde_json::from_value(status["conditions"].clone()).unwrap();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap();
    (found["status"].as_str().unwrap().to_owned(), found["reason"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_service_made_anew_waits_for_what_the_former_one_left() {
    let server = Arc::new(Server::default());
    let seen = observed(service(json!({})));
    let context = Arc::new(context(&server, &seen));
    let owner = json!({"apiVersion": API_VERSION, "kind": "InferenceService", "name": "magika", "uid": "of-the-former", "controller": true});
    let left = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "magika", "namespace": "team-a", "ownerReferences": [owner]}});
    server.put(CHILD, left);
    let error = look(&server, &seen, &context).await.unwrap_err();
    assert!(matches!(error, Error::Apply(ApplyError::Former { .. })), "{error}");
    assert_eq!(server.get(&format!("{OBJECT}/status")), None, "it is no conflict, and not told as one");
    // The cluster has removed it: the next attempt, after a fraction of a second, goes through.
    server.remove(CHILD);
    look(&server, &seen, &context).await.unwrap();
    assert_eq!(told(&server, "Accepted").0, "True");
    assert_eq!(context.plans.snapshot().len(), 1);
}

#[tokio::test]
async fn somebody_elses_object_is_a_conflict_that_is_looked_at_again_soon() {
    let server = Arc::new(Server::default());
    let seen = observed(service(json!({})));
    let context = Arc::new(context(&server, &seen));
    server.put(
        CHILD,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "magika", "namespace": "team-a"}}),
    );
    assert_eq!(look(&server, &seen, &context).await.unwrap(), Action::requeue(IN_THE_WAY));
    assert_eq!(told(&server, "Accepted"), ("False".to_owned(), "Conflict".to_owned()));
    server.remove(CHILD);
    look(&server, &seen, &context).await.unwrap();
    assert_eq!(told(&server, "Accepted").0, "True");
}

/// A service that ran, whose spec then became `patch`, as an operator finds it that has just started.
fn turned_bad(patch: Value) -> Observed {
    let mut seen = built(observed(service(json!({}))));
    let revision = plan(&seen, &crate::testing::settings()).unwrap().newest.name;
    let mut object = service(patch);
    let traffic = json!({"traffic": [{"revision": revision, "version": 1, "weight": 100}], "proven": [revision]});
    object.status = Some(serde_json::from_value(traffic).unwrap());
    seen.service = Arc::new(object);
    seen
}

#[tokio::test]
async fn after_a_restart_what_ran_before_a_refused_spec_can_still_be_woken() {
    for patch in [
        json!({"model": {"uri": "s3://elsewhere/m.onnx"}}),
        json!({"model": {"sha256": null}}),
        json!({"scaling": {"minReplicas": 5, "maxReplicas": 2}}),
        json!({"explain": {"method": "KernelShap", "background": {"uri": "s3://models/b", "sha256": "0".repeat(64)}, "maxEvaluations": 1}}),
    ] {
        let server = Arc::new(Server::default());
        let seen = turned_bad(patch.clone());
        let context = Arc::new(context(&server, &seen));
        look(&server, &seen, &context).await.unwrap();
        assert_eq!(told(&server, "Accepted").0, "False", "{patch}");
        let plans = context.plans.snapshot();
        let planned = plans.get(&id(&seen.service)).unwrap_or_else(|| panic!("{patch}: no plan"));
        let ran = crate::plan::traffic(&seen.service).unwrap();
        assert_eq!((planned.revisions.newest.to_string(), planned.revisions.proven), (ran, true), "{patch}");
        assert_eq!(planned.pools.len(), 2, "{patch}");
        assert!(planned.bounds.min <= planned.bounds.max, "{patch}: {:?}", planned.bounds);
        assert_eq!(told(&server, "RoutesReady").0, "True", "gateways hold requests for it: {patch}");
        // What was built for the good spec stays as it is.
        assert!(server.take().iter().all(|write| write.ends_with("/status") || write == "create event"));
    }
}

#[tokio::test]
async fn what_the_spec_or_the_tenant_now_forbids_is_not_woken() {
    let mut other_tenant = turned_bad(json!({"model": {"uri": "s3://elsewhere/m.onnx"}}));
    let mut tenant = (*other_tenant.tenants[0]).clone();
    tenant.spec.policy.sources = vec!["s3://elsewhere/".into()];
    other_tenant.tenants = vec![Arc::new(tenant)];
    let mut never_ran = turned_bad(json!({"model": {"uri": "s3://elsewhere/m.onnx"}}));
    never_ran.service = Arc::new(service(json!({"model": {"uri": "s3://elsewhere/m.onnx"}})));
    let no_region = turned_bad(json!({"placement": {"regions": ["mars"]}}));
    for (what, seen) in [("tenant", other_tenant), ("never ran", never_ran), ("region", no_region)] {
        let server = Arc::new(Server::default());
        let context = Arc::new(context(&server, &seen));
        // What was planned before the spec changed must not go on either.
        context.plans.set(id(&seen.service), millrace_scaler::ServicePlan::default());
        look(&server, &seen, &context).await.unwrap();
        assert!(context.plans.snapshot().is_empty(), "{what}");
        assert_eq!(told(&server, "RoutesReady").0, "False", "{what}");
    }
}

#[test]
fn waits_double_up_to_a_minute() {
    let waits: Vec<_> = [1, 2, 3, 9, 10, 4_000_000_000].map(wait_after).map(|wait| wait.as_millis()).into();
    assert_eq!(waits, [200, 400, 800, 51_200, 60_000, 60_000]);
}
