use super::*;
use crate::testing::*;
use crate::{Capacity, Count, Refusal, Service, Strategy, decide};

/// Two replicas in the cloud, both needed.
fn in_the_cloud() -> Service {
    let mut service = service("s");
    service.replicas.insert(slot("r1", ONPREM), ready(0));
    service.replicas.insert(slot("r1", CLOUD), ready(2));
    service.signals = Some(load(needing(&service, 2)));
    service
}

#[test]
fn replicas_come_back_on_premises_one_by_one_and_never_leave_load_alone() {
    let mut service = in_the_cloud();
    let mut seen = Vec::new();
    for _ in 0..6 {
        let (onprem, cloud) = outcome(&service);
        seen.push((onprem, cloud));
        service.replicas.insert(slot("r1", ONPREM), ready(onprem));
        service.replicas.insert(slot("r1", CLOUD), ready(cloud));
    }
    assert_eq!(seen, [(1, 2), (1, 1), (2, 1), (2, 0), (2, 0), (2, 0)]);
    let moved = decided(&in_the_cloud());
    assert_eq!(moved.cause, Cause::Move);
    let why = "l40s-onprem has room for a replica of h100-cloud; +1 on l40s-onprem at $0.90/h";
    assert_eq!(moved.outcome.reason(), why);
}

#[test]
fn nothing_moves_while_anything_else_goes_on() {
    let stays = |change: fn(&mut Service)| {
        let mut service = in_the_cloud();
        change(&mut service);
        assert_eq!(outcome(&service), (0, 2));
    };
    stays(|service| service.memory.raised_at = Some(NOW - 5.0));
    stays(|service| service.memory.lowered_at = Some(NOW - 5.0));
    stays(|service| service.plan.bounds.max = 2);
    stays(|service| service.plan.bounds.pause = true);
    stays(|service| service.signals.as_mut().unwrap().complete = false);
    stays(|service| service.signals.as_mut().unwrap().young = true);
    stays(|service| service.replicas.entry(slot("r1", CLOUD)).or_default().terminating = 1);
    stays(|service| service.replicas.entry(slot("r1", CLOUD)).or_default().standbys = 1);
    stays(|service| service.signals = Some(load(sustained_by(service, 2) * 0.99)));
    stays(|service| {
        let refusal = Refusal { at: NOW - 30.0, until: NOW + 30.0, strikes: 0 };
        service.memory.refusals.insert(ONPREM.into(), refusal);
    });
    let mut full = fleet(vec![in_the_cloud()]);
    full.pools.get_mut(&ONPREM.into()).unwrap().capacity = Capacity::Accelerators(0);
    assert_eq!(decide(NOW, &full)[0].cause, Cause::Steady);
}

#[test]
fn who_needs_a_replica_takes_the_room_before_who_would_be_better_off() {
    let mut needs = service("t");
    needs.signals = Some(load(needing(&needs, 2)));
    let mut fleet = fleet(vec![in_the_cloud(), needs]);
    fleet.pools.get_mut(&ONPREM.into()).unwrap().capacity = Capacity::Accelerators(2);
    let decisions = decide(NOW, &fleet);
    assert_eq!((decisions[0].cause, decisions[1].cause), (Cause::Steady, Cause::Load));
    assert_eq!(after(&fleet.services[1], &decisions[1])[&slot("r1", ONPREM)], 2);
}

#[test]
fn within_a_tier_a_move_has_to_pay() {
    let mut service = in_the_cloud();
    let mut at = |price: f64| {
        pools(&mut service).iter_mut().for_each(|pool| pool.tier = 0);
        pools(&mut service)[1].hourly_cost = price;
        outcome(&service)
    };
    assert_eq!((at(0.98), at(1.01)), ((0, 2), (1, 2)), "a tenth of a dollar is 0.90 of 1.00");
    assert_eq!(at(f64::NAN), (0, 2), "a price that is none moves nothing");
    at(0.90);
    service.plan.strategy = Strategy::Ordered;
    assert_eq!(outcome(&service), (1, 2), "as listed");
    service.plan.strategy = Strategy::Fastest;
    assert_eq!(outcome(&service), (0, 2), "it is no faster");
    service.profiles.insert(ONPREM.into(), crate::Profile::measured(0.017, 0.017));
    assert_eq!(outcome(&service), (1, 2));
}

