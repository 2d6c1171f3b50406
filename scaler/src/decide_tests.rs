use super::*;
use crate::testing::*;
use crate::{Capacity, Count, Refusal, Service, Signals};
use std::sync::Arc;

fn reason(service: &Service) -> String {
    decided(service).outcome.reason().to_owned()
}

fn cause(service: &Service) -> Cause {
    decided(service).cause
}

#[test]
fn load_raises_on_premises_first_and_says_why() {
    let mut service = service("s");
    let one = sustained(&service);
    service.signals = Some(load(one * 1.5));
    assert_eq!(outcome(&service), (2, 0));
    let reason = reason(&service);
    assert!(reason.starts_with("load ") && reason.ends_with("; +1 on l40s-onprem at $0.90/h"), "{reason}");
    service.signals = Some(load(needing(&service, 6)));
    assert_eq!(outcome(&service), (4, 2), "the pool on premises has four");
    service.signals = Some(load(one * 0.9));
    assert_eq!(decided(&service).outcome, Outcome::Hold { reason: self::reason(&service) });
}

#[test]
fn backlog_adds_at_once_with_its_figures() {
    let mut service = service("s");
    service.signals = Some(Signals { queued: Some(900), ..load(1.0) });
    let reason = reason(&service);
    assert_eq!(outcome(&service), (2, 0));
    assert!(reason.starts_with("queue wait ") && reason.contains(" allowed; +1 on l40s-onprem"), "{reason}");
}

#[test]
fn a_held_request_wakes_from_zero_even_on_partial_news() {
    let mut service = service("s");
    service.replicas.insert(slot("r1", ONPREM), ready(0));
    assert_eq!(outcome(&service), (0, 0));
    service.signals = Some(Signals { held: 1, complete: false, ..load(0.0) });
    assert_eq!(outcome(&service), (1, 0));
    assert_eq!(reason(&service), "1 request held at zero; +1 on l40s-onprem at $0.90/h");
    service.signals = Some(load(5.0));
    assert_eq!(outcome(&service), (0, 0), "old arrivals wake nobody");
}

#[test]
fn zero_needs_fresh_proof_and_a_proven_revision() {
    let mut service = service("s");
    service.signals = Some(Signals { idle_for: Some(60.0), ..load(0.0) });
    assert_eq!(outcome(&service), (0, 0));
    assert_eq!(reason(&service), "no request for 60 s at any gateway; -1 on l40s-onprem at $0.90/h");
    for change in [
        (|s: &mut Service| s.signals = Some(Signals { idle_for: Some(59.0), ..load(0.0) })) as fn(&mut Service),
        |s| s.signals = Some(Signals { idle_for: None, ..load(0.0) }),
        |s| s.signals = Some(Signals { idle_for: Some(f64::NAN), ..load(0.0) }),
        |s| s.signals = None,
        |s| s.plan.bounds.min = 1,
        |s| s.plan.bounds.min_warm = 1,
        |s| s.plan.bounds.pause = true,
        |s| s.plan.revisions.proven = false,
        |s| s.memory.raised_at = Some(NOW - 5.0),
    ] {
        let mut changed = service.clone();
        change(&mut changed);
        assert_eq!(outcome(&changed), (1, 0), "{changed:?}");
    }
}

#[test]
fn without_metrics_nothing_goes_down_and_the_floor_still_holds() {
    let mut service = service("s");
    service.replicas.insert(slot("r1", ONPREM), ready(3));
    for signals in
        [None, Some(Signals { complete: false, ..load(0.0) }), Some(load(f64::NAN)), Some(load(f64::INFINITY))]
    {
        service.signals = signals;
        assert_eq!(outcome(&service), (3, 0));
    }
    service.plan.bounds.min = 4;
    assert_eq!(outcome(&service), (4, 0));
    service.plan.bounds.min = 0;
    service.signals = None;
    assert_eq!((cause(&service), decided(&service).metrics_fresh), (Cause::Unknown, false));
}

