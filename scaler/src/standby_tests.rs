use super::*;
use crate::testing::{CLOUD, NOW, ONPREM, fleet, ready, service, slot};
use crate::{Capacity, Count, Service, Signals, Tenant, decide};
use proptest::prelude::*;

/// A service at zero, for which a request waits.
fn asleep(name: &str) -> Service {
    let mut asleep = service(name);
    asleep.replicas.insert(slot("r1", ONPREM), ready(0));
    asleep.signals = Some(Signals { held: 1, complete: true, ..Signals::default() });
    asleep
}

fn want(name: &str, since: f64) -> Want {
    Want { service: ServiceId::new("team-a", name), slot: slot("r1", ONPREM), missing: 1, asleep: true, since }
}

fn supply(free: u32, gated: u32) -> BTreeMap<PoolName, Supply> {
    BTreeMap::from([(ONPREM.into(), Supply { free, gated })])
}

/// Names of those that get one.
fn given(fleet: &Fleet, wants: &[Want], free: u32) -> Vec<String> {
    let shares = share(fleet, &decide(NOW, fleet), wants, &supply(free, 0));
    shares.given.into_iter().map(|(service, _)| service.name.to_string()).collect()
}

#[test]
fn the_most_urgent_comes_first_then_who_sleeps_then_who_has_waited_longest() {
    let mut urgent = asleep("urgent");
    urgent.plan.lane = 0;
    let mut others = ["a", "b", "c"].map(asleep);
    others.iter_mut().for_each(|service| service.plan.lane = 1);
    let mut fleet = fleet(others.into_iter().chain([urgent]).collect());
    fleet.pools.get_mut(&ONPREM.into()).unwrap().others = 4;
    let awake = Want { asleep: false, ..want("a", 1.0) };
    let wants = [awake, want("b", 5.0), want("c", 4.0), want("urgent", 9.0)];
    for (free, expected) in [
        (0, vec![]),
        (1, vec!["urgent"]),
        (2, vec!["urgent", "c"]),
        (3, vec!["urgent", "c", "b"]),
        (9, vec!["urgent", "c", "b", "a"]),
    ] {
        assert_eq!(given(&fleet, &wants, free), expected, "{free} free");
    }
    let all = [Want { missing: 3, ..want("c", 1.0) }, want("b", 2.0)];
    assert_eq!(given(&fleet, &all, 3), ["c", "b", "c"], "each gets one before any gets two");
}

#[test]
fn quota_and_costs_must_have_room_for_both_and_the_pool_need_not() {
    let woken = |change: &dyn Fn(&mut Fleet)| {
        let mut fleet = fleet(vec![asleep("a")]);
        // One is the standby's, three are somebody else's: the replica itself has no place here, only the standby has.
        fleet.pools.get_mut(&ONPREM.into()).unwrap().others = 3;
        change(&mut fleet);
        share(&fleet, &decide(NOW, &fleet), &[want("a", 1.0)], &supply(1, 0))
    };
    assert_eq!(woken(&|_| {}).given.len(), 1);
    for (what, says, tenant) in [
        ("quota", "quota 1 of 1 L40S used", Tenant { accelerators: [("L40S".into(), 1)].into(), ..Tenant::default() }),
        ("cost", "the tenant's $1.00/h", Tenant { max_hourly_cost: Some(1.0), ..Tenant::default() }),
    ] {
        let shares = woken(&|fleet| _ = fleet.tenants.insert("team-a".into(), tenant.clone()));
        let denied = shares.denied.get(&ServiceId::new("team-a", "a")).cloned().unwrap_or_default();
        assert!(shares.given.is_empty() && denied.contains(says), "{what}: {denied}");
    }
    let shares = woken(&|fleet| fleet.services[0].plan.max_hourly_cost = Some(1.5));
    assert!(shares.given.is_empty() && shares.denied.values().all(|why| why.contains("maxHourlyCost")));
    let stranger = woken(&|fleet| _ = fleet.tenants.remove(&"team-a".into()));
    assert!(stranger.given.is_empty(), "a tenant that isn't known has no quota to draw on");
}

#[test]
fn one_that_is_there_counts_until_it_is_gone() {
    let mut service = asleep("a");
    service.replicas.insert(slot("r1", ONPREM), Count { desired: 1, standbys: 1, ..Count::default() });
    let mut fleet = fleet(vec![service]);
    fleet.tenants.get_mut(&"team-a".into()).unwrap().accelerators = [("L40S".into(), 2)].into();
    let shares = share(&fleet, &decide(NOW, &fleet), &[want("a", 1.0)], &supply(1, 0));
    assert_eq!((shares.given.len(), shares.denied.len()), (0, 1), "replica and standby are the quota");
    // Nor does the law give the accelerator that the standby holds to a second replica.
    fleet.services[0].plan.bounds.min = 2;
    let Outcome::To { replicas, reason } = decide(NOW, &fleet).remove(0).outcome else { panic!("no second replica") };
    assert_eq!((replicas[&slot("r1", ONPREM)], replicas[&slot("r1", CLOUD)]), (1, 1), "{reason}");
}

