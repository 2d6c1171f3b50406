use super::*;
use crate::{BatchSample, PoolPlan, Revisions, ServiceSample};

const BOUNDS: [f64; 2] = [0.1, 1.0];

fn id() -> ServiceId {
    ServiceId::new("a", "s")
}

fn report(started_at: f64, arrivals: u64, idle_seconds: Option<f64>) -> GatewaySample {
    let service =
        ServiceSample { service: id(), arrivals, idle_seconds, latency: vec![0, 0, 0], ..ServiceSample::default() };
    GatewaySample { started_at, generation: 1, services: vec![service] }
}

fn names(names: &[&str]) -> BTreeSet<Reporter> {
    names.iter().map(|name| Reporter::from(*name)).collect()
}

fn signals(state: &State, now: f64, gateways: &[&str]) -> Option<Signals> {
    let (gateways, servers) = (names(gateways), names(&[]));
    let objective = Some(Objective { percentile: 99.0, target: 0.1 });
    state.signals(now, &id(), View { gateways: &gateways, servers: &servers, span: 60.0, objective })
}

/// Two gateways, each hearing one request a second, until second 20.
fn two_gateways() -> State {
    let mut state = State::new(&BOUNDS);
    for second in 0..=20u64 {
        for gateway in ["g1", "g2"] {
            state.hear_gateway(1_000.0 + second as f64, &gateway.into(), &report(500.0, 7 + second, Some(0.0)));
        }
    }
    state
}

#[test]
fn rates_add_up_over_gateways() {
    let heard = signals(&two_gateways(), 1_020.0, &["g1", "g2"]).unwrap();
    assert!(heard.complete);
    assert!((heard.arrivals_short - 2.0).abs() < 1e-9, "{heard:?}");
    assert!((heard.arrivals_long - 2.0).abs() < 1e-9, "{heard:?}");
}

#[test]
fn a_missing_or_stale_gateway_is_not_silence() {
    let state = two_gateways();
    assert_eq!(signals(&state, 1_025.0, &["g1", "g2"]), None);
    assert_eq!(signals(&state, 1_020.0, &[]), None);
    let partial = signals(&state, 1_020.0, &["g1", "g2", "g3"]).unwrap();
    assert_eq!((partial.complete, partial.idle_for), (false, None));
}

#[test]
fn idleness_needs_every_gateway() {
    let mut state = State::new(&BOUNDS);
    state.hear_gateway(1_000.0, &"g1".into(), &report(0.0, 5, Some(90.0)));
    state.hear_gateway(1_000.0, &"g2".into(), &report(970.0, 0, None));
    // The second one has run for 30 s only: what its predecessor saw, nobody knows.
    assert_eq!(signals(&state, 1_000.0, &["g1", "g2"]).unwrap().idle_for, Some(30.0));
    assert_eq!(signals(&state, 1_002.0, &["g1", "g2"]).unwrap().idle_for, Some(32.0));
    assert_eq!(signals(&state, 1_004.0, &["g1", "g2"]), None);
}

#[test]
fn a_gateway_that_left_has_been_heard() {
    let mut state = State::new(&BOUNDS);
    state.hear_gateway(1_000.0, &"g1".into(), &report(0.0, 5, Some(90.0)));
    state.hear_gateway(1_000.0, &"g2".into(), &report(0.0, 5, Some(1.0)));
    state.retain(&names(&["g1"]), &names(&[]), &BTreeSet::from([id()]));
    assert_eq!(signals(&state, 1_000.0, &["g1"]).unwrap().idle_for, Some(1.0));
}

#[test]
fn a_gateway_without_a_route_proves_nothing() {
    let mut state = State::new(&BOUNDS);
    state.hear_gateway(1_000.0, &"g1".into(), &report(0.0, 5, Some(90.0)));
    for sample in [
        GatewaySample { generation: 0, ..report(0.0, 0, None) },
        GatewaySample { generation: 3, ..GatewaySample::default() },
    ] {
        state.hear_gateway(1_000.0, &"g2".into(), &sample);
        let heard = signals(&state, 1_000.0, &["g1", "g2"]).unwrap();
        assert_eq!((heard.complete, heard.idle_for), (false, None));
    }
}