#[test]
fn steps_down_one_at_a_time_the_dearest_first() {
    let mut service = service("s");
    let one = sustained(&service);
    service.replicas.insert(slot("r1", ONPREM), ready(3));
    service.replicas.insert(slot("r1", CLOUD), ready(2));
    // No replica moves there.
    service.memory.refusals.insert(ONPREM.into(), Refusal { at: NOW, until: NOW + 60.0, strikes: 0 });
    service.signals = Some(load(one * 1.5));
    assert_eq!(outcome(&service), (3, 1));
    service.memory.lowered_at = Some(NOW - 5.0);
    assert_eq!(outcome(&service), (3, 2), "one step for each start-up time");
    service.memory.lowered_at = Some(NOW - 31.0);
    assert_eq!(outcome(&service), (3, 1));
    service.memory.raised_at = Some(NOW - 5.0);
    assert_eq!(outcome(&service), (3, 2), "a rise is held");
    service.memory.raised_at = None;
    service.signals = Some(load(sustained_by(&service, 4)));
    assert_eq!(outcome(&service), (3, 2), "four would fit with nothing to spare");
    service.signals = Some(Signals { arrivals_peak: sustained_by(&service, 4), ..load(one) });
    assert_eq!(outcome(&service), (3, 2), "a start-up time ago the load was four");
    service.signals = Some(load(0.0));
    assert_eq!(outcome(&service), (1, 0), "nothing to do: at once, but not to zero");
}

#[test]
fn late_answers_forbid_a_step_down_and_count_what_flies() {
    let mut service = service("s");
    service.replicas.insert(slot("r1", ONPREM), ready(2));
    service.signals = Some(Signals { late: Some(0.2), in_flight: 2, in_flight_mean: 2.0, ..load(1.0) });
    assert_eq!(outcome(&service), (2, 0));
    service.signals = Some(Signals { late: Some(0.2), in_flight: 64, in_flight_mean: 64.0, ..load(1.0) });
    assert!(outcome(&service).0 > 2);
    assert_eq!(cause(&service), Cause::Late);
}

#[test]
fn no_room_is_said_with_counts() {
    let mut service = service("s");
    service.signals = Some(load(1e6));
    service.plan.bounds.max = 100;
    let mut fleet = fleet(vec![service.clone()]);
    fleet.pools.get_mut(&ONPREM.into()).unwrap().others = 3;
    fleet.tenants.get_mut(&"team-a".into()).unwrap().accelerators.insert("H100".into(), 0);
    let decision = decide(NOW, &fleet).remove(0);
    assert_eq!(decision.cause, Cause::NoRoom);
    let reason = decision.outcome.reason();
    assert!(matches!(decision.outcome, Outcome::Hold { .. }));
    assert!(
        reason.ends_with("; no room: l40s-onprem (on premises) 0 of 4 free, h100-cloud (cloud) quota 0 of 0 H100 used"),
        "{reason}"
    );
}

#[test]
fn terminating_pods_still_hold_their_accelerators() {
    let mut service = service("s");
    let one = sustained(&service);
    service.signals = Some(load(one * 1.5));
    service.replicas.insert(slot("r1", ONPREM), Count { terminating: 3, ..ready(1) });
    assert_eq!(outcome(&service), (1, 1));
}

#[test]
fn every_cap_holds() {
    let busy = |change: fn(&mut Service)| {
        let mut service = service("s");
        service.signals = Some(load(needing(&service, 8)));
        change(&mut service);
        outcome(&service)
    };
    assert_eq!(busy(|_| ()), (4, 4));
    assert_eq!(busy(|s| s.plan.bounds.max = 3), (3, 0));
    assert_eq!(busy(|s| s.plan.max_hourly_cost = Some(5.8)), (4, 1));
    assert_eq!(busy(|s| s.plan.max_hourly_cost = Some(f64::NAN)), (1, 0));
    assert_eq!(busy(|s| pools(s)[0].hourly_cost = f64::NAN), (4, 4));
    assert_eq!(busy(|s| s.plan.tenant = "nobody".into()), (1, 0));
    assert_eq!(busy(|s| pools(s)[0].accelerators = 2), (2, 6));
    assert_eq!(busy(|s| s.plan.bounds.pause = true), (1, 0));
}

#[test]
fn a_lowered_cap_takes_away_even_without_metrics() {
    let mut service = service("s");
    service.signals = None;
    service.replicas.insert(slot("r1", ONPREM), ready(4));
    service.replicas.insert(slot("r1", CLOUD), ready(2));
    service.plan.bounds.max = 5;
    assert_eq!(outcome(&service), (4, 1));
    service.plan.bounds.max = 10;
    service.plan.max_hourly_cost = Some(3.0);
    assert_eq!(outcome(&service), (3, 0));
}

