//! A pool's standby server answers for a service at zero until its own replica is ready; then it is gone, and there is another.

use crate::examples::asked;
use crate::{SOON, product};
use millrace_testbed::wait_until;
use millrace_tests::{Bed, NAMESPACE, SYSTEM_NAMESPACE, Service};
use serde_json::{Value, json};
use std::time::Duration;

/// Longest time until an idle service is at zero: idleAfter, a minute of hysteresis, and the pods' end.
const QUIET: Duration = Duration::from_secs(180);
/// The first answer from a standby server comes within this time. The machine is shared with the whole cluster: so it is a
/// bound that a cold start doesn't keep, and the figure is printed.
const WARM: Duration = Duration::from_millis(1_200);

/// Standby servers in the release's namespace, with further labels.
fn standbys(more: &str) -> anyhow::Result<Vec<Value>> {
    let selector = format!("app.kubernetes.io/component=standby{more}");
    product().bed.list(&["-n", SYSTEM_NAMESPACE, "pods", "-l", &selector])
}

/// Free and assigned ones, as the pool counts them.
fn counted() -> anyhow::Result<(u64, u64)> {
    let pool = product().bed.get(&["acceleratorpool", "l40s-onprem"])?;
    let count = |key: &str| pool["status"]["standby"][key].as_u64().unwrap_or(0);
    Ok((count("ready"), count("assigned")))
}

#[test]
fn a_service_at_zero_is_answered_by_a_standby_and_the_pool_gets_another() {
    let bed = &product().bed;
    // The pool has two accelerators: one for the standby, one for the service's own replica.
    wait_until("an idle pool", QUIET, || {
        Ok(bed.list(&["-A", "pods", "-l", "millrace.dev/pool=l40s-onprem"])?.is_empty())
    })
    .unwrap();
    let s3 = &bed.state.s3;
    let keys = json!({"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "standby-models", "namespace": SYSTEM_NAMESPACE}, "stringData": keys});
    bed.apply(&secret.to_string()).unwrap();
    bed.apply(&Bed::example("standby.yaml").unwrap()).unwrap();
    let service = Service { product: product().clone(), name: "standby".to_owned() };
    wait_until("a free standby", SOON, || Ok(counted()? == (1, 0))).unwrap();
    // What was never ready proves itself with a replica of its own.
    service.wait_ready(SOON).unwrap();
    wait_until("zero replicas", QUIET, || Ok(service.pods()?.is_empty())).unwrap();
    wait_until("a free standby", SOON, || Ok(counted()? == (1, 0))).unwrap();
    let cold = service.get().unwrap()["status"]["pools"][0]["startsCold"].clone();
    assert!(cold.is_null(), "{cold}");
    let first = standbys("").unwrap();

    let answer = asked(&service);
    println!("first answer from a standby server: {:.2} s", answer.took.as_secs_f64());
    assert_eq!(answer.status, 200, "{} {}", answer.error(), answer.problem);
    let lent = standbys(&format!(",millrace.dev/namespace={NAMESPACE},millrace.dev/service=standby")).unwrap();
    let pods = || serde_json::to_string(&service.pods().unwrap_or_default()).unwrap_or_default();
    assert_eq!(lent.len(), 1, "a replica of its own has answered: {}", pods());
    assert_eq!(lent[0]["metadata"]["name"], first[0]["metadata"]["name"]);
    assert_eq!(lent[0]["metadata"]["labels"]["millrace.dev/standby"], "serving");
    assert!(answer.took < WARM, "{:?}", answer.took);
    wait_until("the count of the assigned one", SOON, || Ok(counted()?.1 == 1)).unwrap();

    // Its own replica is asked for as without a standby; once that is ready, the standby's turn is over.
    assert_eq!(service.desired("l40s-onprem").unwrap(), 1);
    wait_until("the end of the standby", SOON, || Ok(counted()? == (1, 0))).unwrap();
    let second = standbys("").unwrap();
    assert!(second.len() == 1 && second[0]["metadata"]["uid"] != first[0]["metadata"]["uid"], "it was used again");
    assert_eq!(second[0]["metadata"]["labels"]["millrace.dev/service"], Value::Null);
    let own = service.pods().unwrap();
    assert_eq!(own.len(), 1, "{}", pods());
    assert_eq!(asked(&service).status, 200);

    service.delete().unwrap();
    bed.apply(&Bed::example("pools.yaml").unwrap()).unwrap();
    wait_until("the end of the standbys", SOON, || Ok(standbys("")?.is_empty())).unwrap();
    bed.delete(&secret.to_string()).unwrap();
}
