use super::*;
use crate::testing::*;
use crate::{Capacity, Memory, Profile, Service, Tenant, decide};

/// Three replicas are asked for in the cloud, where a start takes three minutes; one was taken back just now, and load is more
/// than the other two sustain.
fn bereft() -> Service {
    let mut service = service("s");
    service.replicas.insert(slot("r1", ONPREM), ready(0));
    service.replicas.insert(slot("r1", CLOUD), Count { ready: 2, starting: vec![NOW - 5.0], ..ready(3) });
    service.memory.note_start(&CLOUD.into(), 180.0);
    service.memory.note_start(&ONPREM.into(), 20.0);
    service.signals = Some(load(needing(&service, 3)));
    service
}

#[test]
fn one_comes_where_it_is_ready_soonest() {
    assert_eq!(outcome(&bereft()), (1, 3));
    let decision = decided(&bereft());
    assert_eq!(decision.cause, Cause::Sooner);
    let reason = decision.outcome.reason().to_owned();
    assert!(reason.contains("what was asked for takes 175.0 s, on l40s-onprem 20.0 s"), "{reason}");
}

#[test]
fn it_comes_while_it_helps_and_no_other_does() {
    let rests = |change: fn(&mut Service)| {
        let mut service = bereft();
        change(&mut service);
        assert_eq!(outcome(&service), (0, 3));
    };
    rests(|service| service.signals = Some(load(needing(service, 2))));
    rests(|service| service.replicas.entry(slot("r1", CLOUD)).or_default().starting = vec![NOW - 150.0]);
    rests(|service| service.memory.starts.clear());
    rests(|service| service.memory.note_start(&ONPREM.into(), 110.0));
    rests(|service| {
        service.memory = Memory::default();
        service.memory.note_start(&CLOUD.into(), 45.0);
        service.memory.note_start(&ONPREM.into(), 15.0);
    });
    rests(|service| service.replicas.entry(slot("r1", CLOUD)).or_default().ready = 0);
    rests(|service| service.plan.max_hourly_cost = Some(3.0 * 2.10 + 0.8));
    rests(|service| service.plan.bounds.max = 3);
    rests(|service| service.plan.bounds.pause = true);
    rests(|service| (service.plan.revisions.serving, service.plan.revisions.proven) = (None, false));
    rests(|service| pools(service)[0].tier = 2);
    rests(|service| {
        service.profiles.insert(ONPREM.into(), Profile::measured(9.0, 0.0));
    });
    rests(|service| {
        service.profiles.insert(ONPREM.into(), Profile::measured(0.1, 0.1));
    });
    let mut full = fleet(vec![bereft()]);
    full.pools.get_mut(&ONPREM.into()).unwrap().capacity = Capacity::Accelerators(0);
    assert_eq!(decide(NOW, &full)[0].cause, Cause::Steady);
    let mut bound = fleet(vec![bereft()]);
    let accelerators = [("L40S".into(), 0)].into_iter().collect();
    bound.tenants.insert("team-a".into(), Tenant { accelerators, ..Tenant::default() });
    assert_eq!(decide(NOW, &bound)[0].cause, Cause::Steady, "beyond its quota");
}

#[test]
fn who_needs_a_replica_takes_the_room_before_who_would_have_one_sooner() {
    let mut needs = service("t");
    needs.replicas.insert(slot("r1", CLOUD), ready(0));
    pools(&mut needs)[1].tier = 0;
    needs.signals = Some(load(needing(&needs, 2)));
    let mut fleet = fleet(vec![bereft(), needs]);
    fleet.pools.get_mut(&ONPREM.into()).unwrap().capacity = Capacity::Accelerators(2);
    let decisions = decide(NOW, &fleet);
    assert_eq!((decisions[0].cause, decisions[1].cause), (Cause::Steady, Cause::Load));
}

#[test]
fn what_comes_soon_anyway_is_enough() {
    let mut service = bereft();
    service.replicas.insert(slot("r1", ONPREM), Count { starting: vec![NOW - 2.0], ready: 0, ..ready(1) });
    assert_eq!(outcome(&service), (1, 3));
    service.replicas.insert(slot("r1", ONPREM), Count { ready: 0, ..ready(1) });
    assert_eq!(outcome(&service), (1, 3), "it was asked for a moment ago, and has no pod yet");
}

#[test]
fn as_many_come_one_by_one_as_load_is_more() {
    let mut service = bereft();
    service.signals = Some(load(needing(&service, 5)));
    service.replicas.insert(slot("r1", CLOUD), Count { ready: 2, starting: vec![NOW - 5.0; 4], ..ready(6) });
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (onprem, cloud) = outcome(&service);
        seen.push((onprem, cloud));
        service.replicas.insert(slot("r1", ONPREM), Count { ready: 0, ..ready(onprem) });
    }
    assert_eq!(seen, [(1, 6), (2, 6), (3, 6), (3, 6), (3, 6)]);
}

/// A node has to come before a pod that none has room for is ready, however soon others were.
#[test]
fn a_pod_without_a_node_takes_as_long_as_one_takes_to_come() {
    let mut service = bereft();
    service.memory = Memory::default();
    service.memory.note_start(&CLOUD.into(), 30.0);
    service.memory.note_start(&ONPREM.into(), 20.0);
    pools(&mut service)[1].provisioning_delay = 240.0;
    assert_eq!(outcome(&service), (0, 3));
    let waits = Count { ready: 2, unschedulable: vec![NOW - 5.0], ..ready(3) };
    service.replicas.insert(slot("r1", CLOUD), waits);
    assert_eq!(outcome(&service), (1, 3));
}

#[test]
fn what_is_refused_after_it_was_replaced_is_given_up() {
    let mut service = bereft();
    service.memory.raised_at = Some(NOW - 15.0);
    service.memory.beside = true;
    service.replicas.insert(slot("r1", ONPREM), ready(1));
    let refused = Count { ready: 2, unschedulable: vec![NOW - 16.0], ..ready(3) };
    service.replicas.insert(slot("r1", CLOUD), refused);
    assert_eq!(outcome(&service), (1, 2));
    service.memory.beside = false;
    assert_eq!(outcome(&service), (2, 2), "load asked for it");
}

#[test]
fn it_leaves_once_what_was_asked_for_is_ready() {
    let mut service = bereft();
    service.replicas.insert(slot("r1", ONPREM), ready(1));
    service.replicas.insert(slot("r1", CLOUD), ready(3));
    service.memory.starts.clear();
    pools(&mut service)[0].tier = 1;
    pools(&mut service)[0].hourly_cost = 9.0;
    assert_eq!(outcome(&service), (0, 3));
}
