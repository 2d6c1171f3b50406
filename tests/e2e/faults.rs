//! Two operators and two gateways: one of each is killed, and traffic goes on.

use crate::{SOON, applied, magika, product, variant};
use millrace_bench::load::{self, Load};
use millrace_testbed::wait_until;
use millrace_tests::{SYSTEM_NAMESPACE, Service};
use serde_json::{Value, json};
use std::time::Duration;

/// Traffic on the Magika service, kept above zero, for as long as the handle lives.
fn traffic(service: &Service) -> load::Running {
    let call = service.call("/process");
    load::start(Load {
        url: call.url.clone(),
        key: call.key.clone().unwrap(),
        ca: call.ca.clone(),
        clients: 2,
        bodies: vec![b"select 1 from dual;\n".to_vec(), b"<html><body></body></html>\n".to_vec()],
        limit: Duration::from_secs(150),
    })
    .unwrap()
}

fn pods(component: &str) -> Vec<Value> {
    let selector = format!("app.kubernetes.io/component={component}");
    product().bed.list(&["-n", SYSTEM_NAMESPACE, "pods", "-l", &selector]).unwrap()
}

/// Kills a pod without grace, as a lost node would.
fn kill(pod: &str) {
    product().bed.kubectl(&["-n", SYSTEM_NAMESPACE, "delete", "pod", pod, "--grace-period=0", "--force"]).unwrap();
}

fn rolled_out(deployment: &str) {
    let name = format!("deployment/millrace-{deployment}");
    product().bed.kubectl(&["-n", SYSTEM_NAMESPACE, "rollout", "status", &name, "--timeout=90s"]).unwrap();
}

fn leader() -> String {
    let lease = product().bed.get(&["-n", SYSTEM_NAMESPACE, "lease", "millrace-operator"]).unwrap();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_leading_operator_is_killed() {
    let service = applied(&variant("steady", &[("/spec/scaling/minReplicas", json!(1))]));
    service.wait_ready(SOON).unwrap();
    assert_eq!(pods("operator").len(), 2);
    let running = traffic(&service);
    let old = leader();
    let pod = pods("operator")
        .iter()
        .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
        .find(|name| old.contains(name.as_str()));
    kill(&pod.expect("the leader is one of the pods"));
    wait_until("another leader", SOON, || Ok(!leader().is_empty() && leader() != old)).unwrap();
    // The new leader works: a change is acted upon.
    product().bed.kubectl(&["-n", "team-a", "scale", "infs/steady", "--replicas=2"]).unwrap();
    wait_until("the change", SOON, || Ok(service.desired("l40s-onprem")? + service.desired("h100-cloud")? == 2))
        .unwrap();
    let summary = running.stop().unwrap();
    assert!(summary.answered > 10 && summary.failed == 0, "{summary}");
    rolled_out("operator");
    service.delete().unwrap();
}

#[test]
fn one_gateway_is_killed() {
    let service = applied(&variant("steady-too", &[("/spec/scaling/minReplicas", json!(1))]));
    service.wait_ready(SOON).unwrap();
    let gateways = pods("gateway");
    assert_eq!(gateways.len(), 2);
    let running = traffic(&service);
    wait_until("some answers", SOON, || Ok(running.answered() > 20)).unwrap();
    let before = running.answered();
    kill(gateways[0]["metadata"]["name"].as_str().unwrap());
    wait_until("answers after the kill", SOON, || Ok(running.answered() > before + 200)).unwrap();
    let summary = running.stop().unwrap();
    println!("one gateway of two killed: {summary}");
    // Requests on the killed gateway's connections end with them; no other one may fail.
    assert!(summary.failed <= 4, "{summary}");
    rolled_out("gateway");
    service.delete().unwrap();
}

/// A replica that dies loses what it was working on at most; it comes back by itself.
#[test]
fn a_replica_is_killed() {
    let service = applied(&variant("two-lives", &[("/spec/scaling/minReplicas", json!(2))]));
    service.wait_ready(SOON).unwrap();
    let all_ready = || {
        Ok(service.get()?["status"]["pools"]
            .as_array()
            .is_some_and(|pools| pools.iter().filter_map(|pool| pool["ready"].as_u64()).sum::<u64>() == 2))
    };
    wait_until("two replicas", SOON, all_ready).unwrap();
    let running = traffic(&service);
    wait_until("some answers", SOON, || Ok(running.answered() > 20)).unwrap();
    let pod = service.pods().unwrap()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    product().bed.kubectl(&["-n", "team-a", "delete", "pod", &pod, "--grace-period=0", "--force"]).unwrap();
    wait_until("two replicas again", SOON, || {
        Ok(service.pods()?.iter().all(|one| one["metadata"]["name"] != pod.as_str()) && all_ready()?)
    })
    .unwrap();
    let summary = running.stop().unwrap();
    println!("one replica of two killed: {summary}");
    assert!(summary.failed <= 2, "{summary}");
    service.delete().unwrap();
}

/// While the operator is away, gateways serve on from what they know.
#[test]
fn traffic_goes_on_without_any_operator() {
    let service = applied(&variant("alone", &[("/spec/scaling/minReplicas", json!(1))]));
    service.wait_ready(SOON).unwrap();
    let bed = &product().bed;
    bed.kubectl(&["-n", SYSTEM_NAMESPACE, "scale", "deployment/millrace-operator", "--replicas=0"]).unwrap();
    wait_until("the end of the operators", SOON, || Ok(pods("operator").is_empty())).unwrap();
    let answer = service.process(b"int main(void) { return 0; }\n");
    bed.kubectl(&["-n", SYSTEM_NAMESPACE, "scale", "deployment/millrace-operator", "--replicas=2"]).unwrap();
    rolled_out("operator");
    assert_eq!(answer.unwrap().status, 200);
    magika().wait_ready(SOON).unwrap();
    service.delete().unwrap();
}
