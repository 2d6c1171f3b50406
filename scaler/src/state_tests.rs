use super::*;
use crate::known::PROFILES;
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
fn late_answers_count_by_the_objective_of_the_plan() {
    let mut state = State::new(&BOUNDS);
    let mut service = Service { id: id(), ..Service::default() };
    service.plan.pools = [PoolPlan { name: "p".into(), relative_speed: 1.0, ..PoolPlan::default() }].into();
    let gateways = names(&["g1"]);
    let mut sample = report(0.0, 0, None);
    let mut hear = |second: f64, latency: [u64; 3], target| {
        sample.services[0].latency = latency.into();
        state.hear_gateway(1_000.0 + second, &"g1".into(), &sample);
        service.plan.objective = Some(Objective { percentile: 99.0, target });
        state.inform(1_000.0 + second, &mut service, &gateways, &names(&[]));
        service.signals.as_ref().unwrap().late
    };
    assert_eq!(hear(0.0, [50, 50, 50], 0.1), None, "nobody knows by when these came");
    assert_eq!(hear(1.0, [50, 50, 50], 0.1), None);
    assert_eq!(hear(2.0, [56, 53, 51], 0.1), Some(0.4));
    hear(3.0, [56, 53, 51], 5.0);
    assert_eq!(hear(4.0, [99, 99, 99], 5.0), Some(0.4), "counted by another target");
    let late = hear(5.0, [189, 99, 99], 5.0).unwrap();
    assert!((late - 0.04).abs() < 1e-6, "{late}");
    service.plan.objective = None;
    state.inform(1_006.0, &mut service, &gateways, &names(&[]));
    assert_eq!(service.signals.unwrap().late, None);
}

/// One call a second at three replicas that are hardly busy: what is then late is the profile's fault, for the pass to mend.
#[test]
fn replicas_that_answer_late_while_they_should_not_count_for_less() {
    let sustained = |late: bool| {
        let mut state = State::new(&BOUNDS);
        let mut service = crate::testing::service("s");
        service.id = id();
        service.plan.objective = Some(Objective { percentile: 99.0, target: 0.1 });
        service.replicas.insert(crate::testing::slot("r1", crate::testing::ONPREM), crate::testing::ready(3));
        for second in 0..300u64 {
            let mut sample = report(0.0, second, Some(0.0));
            sample.services[0].latency =
                if late { vec![second / 2, second.div_ceil(2), 0] } else { vec![second, 0, 0] };
            state.hear_gateway(1_000.0 + second as f64, &"g1".into(), &sample);
            state.inform(1_000.0 + second as f64, &mut service, &names(&["g1"]), &names(&[]));
        }
        crate::testing::sustained(&service)
    };
    assert!(sustained(true) < 0.7 * sustained(false), "{} {}", sustained(true), sustained(false));
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
    let pools = vec![pool("h", "H100", 4.0), pool("l", "L40S", 2.0)].into();
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
        let revision = Revision::from(number.to_string());
        state.hear_server(number as f64, &Replica { revision, ..replica("p") }, &batches(number as u64 + 1, 1.0));
    }
    assert_eq!(state.services[&id()].learners.len(), PROFILES);
    state.retain(&names(&[]), &names(&[]), &BTreeSet::new());
    assert_eq!((state.servers.len(), state.services.len()), (0, 0));
}

#[test]
fn a_gateway_takes_the_place_of_one_that_left_and_nothing_of_what_it_said() {
    let mut state = two_gateways();
    state.retain(&names(&["g2"]), &names(&[]), &BTreeSet::from([id()]));
    state.hear_gateway(1_020.5, &"g3".into(), &GatewaySample { services: Vec::new(), ..report(500.0, 0, None) });
    assert_eq!(state.gateways[&"g3".into()].place, 0);
    let heard = signals(&state, 1_020.5, &["g2", "g3"]).unwrap();
    assert!(!heard.complete, "the new one has no route yet: {heard:?}");
    state.hear_gateway(1_021.0, &"g3".into(), &report(500.0, 1_000, Some(0.0)));
    let heard = signals(&state, 1_021.0, &["g2", "g3"]).unwrap();
    assert!(heard.complete && heard.arrivals_short < 2.1, "its first reading is a baseline: {heard:?}");
}

#[test]
fn a_report_without_a_life_says_nothing() {
    let mut state = two_gateways();
    for second in 0..5u64 {
        state.hear_gateway(1_021.0 + second as f64, &"g1".into(), &report(f64::NAN, 28 + second, Some(0.0)));
        state.hear_gateway(1_021.0 + second as f64, &"g2".into(), &report(500.0, 28 + second, Some(0.0)));
    }
    let heard = signals(&state, 1_025.0, &["g1", "g2"]).unwrap();
    assert!(!heard.complete && heard.arrivals_short < 2.1, "{heard:?}");
}
