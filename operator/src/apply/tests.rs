//! Order and content of writes, against an API server that keeps what it is sent.

use super::*;
use crate::build::build;
use crate::config::Settings;
use crate::plan::plan;
use crate::testing::api::Server;
use crate::testing::{observed, service, settings};
use serde_json::json;

/// What the index would hold after the writes.
fn after(applied: &Objects<Applied>, before: &Observed) -> Observed {
    let mut observed = before.clone();
    let Objects {
        controller_revisions,
        config_maps,
        network_policies,
        services,
        budgets,
        deployments,
        stage: PhantomData,
    } = applied.clone();
    fn arcs<K: Resource>(objects: Vec<K>) -> Vec<Arc<K>> {
        let with_uid = |mut object: K| {
            object.meta_mut().uid = Some("uid".to_owned());
            Arc::new(object)
        };
        objects.into_iter().map(with_uid).collect()
    }
    observed.owned = Owned {
        controller_revisions: arcs(controller_revisions),
        config_maps: arcs(config_maps),
        network_policies: arcs(network_policies),
        services: arcs(services),
        budgets: arcs(budgets),
        deployments: arcs(deployments),
    };
    observed
}

async fn reconcile(client: &Client, observed: &Observed, settings: &Settings) -> Objects<Applied> {
    let objects = build(&plan(observed, settings).unwrap(), observed, settings).unwrap();
    apply(client, objects, observed).await.unwrap()
}

#[tokio::test]
async fn pods_come_last_and_a_second_look_writes_nothing() {
    let server = Arc::new(Server::default());
    let client = server.client();
    let before = observed(service(json!({})));
    let applied = reconcile(&client, &before, &settings()).await;
    let writes = server.take();
    let kinds: Vec<_> = writes.iter().map(|write| write.split('/').nth_back(1).unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "controllerrevisions",
            "configmaps",
            "configmaps",
            "networkpolicies",
            "services",
            "poddisruptionbudgets",
            "deployments",
            "deployments"
        ]
    );
    let seen = after(&applied, &before);
    reconcile(&client, &seen, &settings()).await;
    assert_eq!(server.take(), [""; 0]);
}

#[tokio::test]
async fn what_is_no_longer_wanted_goes_but_a_deployment_only_when_it_is_empty() {
    let server = Arc::new(Server::default());
    let client = server.client();
    let before = observed(service(json!({})));
    let applied = reconcile(&client, &before, &settings()).await;
    server.take();
    let mut seen = after(&applied, &before);
    seen.service = Arc::new(service(
        json!({"availability": {"disruptionBudget": "None"}, "placement": {"accelerators": ["L40S"]}}),
    ));
    let pool = "h100-cloud".to_owned();
    let revision = applied.deployments[0].labels()[labels::REVISION].clone();
    seen.pods =
        vec![crate::pods::PodView { name: "p".to_owned(), pool, revision, terminating: true, ..Default::default() }];
    reconcile(&client, &seen, &settings()).await;
    assert_eq!(
        server.take(),
        ["delete /apis/policy/v1/namespaces/team-a/poddisruptionbudgets/magika"],
        "a pod still drains"
    );
    seen.pods.clear();
    reconcile(&client, &seen, &settings()).await;
    assert!(server.take().iter().any(|write| write.starts_with("delete /apis/apps/v1/namespaces/team-a/deployments/")
        && write.ends_with("-h100-cloud")));
}

#[tokio::test]
async fn what_another_owns_is_left_alone() {
    let server = Arc::new(Server::default());
    let client = server.client();
    let path = "/api/v1/namespaces/team-a/services/magika";
    let theirs = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "magika", "namespace": "team-a"}});
    server.put(path, theirs.clone());
    let before = observed(service(json!({})));
    let objects = build(&plan(&before, &settings()).unwrap(), &before, &settings()).unwrap();
    let error = apply(&client, objects, &before).await.unwrap_err();
    assert!(matches!(error, ApplyError::Foreign { .. }), "{error}");
    assert_eq!(server.get(path), Some(theirs));
}

#[tokio::test]
async fn a_stale_index_never_sets_a_running_deployment_back_to_zero() {
    let server = Arc::new(Server::default());
    let client = server.client();
    let before = observed(service(json!({})));
    let applied = reconcile(&client, &before, &settings()).await;
    let name = applied.deployments[0].name_any();
    let path = format!("/apis/apps/v1/namespaces/team-a/deployments/{name}");
    server.edit(&path, |live| {
        live["spec"]["replicas"] = json!(3);
        live["metadata"]["managedFields"] = json!([{"manager": labels::SCALE_MANAGER, "operation": "Apply", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    });
    server.take();
    // The index is as before: it knows nothing of the objects.
    reconcile(&client, &before, &settings()).await;
    assert_eq!(server.take(), [""; 0]);
    // And if something else differs, the number is left out, and the write is bound to the version that was seen.
    server.edit(&path, |live| live["spec"]["revisionHistoryLimit"] = json!(9));
    reconcile(&client, &before, &settings()).await;
    assert_eq!(server.take().len(), 1);
    assert!(server.get(&path).unwrap()["spec"].get("replicas").is_none(), "0 was sent over the scaler's number");
    assert_eq!(server.last_version(), Some(json!("1")));
}

#[test]
fn what_the_server_adds_is_no_difference() {
    for (live, desired, expected) in [
        (json!({"a": 1, "b": 2}), json!({"a": 1}), true),
        (json!({"a": 1}), json!({"a": 1, "b": {}}), true),
        (json!({"cpu": "200m"}), json!({"cpu": "0.2"}), true),
        (json!({"memory": "1Gi"}), json!({"memory": "1024Mi"}), true),
        (json!({"image": "a:1"}), json!({"image": "a:2"}), false),
        (json!({"l": [1]}), json!({"l": [1, 2]}), false),
        (json!({"l": [1, 2]}), json!({"l": [1]}), false),
        (json!({}), json!({"a": 0}), false),
    ] {
        assert_eq!(covers(&live, &desired), expected, "{live} {desired}");
    }
}
