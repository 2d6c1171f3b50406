//! How long starts take, phase by phase: from the pod's status, from its server and from the gateways; pure.
//!
//! Times of Kubernetes are whole seconds, those of servers and gateways are exact. A replica counts as started when requests
//! can first go to it, which may be before Kubernetes calls it ready.

use super::pods::{self, Stage};
use k8s_openapi::api::core::v1::Pod;
use millrace_crds::report::{GatewayReport, ServerReport, StartupReport};
use millrace_scaler::{PoolName, Reporter, ServiceId};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// A pod that is ready for longer is no news.
const FRESH: f64 = 60.0;
/// So long after a pod is ready, what its server and the gateways haven't told is done without.
const PATIENCE: f64 = 10.0;
/// What gateways tell of a pod that is never seen is forgotten after this.
const FORGET: f64 = 300.0;

/// A part of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the pod's creation to its node.
    Schedule,
    /// From there to the server's first act: sandbox, image, container.
    Image,
    /// The model's files.
    Fetch,
    /// The engine's session.
    Load,
    /// Runs on zeros.
    WarmUp,
    /// From a server that is ready to a pod that Kubernetes calls so.
    Probe,
    /// From a server that is ready to the first gateway that routes to it.
    Route,
    /// From the pod's creation to the first gateway that routes to it.
    Whole,
}

impl Phase {
    /// As the metric has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Image => "image",
            Self::Fetch => "fetch",
            Self::Load => "load",
            Self::WarmUp => "warm_up",
            Self::Probe => "probe",
            Self::Route => "route",
            Self::Whole => "whole",
        }
    }
}

/// A start that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Whose.
    pub service: ServiceId,
    /// Where.
    pub pool: PoolName,
    /// Seconds of what is known of it.
    pub phases: Vec<(Phase, f64)>,
    /// Seconds of the whole.
    pub seconds: f64,
}

/// What was told of starts, until they are measured.
#[derive(Debug, Default)]
pub struct Starts {
    measured: BTreeSet<Reporter>,
    /// When a server was ready, and what it did until then.
    servers: BTreeMap<Reporter, (f64, StartupReport)>,
    /// When the first gateway routed to it.
    routed: BTreeMap<Reporter, f64>,
}

impl Starts {
    /// Hears a server.
    pub fn hear_server(&mut self, pod: &Reporter, report: &ServerReport) {
        if !self.measured.contains(pod) {
            self.servers.entry(pod.clone()).or_insert_with(|| (report.started_at, report.startup.clone()));
        }
    }

    /// Hears a gateway.
    pub fn hear_gateway(&mut self, report: &GatewayReport) {
        for routed in report.services.iter().flat_map(|service| &service.routed) {
            let pod = Reporter::from(routed.pod.clone());
            if routed.at.is_finite() && !self.measured.contains(&pod) {
                let first = self.routed.entry(pod).or_insert(f64::INFINITY);
                *first = first.min(routed.at);
            }
        }
    }

    /// Forgets pods that are gone. One that loses its readiness isn't: that it comes back is no start.
    fn retain(&mut self, now: f64, all: &[Arc<Pod>]) {
        let there: HashSet<&str> = all.iter().filter_map(|pod| pod.metadata.uid.as_deref()).collect();
        self.measured.retain(|pod| there.contains(pod.as_str()));
        self.servers.retain(|pod, _| there.contains(pod.as_str()));
        self.routed.retain(|pod, at| there.contains(pod.as_str()) || now - *at < FORGET);
    }

    /// Starts of these pods that can be measured now, each once.
    pub fn measure(&mut self, now: f64, all: &[Arc<Pod>], is_known: impl Fn(&ServiceId) -> bool) -> Vec<Start> {
        self.retain(now, all);
        let mut starts = Vec::new();
        for pod in all {
            let Stage::Ready { since, made } = pods::stage(pod) else { continue };
            let (Some(reporter), Some((service, slot))) = (pods::reporter(pod), pods::slot(pod.as_ref())) else {
                continue;
            };
            if self.measured.contains(&reporter) || !is_known(&service) {
                continue;
            }
            let complete = self.servers.contains_key(&reporter) && self.routed.contains_key(&reporter);
            if !complete && now - since < PATIENCE {
                continue;
            }
            let (server, routed) = (self.servers.remove(&reporter), self.routed.remove(&reporter));
            self.measured.insert(reporter);
            if now - since < FRESH && pods::never_restarted(pod) {
                let phases = phases(pod, (made, since), server.as_ref(), routed);
                let seconds = (routed.unwrap_or(since) - made).max(0.0);
                starts.push(Start { service, pool: slot.pool, phases, seconds });
            }
        }
        starts
    }
}

