//! Objects that this release can't read, for they are older or newer than its schema: their status says which field.
//!
//! What the watch has of such an object is its metadata alone. So it is fetched as it is, read once more to learn the
//! place of the fault, and told: everything else of its status stays, since what runs goes on.

use crate::apply::is_status;
use crate::plan::Problem;
use crate::report;
use crate::status::{refused, settle};
use k8s_openapi::jiff::Timestamp;
use kube::api::{GetParams, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::events::Recorder;
use kube::{Client, Resource, ResourceExt};
use millrace_crds::conditions::{ACCEPTED, READY, reason};
use millrace_crds::{Condition, labels};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Writes the status of an object that can't be read, unless it says so already.
///
/// # Errors
/// The object can't be fetched, or its status can't be written.
pub async fn tell<K>(
    client: &Client,
    recorder: &Recorder,
    guard: &DeserializeGuard<K>,
    now: Timestamp,
) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let (name, path) = (guard.name_any(), K::url_path(&(), guard.namespace().as_deref()));
    let call = || kube::core::Request::new(path.clone());
    let request = call().get(&name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    let object: Value = match client.request(request).await {
        Ok(object) => object,
        Err(error) if is_status(&error, 404) => return Ok(()),
        Err(error) => return Err(error),
    };
    // Mended meanwhile: the watch brings it.
    let Err(fault) = serde_path_to_error::deserialize::<_, K>(&object) else { return Ok(()) };
    let status = status(&object, &fault.to_string(), &now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    if object["status"] == status {
        return Ok(());
    }
    let body = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name, "uid": object["metadata"]["uid"]}, "status": status});
    let params = PatchParams::apply(labels::STATUS_MANAGER).force();
    let request =
        call().patch_subresource("status", &name, &params, &Patch::Apply(&body)).map_err(kube::Error::BuildRequest)?;
    match client.request::<Value>(request).await {
        Ok(_) => {}
        Err(error) if is_status(&error, 404) => return Ok(()),
        Err(error) => return Err(error),
    }
    report::publish(recorder, guard, &report::transitions(&conditions(&object["status"]), &conditions(&status))).await;
    Ok(())
}

/// The status as it was, with the conditions that tell the fault in place of their old ones.
fn status(object: &Value, fault: &str, now: &str) -> Value {
    let message =
        format!("this release can't read the object: {fault}; mend the field, or run a release that knows it");
    let old = conditions(&object["status"]);
    let mut new = refused(&[Problem::new(ACCEPTED, reason::INVALID, message)]);
    if object["kind"] != "InferenceService" {
        // The other kinds have no work under way that could stall.
        new.retain(|condition| {
            condition.type_.as_str() == ACCEPTED
                || condition.type_.as_str() == READY && old.iter().any(|old| old.type_ == condition.type_)
        });
    }
    let generation = object["metadata"]["generation"].as_i64();
    settle(&mut new, &old, generation, now);
    let kept = old.into_iter().filter(|old| !new.iter().any(|new| new.type_ == old.type_)).collect::<Vec<_>>();
    let mut status = object["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    status["observedGeneration"] = json!(generation);
    status["conditions"] = json!(new.into_iter().chain(kept).collect::<Vec<_>>());
    status
}

fn conditions(status: &Value) -> Vec<Condition> {
    serde_json::from_value(status["conditions"].clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Context;
    use crate::index::Guarded;
    use crate::testing::api::Server;
    use crate::testing::{context, observed, service};
    use millrace_crds::InferenceService;
    use std::sync::Arc;

    const PATH: &str = "/apis/millrace.dev/v1alpha1/namespaces/team-a/inferenceservices/magika";

    fn find<'s>(status: &'s Value, kind: &str) -> &'s Value {
        status["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == kind).unwrap()
    }

    async fn look(object: &Value, context: &Context) {
        let guard: Guarded = serde_json::from_value(object.clone()).unwrap();
        assert!(guard.0.is_err());
        let now = "2026-11-24T17:00:00Z".parse().unwrap();
        tell::<InferenceService>(&context.client, &context.recorder, &guard, now).await.unwrap();
    }

    #[tokio::test]
    async fn the_field_is_named_and_the_rest_of_status_stays() {
        let server = Arc::new(Server::default());
        let context = context(&server, &observed(service(json!({}))));
        let mut object = serde_json::to_value(service(json!({}))).unwrap();
        object["spec"]["runtime"]["executionProviders"] = json!(["CPU", "Abacus"]);
        let metrics = json!({"type": "MetricsAvailable", "status": "True", "reason": "Fresh", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        object["status"] =
            json!({"traffic": [{"revision": "abc", "version": 1, "weight": 100}], "conditions": [metrics]});
        server.put(PATH, object.clone());
        look(&object, &context).await;
        let status = server.get(&format!("{PATH}/status")).unwrap()["status"].clone();
        for (kind, expected) in [("Accepted", "False"), ("Ready", "False"), ("Stalled", "True")] {
            assert_eq!(
                (&find(&status, kind)["status"], &find(&status, kind)["reason"]),
                (&json!(expected), &json!("Invalid"))
            );
        }
        let message = find(&status, "Accepted")["message"].as_str().unwrap();
        assert!(message.contains("spec.runtime.executionProviders[1]: unknown variant `Abacus`"), "{message}");
        assert_eq!(status["traffic"], object["status"]["traffic"], "what runs goes on");
        assert_eq!(find(&status, "MetricsAvailable"), &metrics_of(&object));
        assert_eq!(status["observedGeneration"], 3);
        assert_eq!(server.take(), [format!("apply {PATH}/status"), "create event".to_owned()]);

        object["status"] = status;
        server.put(PATH, object.clone());
        look(&object, &context).await;
        assert_eq!(server.take(), [""; 0], "what was told is told once");
    }

    fn metrics_of(object: &Value) -> Value {
        object["status"]["conditions"][0].clone()
    }

    #[tokio::test]
    async fn one_that_was_mended_or_deleted_meanwhile_is_left_alone() {
        let server = Arc::new(Server::default());
        let context = context(&server, &observed(service(json!({}))));
        let good = serde_json::to_value(service(json!({}))).unwrap();
        let mut bad = good.clone();
        bad["spec"]["batching"] = json!({"maxSizes": 3});
        look(&bad, &context).await;
        server.put(PATH, good);
        look(&bad, &context).await;
        assert_eq!(server.take(), [""; 0]);
    }

    #[test]
    fn other_kinds_have_no_work_that_stalls() {
        let pool =
            json!({"kind": "AcceleratorPool", "metadata": {"generation": 2}, "status": {"nodes": 3, "conditions": []}});
        let told = status(&pool, "spec.location: unknown variant `Moon`", "now");
        let kinds: Vec<_> = conditions(&told).iter().map(|condition| condition.type_.to_string()).collect();
        assert_eq!((kinds, &told["nodes"]), (vec!["Accepted".to_owned()], &json!(3)));
    }
}
