use super::*;
use serde_json::{Value, json};

fn read<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

fn pod(ready: &str, deleted: bool) -> Pod {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "team-a", "uid": "u", "labels": {
            labels::SERVICE: "magika", labels::REVISION: "r1", labels::POOL: "cpu"}},
        "spec": {"containers": []},
        "status": {"podIP": "10.1.2.3", "conditions": [{"type": "Ready", "status": ready}]},
    });
    if deleted {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    read(object)
}

#[test]
fn a_pod_serves_while_it_is_ready_and_not_going() {
    for (ready, deleted, expect) in [("True", false, true), ("False", false, false), ("True", true, false)] {
        let mut inputs = Inputs::default();
        pod(ready, deleted).put(&mut inputs);
        let input = &inputs.pods["team-a"]["p"];
        assert_eq!((input.ready, input.service.as_str(), input.revision.as_str()), (expect, "magika", "r1"));
        pod(ready, deleted).remove(&mut inputs);
        assert!(inputs.pods.is_empty());
    }
}

#[test]
fn only_a_first_start_may_serve_early() {
    let check = |expect: Early, change: &dyn Fn(&mut Value)| {
        let mut object = serde_json::to_value(pod("False", false)).unwrap();
        object["status"]["phase"] = json!("Running");
        object["status"]["containerStatuses"] = json!([{"name": "server", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "started": false, "state": {"running": {}}}]);
        change(&mut object);
        let mut inputs = Inputs { vouched: ["u".to_owned()].into(), ..Inputs::default() };
        read::<Pod>(object).put(&mut inputs);
        assert_eq!(inputs.pods["team-a"]["p"].early, expect);
        assert_eq!(inputs.vouched.contains("u"), expect != Early::No, "what was said for it");
    };
    check(Early::Ask, &|_| {});
    check(Early::Ask, &|pod| {
        pod["status"]["phase"] = json!("Pending");
        pod["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "ContainerCreating"}});
    });
    check(Early::Keep, &|pod| pod["status"]["containerStatuses"][0]["started"] = json!(true));
    check(Early::No, &|pod| pod["status"]["conditions"][0]["status"] = json!("True"));
    check(Early::No, &|pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    check(Early::No, &|pod| pod["status"]["containerStatuses"][0]["restartCount"] = json!(1));
    check(Early::No, &|pod| pod["status"]["containerStatuses"][0]["state"] = json!({"terminated": {"exitCode": 1}}));
    check(Early::No, &|pod| pod["status"]["phase"] = json!("Failed"));
}

#[test]
fn a_new_list_keeps_the_word_of_those_that_still_start() {
    let mut starting = pod("False", false);
    starting.status.get_or_insert_default().phase = Some("Pending".into());
    let mut staged = Inputs::default();
    starting.put(&mut staged);
    let mut inputs = Inputs { vouched: ["u".to_owned(), "gone".to_owned()].into(), ..Inputs::default() };
    Pod::replace(&mut inputs, staged);
    assert_eq!(inputs.vouched.iter().collect::<Vec<_>>(), ["u"]);
}

#[test]
fn a_service_of_a_later_release_is_read_as_far_as_it_is_known() {
    let mut inputs = Inputs::default();
    let good: Service = read(json!({
        "apiVersion": millrace_crds::API_VERSION, "kind": "InferenceService",
        "metadata": {"name": "magika", "namespace": "team-a"},
        "spec": {"newField": 1, "access": {"timeout": "5s"}},
        "status": {"newField": 1, "traffic": [{"revision": "r1", "version": 3, "weight": 100}], "conditions": [
            {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": ""},
            {"type": "Placed", "status": "True", "reason": "Placed", "message": "", "lastTransitionTime": ""}]},
    }));
    good.put(&mut inputs);
    let input = inputs.services["team-a"]["magika"].clone();
    assert_eq!((input.access.timeout.as_str(), input.traffic[0].version, input.conditions.len()), ("5s", 3, 1));
    let bad: Service = read(json!({
        "apiVersion": millrace_crds::API_VERSION, "kind": "InferenceService",
        "metadata": {"name": "magika", "namespace": "team-a"}, "spec": {"access": 7},
    }));
    bad.put(&mut inputs);
    assert_eq!(inputs.services["team-a"]["magika"], input, "the last good one stays");
}

#[test]
fn a_tenant_without_a_creation_time_is_the_youngest() {
    let mut inputs = Inputs::default();
    let tenant: Tenant = read(json!({
        "apiVersion": millrace_crds::API_VERSION, "kind": "Tenant", "metadata": {"name": "a"},
        "spec": {"namespaces": {"matchLabels": {"tenant": "a"}}, "policy": {"allowAnonymous": true, "sources": []},
                 "quota": {"accelerators": {"H100": 1}}},
    }));
    tenant.put(&mut inputs);
    let tenant = &inputs.tenants["a"];
    assert_eq!((tenant.created, tenant.allow_anonymous), (i64::MAX, true));
}

#[test]
fn an_identity_needs_all_three() {
    let secret = |keys: &[&str]| -> Secret {
        let data: serde_json::Map<_, _> = keys.iter().map(|key| ((*key).to_owned(), json!("eA=="))).collect();
        read(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}))
    };
    assert!(read_identity(&secret(&["tls.crt", "tls.key", "ca.crt"])).is_some());
    assert!(read_identity(&secret(&["tls.crt", "tls.key"])).is_none());
}

/// Routes from disk count as the lists; those of the API server come on top, perhaps before anybody looks.
#[tokio::test]
async fn lists_beyond_the_first_ones_hold_nothing_up() {
    let index = Index::default();
    let fleet = Fleet::default();
    let (_sender, synced) = watch::channel(2 * LISTS);
    let mut changes = fleet.changes();
    tokio::select! {
        () = index.publish(&fleet, synced) => {}
        changed = changes.changed() => changed.unwrap(),
    }
    assert_eq!(fleet.load().generation, 1);
}

#[tokio::test]
async fn no_table_before_all_lists_are_there() {
    let index = Arc::new(Index::default());
    let fleet = Arc::new(Fleet::default());
    let (sender, synced) = watch::channel(0);
    let task = tokio::spawn({
        let (index, fleet) = (Arc::clone(&index), Arc::clone(&fleet));
        async move { index.publish(&fleet, synced).await }
    });
    let mut changes = fleet.changes();
    index.edit(|inputs| inputs.default_tenant = "a".into());
    for lists in 1..LISTS {
        sender.send_replace(lists);
        tokio::task::yield_now().await;
        assert_eq!(fleet.load().generation, 0);
    }
    sender.send_replace(LISTS);
    changes.changed().await.unwrap();
    assert_eq!(fleet.load().generation, 1);
    task.abort();
}