#[test]
fn held_or_flying_requests_are_not_idleness() {
    for (held, in_flight) in [(1, 0), (0, 1)] {
        let mut state = State::new(&BOUNDS);
        let mut sample = report(0.0, 5, Some(90.0));
        (sample.services[0].held, sample.services[0].in_flight) = (held, in_flight);
        state.hear_gateway(1_000.0, &"g1".into(), &sample);
        let heard = signals(&state, 1_000.0, &["g1"]).unwrap();
        assert_eq!((heard.held, heard.in_flight, heard.idle_for), (held, in_flight, None));
    }
}

#[test]
fn the_target_cuts_a_bucket_in_proportion() {
    let mut state = State::new(&BOUNDS);
    let mut sample = report(0.0, 0, None);
    state.hear_gateway(1_000.0, &"g1".into(), &sample);
    sample.services[0].latency = vec![6, 3, 1];
    state.hear_gateway(1_001.0, &"g1".into(), &sample);
    let late = signals(&state, 1_001.0, &["g1"]).unwrap().late.unwrap();
    assert!((late - 0.4).abs() < 1e-9, "{late}");
    assert!(signals(&state, 1_001.0, &["g1"]).unwrap().idle_for.is_some());
}

fn replica(pod: &str) -> Replica {
    Replica { pod: pod.into(), service: id(), revision: "r".into(), accelerator: "L40S".into() }
}

fn batches(count: u64, seconds: f64) -> ServerSample {
    ServerSample { started_at: 1.0, queue_depth: 3, batches: vec![BatchSample { size: 1, count, seconds }] }
}

#[test]
fn profiles_come_from_differences_and_move_between_pools() {
    let mut state = State::new(&BOUNDS);
    state.hear_server(10.0, &replica("p"), &batches(10, 0.1));
    state.hear_server(12.0, &replica("p"), &batches(20, 0.2));
    let pool = |name: &str, accelerator: &str, relative_speed| PoolPlan {
        name: name.into(),
        accelerator: accelerator.into(),
        relative_speed,
        ..PoolPlan::default()
    };
    let revisions = Revisions { newest: "r".into(), serving: Some("r".into()), proven: true };
    let pools = vec![pool("h", "H100", 4.0), pool("l", "L40S", 2.0)];
    let profiles = state.profiles(&id(), &ServicePlan { revisions, pools, ..ServicePlan::default() });
    let (fast, slow) = (profiles[&"h".into()], profiles[&"l".into()]);
    assert!((slow.time(1.0) - 0.010).abs() < 1e-9 && slow.measured, "{slow:?}");
    assert!((fast.time(1.0) - 0.005).abs() < 1e-9 && !fast.measured, "{fast:?}");
}

#[test]
fn the_queue_is_known_only_if_every_ready_server_tells() {
    let mut state = two_gateways();
    state.hear_server(1_019.0, &replica("p"), &batches(1, 0.1));
    let queued = |now, servers: &[&str]| {
        let (gateways, servers) = (names(&["g1", "g2"]), names(servers));
        let view = View { gateways: &gateways, servers: &servers, span: 60.0, objective: None };
        state.signals(now, &id(), view).unwrap().queued
    };
    assert_eq!(queued(1_020.0, &["p"]), Some(3));
    assert_eq!(queued(1_020.0, &["p", "q"]), None);
    assert_eq!(queued(1_020.0, &[]), Some(0));
}

#[test]
fn a_checkpoint_survives_a_change_of_leader() {
    let mut state = State::new(&BOUNDS);
    state.hear_server(10.0, &replica("p"), &batches(10, 0.1));
    state.memory(&id()).raised_at = Some(9.0);
    let checkpoint = state.checkpoint(20.0, |_| true);
    let text = serde_json::to_string(&checkpoint).unwrap();
    let mut next = State::new(&BOUNDS);
    next.restore(20.0, serde_json::from_str(&text).unwrap());
    assert_eq!(next.checkpoint(20.0, |_| true), checkpoint);
    assert_eq!(next.memory(&id()).raised_at, Some(9.0));
}

#[test]
fn memory_is_bounded_and_forgets_services() {
    let mut state = State::new(&BOUNDS);
    for number in 0..PROFILES + 10 {
        let revision = Revision(number.to_string());
        state.hear_server(number as f64, &Replica { revision, ..replica("p") }, &batches(number as u64 + 1, 1.0));
    }
    assert_eq!(state.learners.len(), PROFILES);
    state.retain(&names(&[]), &names(&[]), &BTreeSet::new());
    assert_eq!((state.learners.len(), state.servers.len(), state.memories.len()), (0, 0, 0));
}