#[test]
fn a_pool_gets_new_ones_only_where_it_has_room() {
    for (capacity, others, expected) in [
        (Capacity::Accelerators(4), 1, Some(2)),
        (Capacity::Accelerators(4), 2, Some(1)),
        (Capacity::Accelerators(4), 3, None),
        (Capacity::Uncounted, 9, Some(2)),
        (Capacity::Unknown, 0, None),
    ] {
        let mut fleet = fleet(vec![service("a")]);
        let pool = fleet.pools.get_mut(&ONPREM.into()).unwrap();
        (pool.capacity, pool.others) = (capacity, others);
        let shares = share(&fleet, &decide(NOW, &fleet), &[], &supply(0, 2));
        assert_eq!(shares.opened.get(&ONPREM.into()).copied(), expected, "{capacity:?} {others}");
    }
}

#[test]
fn what_this_pass_has_raised_comes_before_a_new_standby() {
    let mut fleet = fleet(vec![asleep("a")]);
    fleet.pools.get_mut(&ONPREM.into()).unwrap().others = 3;
    let decisions = decide(NOW, &fleet);
    assert!(matches!(&decisions[0].outcome, Outcome::To { replicas, .. } if replicas[&slot("r1", ONPREM)] == 1));
    assert!(share(&fleet, &decisions, &[], &supply(0, 1)).opened.is_empty());
}

#[test]
fn what_answers_is_no_backlog_to_the_law() {
    let mut bridged = asleep("a");
    bridged.replicas.insert(
        slot("r1", ONPREM),
        Count { desired: 1, starting: vec![NOW - 2.0], standbys: 1, bridging: 1, ..Count::default() },
    );
    bridged.signals =
        Some(Signals { complete: true, in_flight: 1, in_flight_mean: 1.0, queued: Some(1), ..Signals::default() });
    let decision = decide(NOW, &fleet(vec![bridged])).remove(0);
    assert!(matches!(decision.outcome, Outcome::Hold { .. }), "{}", decision.outcome.reason());
}

proptest! {
    /// Whatever is wanted and there, no bound is broken, and no pool gives more than it has.
    #[test]
    fn no_bound_is_ever_broken(
        quota in 0u64..6, cost in 0u32..8, wants in prop::collection::vec((0usize..3, 0u32..4, any::<bool>(), 0u8..9), 0..6),
        free in 0u32..6, gated in 0u32..6, others in 0u64..6, bounds in prop::collection::vec(0u32..5, 3),
    ) {
        let names = ["a", "b", "c"];
        let mut services = names.map(asleep);
        services.iter_mut().zip(&bounds).for_each(|(service, cap)| service.plan.max_hourly_cost = Some(f64::from(*cap)));
        let mut fleet = fleet(services.into());
        fleet.pools.get_mut(&ONPREM.into()).unwrap().others = others;
        let tenant = Tenant { accelerators: [("L40S".into(), quota)].into(), max_hourly_cost: Some(f64::from(cost)), ..Tenant::default() };
        fleet.tenants.insert("team-a".into(), tenant);
        let wants: Vec<Want> = wants.into_iter().map(|(which, missing, asleep, since)| Want { missing, asleep, ..want(names[which], f64::from(since)) }).collect();
        let decisions = decide(NOW, &fleet);
        let shares = share(&fleet, &decisions, &wants, &supply(free, gated));
        let after = decided(&fleet, &decisions);
        let held = |pool: &str| -> u64 { after.services.iter().filter_map(|service| service.replicas.get(&slot("r1", pool))).map(Count::held).sum() };
        let given = shares.given.len() as u64;
        prop_assert!(given <= u64::from(free));
        if given > 0 {
            prop_assert!(held(ONPREM) + given <= quota);
            prop_assert!((held(ONPREM) + given) as f64 * 0.9 + held(CLOUD) as f64 * 2.1 <= f64::from(cost) + 1e-6);
        }
        for (name, cap) in names.iter().zip(&bounds) {
            let own = shares.given.iter().filter(|(service, _)| &*service.name == *name).count();
            let asked: u64 = after.services.iter().filter(|service| &*service.id.name == *name).flat_map(|service| service.replicas.iter()).filter(|(slot, _)| slot.pool == ONPREM.into()).map(|(_, count)| count.held()).sum();
            prop_assert!(own == 0 || (asked + own as u64) as f64 * 0.9 <= f64::from(*cap) + 1e-6);
        }
        let opened = u64::from(shares.opened.get(&ONPREM.into()).copied().unwrap_or(0));
        prop_assert!(opened == 0 || others + held(ONPREM) + opened <= 4);
    }
}
