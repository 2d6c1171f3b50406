//! The chart: upgrades, uninstall and reinstall leave services and pods as they are.

use crate::{SOON, applied, product, variant};
use millrace_testbed::wait_until;
use millrace_tests::{Bed, RELEASE, SYSTEM_NAMESPACE, Service, helm_upgrade};
use serde_json::json;
use std::collections::BTreeSet;

/// Names and restart counts of a service's pods: what must not change.
fn lives(service: &Service) -> BTreeSet<String> {
    service
        .pods()
        .unwrap()
        .iter()
        .map(|pod| format!("{} {}", pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]))
        .collect()
}

fn helm(bed: &Bed, more: &[&str]) {
    let arguments = helm_upgrade(bed, more).unwrap();
    bed.helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    for deployment in ["deployment/millrace-operator", "deployment/millrace-gateway"] {
        bed.kubectl(&["-n", SYSTEM_NAMESPACE, "rollout", "status", deployment, "--timeout=120s"]).unwrap();
    }
    // A rollout is complete while former pods still drain, and a gateway that drains answers under its former certificate.
    wait_until("the end of the former pods", SOON, || {
        let pods = bed.list(&["-n", SYSTEM_NAMESPACE, "pods"])?;
        Ok(pods.iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_null()))
    })
    .unwrap();
}

#[test]
fn an_upgrade_restarts_no_model_and_keeps_keys() {
    let service = applied(&variant("lasting", &[("/spec/scaling/minReplicas", json!(1))]));
    service.wait_ready(SOON).unwrap();
    let before = lives(&service);
    helm(&product().bed, &["--set", "log=debug"]);
    service.wait_ready(SOON).unwrap();
    assert_eq!(lives(&service), before);
    assert_eq!(service.process(b"hello, hello").unwrap().status, 200, "the key is good after an upgrade");
    helm(&product().bed, &[]);
    service.delete().unwrap();
}

/// CRDs are templates, so that an upgrade brings new fields: a chart whose CRD has one more is installed over the old one.
#[test]
fn an_upgrade_that_adds_a_field_reaches_the_schema() {
    let bed = &product().bed;
    let copy = bed.state.folder.join("chart-with-a-field");
    let _ = std::fs::remove_dir_all(&copy);
    millrace_testbed::exec::output(std::process::Command::new("cp").arg("-r").arg(&bed.state.chart).arg(&copy))
        .unwrap();
    let file = copy.join("files/crds/tenants.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let place = "              priority:\n";
    assert!(text.contains(place), "the field `priority` marks where a field is added");
    let field = "              motto:\n                description: A field of a later release.\n                maxLength: 64\n                type: string\n";
    std::fs::write(&file, text.replacen(place, &format!("{field}{place}"), 1)).unwrap();
    let mut arguments = helm_upgrade(bed, &[]).unwrap();
    let chart = bed.state.chart.display().to_string();
    for argument in &mut arguments {
        if *argument == chart {
            *argument = copy.display().to_string();
        }
    }
    bed.helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    // The API server publishes a new schema a moment after it has taken the definition.
    wait_until("the field in the published schema", SOON, || {
        Ok(bed.kubectl(&["explain", "tenant.spec.motto"])?.contains("A field of a later release"))
    })
    .unwrap();
    helm(bed, &[]);
    std::fs::remove_dir_all(&copy).unwrap();
}

#[test]
fn services_outlive_uninstall_and_reinstall() {
    let service = applied(&variant("survivor", &[("/spec/scaling/minReplicas", json!(1))]));
    service.wait_ready(SOON).unwrap();
    let before = lives(&service);
    let bed = &product().bed;
    bed.helm(&["uninstall", RELEASE, "--namespace", SYSTEM_NAMESPACE, "--wait"]).unwrap();
    assert_eq!(lives(&service), before, "pods stay when the release goes");
    assert!(bed.get(&["crd", "inferenceservices.millrace.dev"]).is_ok(), "definitions are kept");
    helm(bed, &[]);
    service.wait_ready(SOON).unwrap();
    assert_eq!(lives(&service), before, "pods stay when the release comes back");
    // The certificate of the gateway may be a new one; the key must be good as before.
    product().read_ca().unwrap();
    product().wait_reachable(SOON).unwrap();
    let answer = service.process(b"hello, hello").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    service.delete().unwrap();
}

/// A Secret of the platform's own takes the place of the certificate that the chart makes, and is given back.
#[test]
fn a_certificate_of_ones_own() {
    let service = applied(&variant("certified", &[("/spec/scaling/minReplicas", json!(1))]));
    service.wait_ready(SOON).unwrap();
    let bed = &product().bed;
    let (certificate, key) = (bed.state.folder.join("own.crt"), bed.state.folder.join("own.key"));
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=own", "-addext", &format!("subjectAltName=IP:{}", bed.state.nodes[0].ip)]);
    millrace_testbed::exec::output(openssl.arg("-out").arg(&certificate).arg("-keyout").arg(&key)).unwrap();
    let text = |path| std::fs::read_to_string(path).unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "own", "namespace": SYSTEM_NAMESPACE},
        "stringData": {"tls.crt": text(&certificate), "tls.key": text(&key)}});
    bed.apply(&secret.to_string()).unwrap();
    helm(bed, &["--set", "gateway.tls.secretName=own"]);
    let mut call = service.call("/process").body("hello, hello");
    call.ca = certificate;
    wait_until("an answer under the certificate of one's own", SOON, || {
        let answer = call.send()?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        Ok(true)
    })
    .unwrap();
    helm(bed, &[]);
    product().read_ca().unwrap();
    product().wait_reachable(SOON).unwrap();
    let answer = service.process(b"hello, hello").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    service.delete().unwrap();
}

#[test]
fn unknown_values_are_refused() {
    let arguments = helm_upgrade(&product().bed, &["--set", "gatewya.replicas=3", "--dry-run=client"]).unwrap();
    let error = product().bed.helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_err();
    assert!(error.to_string().contains("gatewya"), "{error}");
}
