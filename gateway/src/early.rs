//! Replicas that serve before Kubernetes calls them ready.
//!
//! A kubelet probes once a second, its word goes by the API server, and each request that is held waits for it. So while a
//! service is wanted, the gateway asks the servers of its starting pods itself, and routes to one as soon as its server says
//! that it is ready for the revision that the pod is labelled with. That holds until Kubernetes agrees, and no longer than
//! [`TRUST`]: what Kubernetes has called ready once, it alone decides on; a pod that goes, or whose container ended, is
//! never asked ([`Early`]).

use crate::front::Gateway;
use crate::inputs::{Early, Inputs, PodInput, ServiceId};
use crate::watch::Index;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Pods that are attended to at the same time.
const MOST: usize = 64;
/// Between two questions to a server that isn't ready, at first; more for one that has been asked for long.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The pause is such a part of the time that a start has taken so far.
const PART: u32 = 20;
/// A server that is there answers within this.
const ANSWER: Duration = Duration::from_secs(1);
/// Between two questions to a server that serves, until Kubernetes calls it ready.
const CHECK: Duration = Duration::from_millis(500);
/// How long Kubernetes may take to agree.
const TRUST: Duration = Duration::from_secs(30);
/// A service that had a request so lately is wanted.
const WANTED: Duration = Duration::from_secs(60);
/// Between two looks at services that nobody wanted while they start.
const LOOK: Duration = Duration::from_millis(100);

/// A pod that starts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Starting {
    service: ServiceId,
    pod: String,
    uid: String,
    revision: String,
    address: SocketAddr,
}

/// Attends to starting pods for ever.
pub async fn follow(index: &Index, gateway: &Gateway) {
    let mut changes = index.changes();
    let mut attended = FuturesUnordered::new();
    // Each pod is attended to once.
    let mut known = HashSet::new();
    loop {
        changes.mark_unchanged();
        let all = index.read(starting);
        known.retain(|uid| all.iter().any(|one| one.uid == *uid));
        let mut left = false;
        for one in all {
            if known.contains(&one.uid) {
                continue;
            }
            if attended.len() < MOST && is_wanted(gateway, &one.service) {
                known.insert(one.uid.clone());
                attended.push(attend(index, gateway, one));
            } else {
                left = true;
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Some(()) = attended.next() => {}
            () = sleep(LOOK), if left => {}
        }
    }
}

/// Pods with an address that start and whose revision has traffic.
fn starting(inputs: &Inputs) -> Vec<Starting> {
    let each = inputs.pods.iter().flat_map(|(namespace, pods)| pods.iter().map(move |pod| (namespace, pod)));
    let one = |(namespace, (name, pod)): (&String, (&String, &PodInput))| {
        let address = SocketAddr::new(pod.ip.filter(|_| pod.early == Early::Ask)?, pod.port);
        let traffic = &inputs.services.get(namespace)?.get(&pod.service)?.traffic;
        let has_traffic = traffic.iter().any(|share| share.weight > 0 && share.revision.as_str() == pod.revision);
        has_traffic.then(|| Starting {
            service: ServiceId::new(namespace, &pod.service),
            pod: name.clone(),
            uid: pod.uid.clone(),
            revision: pod.revision.clone(),
            address,
        })
    };
    each.filter_map(one).collect()
}

/// Requests wait for it, or come.
fn is_wanted(gateway: &Gateway, id: &ServiceId) -> bool {
    let live = gateway.fleet.load();
    let counters = live.services.get(id).map(|service| &service.state.counters);
    counters.is_some_and(|counters| counters.idle(gateway.reporter.uptime()).is_some_and(|idle| idle < WANTED))
}

/// Asks until the server is ready, and then until Kubernetes says so too.
async fn attend(index: &Index, gateway: &Gateway, starting: Starting) {
    let begun = Instant::now();
    while !says_ready(gateway, &starting).await {
        sleep((begun.elapsed() / PART).clamp(PAUSE, LONGEST_PAUSE)).await;
        if index.read(|inputs| stage(inputs, &starting)) != Early::Ask {
            return;
        }
    }
    let mut vouched = false;
    index.edit(|inputs| {
        vouched = stage(inputs, &starting) == Early::Ask && inputs.vouched.insert(starting.uid.clone());
    });
    if !vouched {
        return;
    }
    gateway.totals.early.inc();
    tracing::info!(service = %starting.service, pod = starting.pod, "routed to before Kubernetes calls it ready");
    let until = Instant::now() + TRUST;
    while Instant::now() < until {
        sleep(CHECK).await;
        if index.read(|inputs| stage(inputs, &starting)) == Early::No {
            return;
        }
        if !says_ready(gateway, &starting).await {
            break;
        }
    }
    tracing::info!(service = %starting.service, pod = starting.pod, "left to Kubernetes' probes again");
    index.edit(|inputs| _ = inputs.vouched.remove(&starting.uid));
}

/// Where the pod stands now; a pod of the same name is another one.
fn stage(inputs: &Inputs, starting: &Starting) -> Early {
    let pod = inputs.pods.get(&starting.service.namespace).and_then(|pods| pods.get(&starting.pod));
    pod.filter(|pod| pod.uid == starting.uid).map_or(Early::No, |pod| pod.early)
}

async fn says_ready(gateway: &Gateway, starting: &Starting) -> bool {
    match timeout(ANSWER, gateway.connector.ask(starting.address)).await {
        Ok(Ok(report)) => report.ready && report.revision == starting.revision && report.model == starting.service.name,
        Ok(Err(error)) => {
            tracing::trace!(service = %starting.service, "not ready: {error:#}");
            false
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::ServiceInput;
    use millrace_crds::{Access, Traffic};
    use std::collections::BTreeMap;

    #[test]
    fn only_pods_that_start_with_traffic_are_asked() {
        let pod = |revision: &str, early| PodInput {
            uid: format!("uid-{revision}"),
            service: "magika".into(),
            revision: revision.into(),
            pool: "cpu".into(),
            ip: Some([10, 0, 0, 1].into()),
            port: 8443,
            ready: false,
            early,
        };
        let share = |revision: &str, weight| Traffic { revision: revision.into(), version: 1, weight };
        let service = ServiceInput {
            access: Access::default(),
            traffic: vec![share("r1", 100), share("r2", 0)],
            conditions: Vec::new(),
        };
        let mut inputs = Inputs::default();
        inputs.services.insert("a".into(), BTreeMap::from([("magika".to_owned(), service)]));
        let pods = [
            ("good", pod("r1", Early::Ask)),
            ("past-its-startup-probe", pod("r1", Early::Keep)),
            ("ready-or-gone", pod("r1", Early::No)),
            ("no-traffic", pod("r2", Early::Ask)),
            ("no-revision", pod("r3", Early::Ask)),
            ("no-address", PodInput { ip: None, ..pod("r1", Early::Ask) }),
            ("no-service", PodInput { service: "other".into(), ..pod("r1", Early::Ask) }),
        ];
        inputs.pods.insert("a".into(), pods.map(|(name, pod)| (name.to_owned(), pod)).into());
        let found: Vec<_> = starting(&inputs).into_iter().map(|one| one.pod).collect();
        assert_eq!(found, ["good"]);
    }
}