/// What is known of each phase. A clock that is off makes none negative.
fn phases(
    pod: &Pod,
    (made, ready): (f64, f64),
    server: Option<&(f64, StartupReport)>,
    routed: Option<f64>,
) -> Vec<(Phase, f64)> {
    let scheduled = pods::scheduled(pod);
    let own = |startup: &StartupReport| startup.fetch + startup.load + startup.warm_up;
    let begun = server.map(|(at, startup)| at - own(startup)).or_else(|| pods::began(pod));
    let told = |part: fn(&StartupReport) -> f64| server.map(|(_, startup)| part(startup));
    let between = |from: Option<f64>, to: Option<f64>| Some((to? - from?).max(0.0));
    let up = server.map(|(at, _)| *at);
    let all = [
        (Phase::Schedule, between(Some(made), scheduled)),
        (Phase::Image, between(scheduled, begun)),
        (Phase::Fetch, told(|startup| startup.fetch)),
        (Phase::Load, told(|startup| startup.load)),
        (Phase::WarmUp, told(|startup| startup.warm_up)),
        (Phase::Probe, between(up, Some(ready))),
        (Phase::Route, between(up, routed)),
        (Phase::Whole, between(Some(made), routed.or(Some(ready)))),
    ];
    all.into_iter().filter_map(|(phase, seconds)| Some((phase, seconds.filter(|s| s.is_finite())?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_crds::report::{RoutedReport, ServiceReport};
    use serde_json::json;

    /// 2026-01-01T00:00:00Z.
    const MIDNIGHT: f64 = 1_767_225_600.0;

    fn pod(restarts: u32) -> Vec<Arc<Pod>> {
        let labels = json!({"app.kubernetes.io/managed-by": "millrace", "millrace.dev/service": "s", "millrace.dev/revision": "r", "millrace.dev/pool": "p"});
        let value = json!({
            "metadata": {"uid": "u", "namespace": "n", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {
                "conditions": [
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:07Z"}],
                "containerStatuses": [{"name": "server", "image": "", "imageID": "", "ready": true, "restartCount": restarts,
                    "state": {"running": {"startedAt": "2026-01-01T00:00:03Z"}}}],
            },
        });
        vec![Arc::new(serde_json::from_value(value).unwrap())]
    }

    fn gateway(at: f64) -> GatewayReport {
        let routed = vec![RoutedReport { pod: "u".to_owned(), at: MIDNIGHT + at }];
        GatewayReport {
            services: vec![ServiceReport { routed, ..ServiceReport::default() }],
            ..GatewayReport::default()
        }
    }

    fn server() -> ServerReport {
        let startup = StartupReport { fetch: 1.0, load: 0.5, warm_up: 0.25 };
        ServerReport { started_at: MIDNIGHT + 5.0, startup, ..ServerReport::default() }
    }

    fn measure(starts: &mut Starts, at: f64, pods: &[Arc<Pod>]) -> Vec<Start> {
        starts.measure(MIDNIGHT + at, pods, |_| true)
    }

    #[test]
    fn phases_are_those_between_the_moments_that_are_told() {
        let mut starts = Starts::default();
        assert_eq!(measure(&mut starts, 8.0, &pod(0)), [], "server and gateways may still tell");
        starts.hear_gateway(&gateway(5.5));
        starts.hear_gateway(&gateway(7.5));
        starts.hear_server(&Reporter::from("u"), &server());
        let found = measure(&mut starts, 8.0, &pod(0));
        let expected = [
            (Phase::Schedule, 1.0),
            (Phase::Image, 2.25),
            (Phase::Fetch, 1.0),
            (Phase::Load, 0.5),
            (Phase::WarmUp, 0.25),
            (Phase::Probe, 2.0),
            (Phase::Route, 0.5),
            (Phase::Whole, 5.5),
        ];
        assert_eq!((found[0].phases.as_slice(), found[0].seconds), (&expected[..], 5.5));
        assert_eq!((&found[0].service, &found[0].pool), (&ServiceId::new("n", "s"), &PoolName::from("p")));
        starts.hear_server(&Reporter::from("u"), &server());
        starts.hear_gateway(&gateway(9.0));
        assert_eq!(measure(&mut starts, 9.0, &pod(0)), [], "once");
    }

    #[test]
    fn what_nobody_tells_is_done_without() {
        let mut starts = Starts::default();
        let found = measure(&mut starts, 17.0, &pod(0));
        assert_eq!(found[0].phases, [(Phase::Schedule, 1.0), (Phase::Image, 2.0), (Phase::Whole, 7.0)]);
        assert_eq!(found[0].seconds, 7.0);
    }

    #[test]
    fn clocks_that_are_off_make_no_phase_negative() {
        let mut starts = Starts::default();
        starts.hear_server(&Reporter::from("u"), &ServerReport { started_at: MIDNIGHT - 60.0, ..server() });
        starts.hear_gateway(&gateway(-90.0));
        starts.hear_gateway(&gateway(f64::NAN));
        let found = measure(&mut starts, 8.0, &pod(0));
        assert!(found[0].phases.iter().all(|(_, seconds)| *seconds >= 0.0) && found[0].seconds == 0.0, "{found:?}");
    }

    #[test]
    fn old_restarted_and_unknown_ones_are_no_measure() {
        assert_eq!(measure(&mut Starts::default(), 100.0, &pod(0)), []);
        assert_eq!(measure(&mut Starts::default(), 17.0, &pod(1)), []);
        assert_eq!(Starts::default().measure(MIDNIGHT + 17.0, &pod(0), |_| false), []);
    }

    #[test]
    fn a_pod_that_is_ready_again_is_no_start() {
        let mut starts = Starts::default();
        assert_eq!(measure(&mut starts, 17.0, &pod(0)).len(), 1);
        let mut lost = Pod::clone(&pod(0)[0]);
        lost.status.as_mut().unwrap().conditions = None;
        assert_eq!(measure(&mut starts, 20.0, &[Arc::new(lost)]), []);
        assert_eq!(measure(&mut starts, 40.0, &pod(0)), []);
    }

    #[test]
    fn what_is_told_of_pods_that_never_come_is_forgotten() {
        let mut starts = Starts::default();
        starts.hear_gateway(&gateway(5.0));
        measure(&mut starts, 6.0, &[]);
        assert_eq!(starts.routed.len(), 1, "routed to before it is seen");
        measure(&mut starts, 400.0, &[]);
        assert!(starts.routed.is_empty());
    }
}
