//! Load scales up over both pools, silence scales to zero, the next call wakes.

use crate::{SOON, applied, magika, product, variant};
use millrace_bench::load::{self, Load};
use millrace_testbed::wait_until;
use millrace_tests::Service;
use serde_json::json;
use std::time::{Duration, Instant};

/// Longest time until an idle service is at zero: idleAfter, a minute of hysteresis, and the pods' end.
const QUIET: Duration = Duration::from_secs(180);

#[test]
fn load_fills_both_pools_silence_empties_them_and_a_call_wakes() {
    let changes = [
        ("/spec/scaling", json!({"minReplicas": 0, "maxReplicas": 4, "idleAfter": "10s"})),
        ("/spec/slo/latency/target", json!("30ms")),
    ];
    let service = applied(&variant("bursty", &changes));
    service.wait_ready(SOON).unwrap();
    // What other tests used must be given back: with one of the two accelerators taken, the load could not fill the pool.
    wait_until("the end of others' pods on premises", QUIET, || {
        let pods = product().bed.list(&["-A", "pods", "-l", "millrace.dev/pool=l40s-onprem"])?;
        let others: Vec<_> = pods.iter().map(|pod| &pod["metadata"]["labels"]["millrace.dev/service"]).collect();
        anyhow::ensure!(others.iter().all(|name| **name == "bursty"), "there are pods of {others:?}");
        Ok(true)
    })
    .unwrap();
    let call = service.call("/process");
    let key = call.key.clone().unwrap();
    let load = Load {
        url: call.url.clone(),
        key,
        ca: call.ca.clone(),
        clients: 32,
        bodies: (0..64).map(|number| format!("def f{number}():\n    return {number}\n").into_bytes()).collect(),
        limit: Duration::from_secs(120),
    };
    let handle = load::start(load).unwrap();
    let grown = wait_until("replicas on both pools", Duration::from_secs(110), || {
        let (premises, cloud) = (service.desired("l40s-onprem")?, service.desired("h100-cloud")?);
        let ready = ready(&service)?;
        let scaling = &service.get()?["status"]["scaling"];
        anyhow::ensure!(
            premises == 2 && cloud >= 1 && ready >= 3,
            "{premises} on premises, {cloud} in the cloud, {ready} ready: {scaling}"
        );
        Ok(true)
    });
    let summary = handle.stop().unwrap();
    println!("under load: {summary}");
    grown.unwrap();
    assert!(summary.answered > 20, "{summary}");
    assert_eq!(summary.failed, 0, "{summary}");
    wait_until("zero replicas", QUIET, || Ok(service.pods()?.is_empty())).unwrap();
    service.wait_condition("Ready", "True", &["ScaledToZero"], SOON).unwrap();

    let began = Instant::now();
    let answer = service.process(b"#!/bin/sh\necho woken\n").unwrap();
    println!("first answer from zero: {:.2} s", began.elapsed().as_secs_f64());
    assert_eq!(answer.status, 200, "{} {}", answer.error(), answer.problem);
    let scaling = service.get().unwrap()["status"]["scaling"].clone();
    assert!(scaling["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{scaling}");
    service.delete().unwrap();
}

/// Ready pods of a service.
fn ready(service: &Service) -> anyhow::Result<usize> {
    let is_ready = |pod: &serde_json::Value| {
        pod["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
    };
    Ok(service.pods()?.iter().filter(|pod| is_ready(pod)).count())
}

#[test]
fn an_idle_service_over_two_pools_starts_no_pod_that_no_decision_asked_for() {
    let service = applied(&variant("idle", &[("/spec/scaling/minReplicas", json!(0))]));
    service.wait_ready(SOON).unwrap();
    let desired = service.desired("l40s-onprem").unwrap() + service.desired("h100-cloud").unwrap();
    assert!(desired <= 1, "one replica proves a revision, {desired} were asked for");
    service.delete().unwrap();
}

#[test]
fn kubectl_scale_sets_the_floor() {
    let service = applied(&variant("floor", &[("/spec/scaling/minReplicas", json!(1))]));
    service.wait_ready(SOON).unwrap();
    product().bed.kubectl(&["-n", "team-a", "scale", "infs/floor", "--replicas=2"]).unwrap();
    wait_until("two ready replicas", SOON, || Ok(ready(&service)? == 2)).unwrap();
    service.delete().unwrap();
}

/// The budget is a hard limit, also under a floor that asks for more.
#[test]
fn cost_is_capped() {
    let changes = [
        ("/spec/scaling", json!({"minReplicas": 2, "maxReplicas": 4})),
        ("/spec/placement/maxHourlyCost", json!("1.00")),
    ];
    // Only the budget may stand in the way of a second replica: so the pool must be free of others.
    wait_until("an idle pool", QUIET, || Ok(magika().pods()?.is_empty())).unwrap();
    let service = applied(&variant("thrifty", &changes));
    service.wait_ready(SOON).unwrap();
    wait_until("a reason that names the cost", SOON, || {
        let scaling = service.get()?["status"]["scaling"].clone();
        Ok(scaling["reason"].as_str().is_some_and(|reason| reason.to_lowercase().contains("cost")))
    })
    .unwrap();
    assert_eq!(service.desired("l40s-onprem").unwrap() + service.desired("h100-cloud").unwrap(), 1);
    service.delete().unwrap();
}