#[test]
fn a_tenant_shares_its_budget_in_turns() {
    let (mut first, mut second) = (service("a"), service("b"));
    let one = sustained(&first);
    first.signals = Some(load(one * 6.0));
    second.signals = Some(load(one * 6.0));
    let mut fleet = fleet(vec![first.clone(), second.clone()]);
    fleet.tenants.get_mut(&"team-a".into()).unwrap().max_hourly_cost = Some(0.9 * 4.0);
    let decisions = decide(NOW, &fleet);
    let of = |service, decision| after(service, decision).values().sum::<u32>();
    assert_eq!((of(&first, &decisions[0]), of(&second, &decisions[1])), (2, 2));
}

#[test]
fn refused_replicas_spill_and_the_pool_is_left_alone() {
    let mut service = service("s");
    let one = sustained(&service);
    service.signals = Some(load(one * 1.5));
    let refused = |since| Count { desired: 2, ready: 1, unschedulable: vec![since], ..Count::default() };
    service.replicas.insert(slot("r1", ONPREM), refused(NOW - 9.0));
    assert_eq!(outcome(&service), (2, 0));
    service.replicas.insert(slot("r1", ONPREM), refused(NOW - 10.0));
    assert_eq!(outcome(&service), (1, 1));
    assert!(reason(&service).starts_with("l40s-onprem has refused 1 replica for 10 s; "), "{}", reason(&service));
    service.replicas.insert(slot("r1", ONPREM), ready(1));
    service.memory.refusals.insert(ONPREM.into(), Refusal { at: NOW - 30.0, until: NOW + 30.0, strikes: 0 });
    assert_eq!(outcome(&service), (1, 1));
    service.memory.refusals.get_mut(&ONPREM.into()).unwrap().until = NOW;
    assert_eq!(outcome(&service), (2, 0));
}

#[test]
fn a_refused_replica_stays_where_no_other_pool_has_room() {
    let mut service = service("s");
    service.plan.pools = service.plan.pools[..1].into();
    service.signals = Some(load(sustained(&service) * 1.5));
    let refused = Count { desired: 2, ready: 1, unschedulable: vec![NOW - 100.0], ..Count::default() };
    service.replicas.insert(slot("r1", ONPREM), refused);
    service.memory.refusals.insert(ONPREM.into(), Refusal { at: NOW, until: NOW + 60.0, strikes: 0 });
    assert_eq!((outcome(&service), cause(&service)), ((2, 0), Cause::NoRoom));
}

#[test]
fn a_new_revision_proves_itself_beside_the_serving_one() {
    let mut service = service("s");
    service.signals = Some(Signals { idle_for: Some(1e4), ..load(0.0) });
    with_new_revision(&mut service, 0);
    let replicas = after(&service, &decided(&service));
    assert_eq!((replicas[&slot("r1", ONPREM)], replicas[&slot("r2", ONPREM)]), (1, 1));
    assert_eq!(reason(&service), "revision r2 proves itself; +1 on l40s-onprem at $0.90/h");
    service.replicas.insert(slot("r2", ONPREM), ready(1));
    assert_eq!(cause(&service), Cause::Steady);
    service.plan.revisions.serving = None;
    service.plan.revisions.proven = false;
    let first = after(&service, &decided(&service));
    assert_eq!((first[&slot("r1", ONPREM)], first[&slot("r2", ONPREM)]), (0, 1), "none serves yet: the newest only");
}

#[test]
fn traffic_moves_and_the_old_revision_hands_its_replicas_over() {
    let mut service = service("s");
    service.replicas.insert(slot("r1", ONPREM), ready(2));
    with_new_revision(&mut service, 1);
    service.plan.revisions.serving = Some("r2".into());
    service.plan.revisions.proven = true;
    service.signals = Some(load(sustained(&service)));
    let replicas = after(&service, &decided(&service));
    assert_eq!((replicas[&slot("r1", ONPREM)], replicas[&slot("r2", ONPREM)]), (0, 2));
    assert!(reason(&service).starts_with("requests go to r2; r1 retires; "), "{}", reason(&service));
}

#[test]
fn a_rollout_without_a_spare_accelerator_takes_one_of_several() {
    let mut service = service("s");
    service.plan.pools = service.plan.pools[..1].into();
    service.replicas.remove(&slot("r1", CLOUD));
    service.replicas.insert(slot("r1", ONPREM), ready(4));
    with_new_revision(&mut service, 0);
    service.signals = Some(load(needing(&service, 4)));
    let replicas = after(&service, &decided(&service));
    assert_eq!((replicas[&slot("r1", ONPREM)], replicas[&slot("r2", ONPREM)]), (3, 0));
    service.replicas.insert(slot("r1", ONPREM), Count { terminating: 1, ..ready(3) });
    assert!(matches!(decided(&service).outcome, Outcome::Hold { .. }), "waits for it to end");
    service.replicas.insert(slot("r1", ONPREM), ready(3));
    service.memory.lowered_at = Some(NOW - 1.0);
    service.memory.need_at_fall = Some(needing(&service, 4));
    let replicas = after(&service, &decided(&service));
    assert_eq!((replicas[&slot("r1", ONPREM)], replicas[&slot("r2", ONPREM)]), (3, 1));
}

