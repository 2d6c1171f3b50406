use super::*;
use crate::testing::*;
use crate::{Capacity, Profile, Service, decide};

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
    rests(|service| service.plan.bounds.max = 3);
    rests(|service| service.plan.bounds.pause = true);
    rests(|service| pools(service)[0].tier = 2);
    rests(|service| {
        service.profiles.insert(ONPREM.into(), Profile::measured(9.0, 0.0));
    });
    let mut full = fleet(vec![bereft()]);
    full.pools.get_mut(&ONPREM.into()).unwrap().capacity = Capacity::Accelerators(0);
    assert_eq!(decide(NOW, &full)[0].cause, Cause::Steady);
}

#[test]
fn what_comes_soon_anyway_is_enough() {
    let mut service = bereft();
    service.replicas.insert(slot("r1", ONPREM), Count { starting: vec![NOW - 2.0], ready: 0, ..ready(1) });
    assert_eq!(outcome(&service), (1, 3));
    service.signals = Some(load(1.5 * sustained_by(&service, 3)));
    service.replicas.entry(slot("r1", CLOUD)).or_default().desired = 7;
    service.replicas.entry(slot("r1", CLOUD)).or_default().starting = vec![NOW - 5.0; 5];
    assert_eq!(outcome(&service), (3, 7), "it takes as many as load is more");
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
