//! What the operator makes, and who may reach it.

use crate::{SOON, applied, magika, product};
use millrace_testbed::wait_until;
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
    let versions = || {
        let bed = &product().bed;
        ["deployments", "services", "networkpolicies", "poddisruptionbudgets", "configmaps"].map(|kind| {
            let objects = bed.list(&["-n", "team-a", kind, "-l", "millrace.dev/service=magika"]).unwrap();
            objects
                .iter()
                .map(|one| one["metadata"]["generation"].to_string() + &one["metadata"]["managedFields"].to_string())
                .collect::<Vec<_>>()
        })
    };
    let before = versions();
    product()
        .bed
        .kubectl(&["-n", "team-a", "annotate", "infs/magika", "--overwrite", "test.millrace.dev/poke=1"])
        .unwrap();
    // The operator has seen the change once it has reconciled a later object, made after it.
    let marker = crate::variant("marker", &[("/spec/placement/regions", serde_json::json!(["nowhere"]))]);
    let marker = applied(&marker);
    marker.wait_condition("Placed", "False", &[], SOON).unwrap();
    marker.delete().unwrap();
    assert_eq!(strip_scale(before), strip_scale(versions()));
}

/// What the controller wrote: fields of the scaler and of Kubernetes' own controllers may move meanwhile.
fn strip_scale<const N: usize>(versions: [Vec<String>; N]) -> [usize; N] {
    versions.map(|list| list.iter().map(|one| one.matches("millrace-operator").count()).sum())
}

/// The roles of the chart are enough: the API server's audit log holds no refused request of either program.
#[test]
fn no_request_of_ours_was_forbidden() {
    magika().process(b"wake up, please").unwrap();
    let log = std::fs::read_to_string(&product().bed.state.audit_log).unwrap();
    let entries: Vec<serde_json::Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |program: &str| {
        let user = format!("system:serviceaccount:millrace-system:millrace-{program}");
        entries.iter().filter(|entry| entry["user"]["username"] == user.as_str()).collect::<Vec<_>>()
    };
    for program in ["operator", "gateway"] {
        let requests = of(program);
        assert!(!requests.is_empty(), "the audit log names no request of the {program}");
        // Around an uninstall a program may outlive its role for a moment: what was allowed before or after is no gap.
        let kind = |entry: &serde_json::Value| (entry["verb"].to_string(), entry["objectRef"]["resource"].to_string());
        let is_refusal = |entry: &serde_json::Value| entry["responseStatus"]["code"] == 403;
        let allowed: Vec<_> = requests.iter().filter(|entry| !is_refusal(entry)).map(|entry| kind(entry)).collect();
        let forbidden: Vec<_> = requests
            .iter()
            .filter(|entry| is_refusal(entry) && !allowed.contains(&kind(entry)))
            .map(|entry| kind(entry))
            .collect();
        assert!(forbidden.is_empty(), "{program}: {forbidden:?}");
    }
}