#[test]
fn a_move_that_never_gets_ready_is_given_up() {
    let mut service = in_the_cloud();
    service.memory.note_start(&CLOUD.into(), 30.0);
    let overdue = Count { desired: 1, starting: vec![NOW - 91.0], ..Count::default() };
    service.replicas.insert(slot("r1", ONPREM), overdue.clone());
    assert_eq!(outcome(&service), (0, 2));
    service.replicas.insert(slot("r1", ONPREM), Count { starting: vec![NOW - 90.0], ..overdue });
    assert_eq!(outcome(&service), (1, 2), "it may still come");
}

/// What a service of one tier and a load comes to, on pools of which the first is so many times as fast as the other.
fn at_rest(times: f64, price: f64, tier: u32, (onprem, cloud): (u32, u32), rate: f64) -> (u32, u32) {
    let mut service = service("s");
    (pools(&mut service)[1].hourly_cost, pools(&mut service)[1].tier) = (price, tier);
    service.profiles.insert(ONPREM.into(), crate::Profile::measured(0.02 / times, 0.02 / times));
    service.replicas.insert(slot("r1", ONPREM), ready(onprem));
    service.replicas.insert(slot("r1", CLOUD), ready(cloud));
    service.signals = Some(load(rate));
    let mut seen = Vec::new();
    while seen.len() < 20 {
        let (onprem, cloud) = outcome(&service);
        service.replicas.insert(slot("r1", ONPREM), ready(onprem));
        service.replicas.insert(slot("r1", CLOUD), ready(cloud));
        seen.push((onprem, cloud));
        if seen.len() > 2 && seen[seen.len() - 2] == (onprem, cloud) {
            return (onprem, cloud);
        }
    }
    panic!("it never rests: {seen:?}");
}

#[test]
fn constant_load_comes_to_rest_whatever_the_pools_are() {
    let one = sustained(&service("s"));
    for tier in [0, 1] {
        for (times, price) in [(0.25, 0.5), (0.25, 4.0), (0.5, 1.0), (1.0, 0.9), (2.0, 2.1), (4.0, 0.9), (4.0, 5.0)] {
            for load in [0.1, 0.5, 1.0, 1.7, 2.5, 3.3] {
                for before in [(0, 4), (1, 3), (4, 0)] {
                    let (onprem, cloud) = at_rest(times, price, tier, before, load * one);
                    assert!(onprem + cloud > 0);
                }
            }
        }
    }
}

#[test]
fn a_large_replica_is_no_bargain_for_what_a_small_one_does() {
    let one = sustained(&service("s"));
    // On premises ten times as fast, in the cloud at a third of the price.
    assert_eq!(at_rest(10.0, 0.3, 0, (0, 1), 0.5 * one), (0, 1));
    assert_eq!(at_rest(10.0, 0.3, 0, (0, 8), 5.0 * one), (1, 0), "it stands for several");
    assert_eq!(at_rest(0.25, 0.9, 1, (0, 2), 1.5 * one), (0, 2), "one small one can't stand for a large one");
}

#[test]
fn what_is_ready_is_never_given_up_for_a_pod_that_is_gone() {
    let mut service = in_the_cloud();
    // The replica that was refused has been given up; the list of pods still has it.
    service.signals = Some(load(needing(&service, 1)));
    service.replicas.insert(slot("r1", CLOUD), ready(0));
    let stale = Count { desired: 1, ready: 1, unschedulable: vec![NOW - 20.0], ..Count::default() };
    service.replicas.insert(slot("r1", ONPREM), stale);
    assert_eq!(outcome(&service), (1, 0));
}

#[test]
fn a_move_that_is_refused_is_given_up() {
    let mut service = in_the_cloud();
    let refused = Count { desired: 1, unschedulable: vec![NOW - 11.0], ..Count::default() };
    service.replicas.insert(slot("r1", ONPREM), refused);
    service.memory.raised_at = Some(NOW - 11.0);
    assert_eq!(outcome(&service), (0, 3), "a rise is held");
    service.memory.beside = true;
    assert_eq!(outcome(&service), (0, 2));
    let why = "l40s-onprem refuses a replica, and load fits without it; -1 on l40s-onprem at $0.90/h";
    assert_eq!(decided(&service).outcome.reason(), why);
}