#[test]
fn a_rollout_never_takes_the_last_replica() {
    let mut service = service("s");
    service.plan.bounds.max = 1;
    with_new_revision(&mut service, 0);
    let replicas = after(&service, &decided(&service));
    assert_eq!((replicas[&slot("r1", ONPREM)], replicas[&slot("r2", ONPREM)]), (1, 0));
    assert_eq!(reason(&service), "revision r2 proves itself: no room under maxReplicas 1");
}

#[test]
fn a_forbidden_pool_is_left_once_another_serves() {
    let mut service = service("s");
    service.plan.pools = service.plan.pools[1..].into();
    assert_eq!(outcome(&service), (1, 1));
    service.replicas.insert(slot("r1", CLOUD), ready(1));
    assert_eq!(outcome(&service), (0, 1));
    service.plan.pools = Arc::default();
    assert_eq!(outcome(&service), (1, 1), "a plan without pools moves nothing");
}

#[test]
fn overdue_starts_are_replaced_only_beside_a_ready_one() {
    let mut service = service("s");
    service.memory.note_start(&ONPREM.into(), 30.0);
    service.signals = Some(load(sustained(&service) * 1.5));
    let overdue = |ready| Count { desired: ready + 1, ready, starting: vec![NOW - 91.0], ..Count::default() };
    service.replicas.insert(slot("r1", ONPREM), overdue(1));
    assert_eq!(outcome(&service), (3, 0));
    service.signals = Some(load(sustained(&service) * 0.5));
    service.replicas.insert(slot("r1", ONPREM), overdue(0));
    assert_eq!(outcome(&service), (1, 0), "more of what never starts won't help");
}

#[test]
fn min_warm_keeps_spares() {
    let mut service = service("s");
    service.plan.bounds.min_warm = 2;
    assert_eq!(outcome(&service), (2, 0));
    service.signals = Some(load(sustained(&service) * 0.9));
    assert_eq!(outcome(&service), (3, 0));
}

#[test]
fn strategies_order_the_pools() {
    let mut service = service("s");
    service.signals = Some(load(sustained(&service) * 1.5));
    pools(&mut service)[1].tier = 0;
    assert_eq!(outcome(&service), (2, 0));
    service.profiles.insert(CLOUD.into(), crate::Profile::measured(0.002, 0.002));
    assert_eq!(outcome(&service), (2, 0), "a large one is no bargain for what a small one does");
    service.signals = Some(load(sustained(&service) * 6.0));
    assert_eq!(outcome(&service), (1, 1), "ten times as fast at little more than twice the price is cheaper");
    service.plan.strategy = crate::Strategy::Ordered;
    assert_eq!(outcome(&service), (4, 1), "as listed: the first is full at four");
    service.plan.strategy = crate::Strategy::Fastest;
    assert_eq!(outcome(&service), (1, 1));
}

#[test]
fn a_list_is_followed_wherever_replicas_are() {
    let mut service = service("s");
    service.plan.strategy = crate::Strategy::Ordered;
    pools(&mut service)[1].tier = 0;
    service.replicas.insert(slot("r1", ONPREM), ready(0));
    service.replicas.insert(slot("r1", CLOUD), ready(1));
    service.signals = Some(load(needing(&service, 2)));
    assert_eq!(outcome(&service), (1, 1));
}

#[test]
fn a_pool_with_unknown_capacity_gets_nothing() {
    let mut service = service("s");
    service.signals = Some(load(sustained(&service) * 1.5));
    let mut fleet = fleet(vec![service.clone()]);
    fleet.pools.get_mut(&ONPREM.into()).unwrap().capacity = Capacity::Unknown;
    let decision = decide(NOW, &fleet).remove(0);
    assert_eq!(after(&service, &decision)[&slot("r1", CLOUD)], 1);
    service.replicas.remove(&slot("r1", CLOUD));
    fleet.services = vec![service];
    let decision = decide(NOW, &fleet).remove(0);
    assert!(
        decision.outcome.reason().contains("h100-cloud (cloud) is being prepared"),
        "{}",
        decision.outcome.reason()
    );
}
