//! What the operator makes, and who may reach it.

use crate::{SOON, applied, magika, product};
use millrace_testbed::wait_until;
use millrace_tests::audit::{Request, requests_of};
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn every_object_is_there_and_is_ours() {
    let service = magika();
    let bed = &product().bed;
    let uid = service.get().unwrap()["metadata"]["uid"].clone();
    for kind in
        ["deployments", "services", "poddisruptionbudgets", "networkpolicies", "controllerrevisions", "configmaps"]
    {
        let found = bed.list(&["-n", "team-a", kind, "-l", "millrace.dev/service=magika"]).unwrap();
        assert!(!found.is_empty(), "no {kind}");
        for object in found {
            let metadata = &object["metadata"];
            assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "millrace", "{kind}");
            assert_eq!(metadata["ownerReferences"][0]["uid"], uid, "{kind}");
            assert!(metadata["name"].as_str().unwrap().len() <= 63);
        }
    }
}

#[test]
fn a_pod_asks_for_its_accelerator_and_nothing_it_could_abuse() {
    let service = magika();
    service.process(b"wake up, please").unwrap();
    let pod = service.pods().unwrap().into_iter().next().expect("a pod");
    let (spec, container) = (&pod["spec"], &pod["spec"]["containers"][0]);
    assert_eq!(container["resources"]["requests"]["nvidia.com/gpu"], "1");
    assert_eq!(spec["nodeName"], "onprem-l40s-0");
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert!(container[probe]["httpGet"].is_object(), "{probe}");
    }
}

#[test]
fn a_direct_call_to_a_server_is_refused() {
    let service = magika();
    service.process(b"wake up, please").unwrap();
    let ip = service
        .pods()
        .unwrap()
        .iter()
        .find_map(|pod| pod["status"]["podIP"].as_str().map(str::to_owned))
        .expect("an address");
    for scheme in ["https", "http"] {
        let url = format!("{scheme}://{ip}:8443/process");
        let found = Command::new("curl")
            .args(["-sk", "--max-time", "5", "-o", "/dev/null", "-w", "%{http_code}", "-d", "x", &url])
            .output()
            .unwrap();
        let status = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(["000", "400"].contains(&status.as_str()), "{scheme}: {status}");
    }
}

#[test]
fn pools_and_tenants_tell_their_state() {
    magika();
    let bed = &product().bed;
    wait_until("counts of the pools", SOON, || {
        let pool = bed.get(&["acceleratorpool", "l40s-onprem"])?;
        Ok(pool["status"]["accelerators"]["total"] == 2 && pool["status"]["nodes"] == 1)
    })
    .unwrap();
    wait_until("acceptance of the tenant", SOON, || {
        let tenant = bed.get(&["tenant", "team-a"])?;
        Ok(tenant["status"]["conditions"].to_string().contains("Accepted"))
    })
    .unwrap();
}

#[test]
fn an_unchanged_service_is_not_written_again() {
    let service = magika();
    service.wait_ready(SOON).unwrap();
    // What the scaler does at the same time is its own: it writes the subresource `scale`.
    let writes = || {
        let requests = requests_of(&product().bed, "operator").unwrap();
        let ours = |request: &Request| {
            let (namespace, name) = request.object();
            namespace == "team-a" && (name == "magika" || name.starts_with("magika-"))
        };
        let wrote = requests.iter().filter(|request| request.writes() && ours(request)).map(Request::resource);
        wrote.filter(|resource| !resource.ends_with("/scale") && !resource.ends_with("/status")).collect::<Vec<_>>()
    };
    let before = writes();
    assert!(!before.is_empty(), "the log names no write of a service's objects at all");
    let poke = |value: &str| {
        let annotation = format!("test.millrace.dev/poke={value}");
        product().bed.kubectl(&["-n", "team-a", "annotate", "infs/magika", "--overwrite", &annotation]).unwrap();
    };
    poke("1");
    // The operator has seen that once it has reconciled an object that was made later.
    let marker = applied(&crate::variant("marker", &[("/spec/placement/regions", json!(["nowhere"]))]));
    marker.wait_condition("Placed", "False", &[], SOON).unwrap();
    marker.delete().unwrap();
    assert_eq!(writes(), before);
    // The oracle sees a write where there is one: a deleted child is made again.
    product().bed.kubectl(&["-n", "team-a", "delete", "pdb/magika"]).unwrap();
    wait_until("the budget to be there again", SOON, || {
        Ok(writes().iter().skip(before.len()).any(|resource| resource == "policy poddisruptionbudgets"))
    })
    .unwrap();
}

/// What a service owns and its spec no longer wants goes, of every kind, and nothing else does.
#[test]
fn what_is_not_wanted_any_more_is_removed() {
    let service = magika();
    service.wait_ready(SOON).unwrap();
    let bed = &product().bed;
    let owner = service.get().unwrap()["metadata"]["uid"].clone();
    bed.apply(&one_of_each_kind("somebodys", None)).unwrap();
    bed.apply(&one_of_each_kind("magika-leftover", Some(&owner))).unwrap();
    let left = |name: &str| {
        let present = |kind: &&&str| bed.get(&["-n", "team-a", kind, name]).is_ok();
        KINDS.iter().filter(present).count()
    };
    wait_until("the end of what magika no longer wants", SOON, || Ok(left("magika-leftover") == 0)).unwrap();
    assert_eq!(left("somebodys"), KINDS.len(), "what isn't ours stays");
    bed.delete(&one_of_each_kind("somebodys", None)).unwrap();
}

/// The kinds that the operator makes for a service.
const KINDS: [&str; 6] =
    ["ConfigMap", "Service", "ControllerRevision", "Deployment", "PodDisruptionBudget", "NetworkPolicy"];

/// A list with one object of each of [`KINDS`]; with an owner's uid they are as the operator makes them for Magika.
fn one_of_each_kind(name: &str, owner: Option<&Value>) -> String {
    let labels = json!({"app.kubernetes.io/managed-by": "millrace", "app.kubernetes.io/component": "server",
                        "millrace.dev/service": "magika"});
    let selector = json!({"matchLabels": {"test": name}});
    let template = json!({"metadata": {"labels": {"test": name}},
                          "spec": {"containers": [{"name": "x", "image": "localhost/busybox:1"}]}});
    let items = KINDS.map(|kind| {
        let (version, mut object) = match kind {
            "ConfigMap" => ("v1", json!({})),
            "Service" => ("v1", json!({"spec": {"clusterIP": "None", "ports": [{"port": 1}]}})),
            "ControllerRevision" => ("apps/v1", json!({"revision": 1, "data": {}})),
            "Deployment" => ("apps/v1", json!({"spec": {"replicas": 0, "selector": selector, "template": template}})),
            "PodDisruptionBudget" => ("policy/v1", json!({"spec": {"maxUnavailable": 1}})),
            _ => ("networking.k8s.io/v1", json!({"spec": {"podSelector": selector}})),
        };
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"] = json!({"name": name, "namespace": "team-a"});
        if let Some(uid) = owner {
            object["metadata"]["labels"] = labels.clone();
            object["metadata"]["ownerReferences"] = json!([{"apiVersion": "millrace.dev/v1alpha1",
                "kind": "InferenceService", "name": "magika", "uid": uid, "controller": true}]);
        }
        object
    });
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}
