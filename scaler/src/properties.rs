//! What holds for any fleet.

use crate::testing::*;
use crate::{
    Capacity, Count, Fleet, History, Increase, Memory, Outcome, Pool, PoolName, Profile, Record, Service, Signals,
    Slot, Tenant, decide,
};
use litemap::LiteMap;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Any figure, sensible or not.
fn figure() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0f64..200.0,
        1 => Just(0.0),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-1.0), Just(f64::MAX)],
    ]
}

/// A moment around now, or none at all.
fn moment() -> impl Strategy<Value = f64> {
    prop_oneof![6 => NOW - 200.0..NOW + 5.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]
}

prop_compose! {
    fn any_signals()(
        complete in any::<bool>(), young in any::<bool>(), figures in prop::collection::vec(figure(), 6), counts in prop::collection::vec(0u64..500, 3),
        queued in prop::option::of(prop_oneof![0u64..1_000, Just(u64::MAX)]), optional in any::<(bool, bool)>(),
        forecast in prop::option::of(figure()),
    ) -> Signals {
        Signals {
            complete,
            young,
            arrivals_short: figures[0],
            arrivals_long: figures[1],
            arrivals_peak: figures[2],
            in_flight: counts[0],
            in_flight_mean: figures[3],
            held: counts[1],
            queued,
            late: optional.0.then_some(figures[4] / 200.0),
            idle_for: optional.1.then_some(figures[5] * 10.0),
            forecast: forecast.map(|forecast| forecast * 2.0),
        }
    }
}

prop_compose! {
    fn any_count()(
        desired in 0u32..8, ready in 0u32..8, terminating in 0u32..3,
        starting in prop::collection::vec(moment(), 0..3), unschedulable in prop::collection::vec(moment(), 0..3),
    ) -> Count {
        Count { desired, ready, starting, unschedulable, terminating, ..Count::default() }
    }
}

prop_compose! {
    fn any_service()(
        signals in prop::option::weighted(0.9, any_signals()), counts in prop::collection::vec(any_count(), 4),
        bounds in (0u32..4, 1u32..12, 0u32..3, any::<bool>()), revisions in (any::<bool>(), any::<bool>(), any::<bool>()),
        cost in prop::option::of(figure()), prices in (figure(), figure()), profile in (figure(), figure()),
        moments in prop::option::of((moment(), moment(), 0.0f64..400.0, 0.0f64..400.0)), each in 1u32..3, batch in 1u32..64,
    ) -> Service {
        let mut service = service("s");
        service.signals = signals;
        let plan = &mut service.plan;
        (plan.bounds.min, plan.bounds.max) = (bounds.0.min(bounds.1), bounds.1);
        plan.bounds.min_warm = bounds.2.min(bounds.1);
        plan.bounds.pause = bounds.3 && revisions.2;
        plan.max_hourly_cost = cost;
        plan.max_batch = batch;
        let pools = pools(&mut service);
        (pools[0].hourly_cost, pools[1].hourly_cost) = prices;
        pools[1].accelerators = each;
        service.profiles.insert(ONPREM.into(), Profile::measured(profile.0 / 1e3, profile.1 / 1e3));
        if revisions.0 {
            with_new_revision(&mut service, 0);
            service.plan.revisions.proven = revisions.1;
        }
        for (count, (revision, pool)) in counts.into_iter().zip([("r1", ONPREM), ("r1", CLOUD), ("r2", ONPREM), ("r2", CLOUD)]) {
            service.replicas.insert(slot(revision, pool), count);
        }
        if let Some((raised, lowered, here, there)) = moments {
            service.memory = Memory { raised_at: Some(raised), lowered_at: Some(lowered), ..Memory::default() };
            service.memory.note_start(&ONPREM.into(), here);
            service.memory.note_start(&CLOUD.into(), there);
        }
        service
    }
}

prop_compose! {
    fn any_fleet()(
        services in prop::collection::vec(any_service(), 1..4), capacities in (0u64..12, 0u64..12), others in (0u64..4, 0u64..4),
        quota in prop::option::of(0u64..10), cost in prop::option::of(figure()),
    ) -> Fleet {
        let mut fleet = fleet(services);
        for (index, service) in fleet.services.iter_mut().enumerate() {
            service.id.name = format!("s{index}").into();
        }
        for (name, capacity, others) in [(ONPREM, capacities.0, others.0), (CLOUD, capacities.1, others.1)] {
            let pool = fleet.pools.get_mut(&name.into()).unwrap();
            (pool.capacity, pool.others) = (Capacity::Accelerators(capacity), others);
        }
        let accelerators = quota.map(|most| ("H100".into(), most)).into_iter().collect();
        fleet.tenants.insert("team-a".into(), Tenant { accelerators, max_hourly_cost: cost, ..Tenant::default() });
        fleet
    }
}

fn each(service: &Service, pool: &PoolName) -> u64 {
    service.plan.pool(pool).map_or(1, |pool| u64::from(pool.accelerators))
}

/// What every service holds on each pool, with each slot's target in place of what is asked for.
fn used(fleet: &Fleet, targets: &[LiteMap<Slot, u32>]) -> BTreeMap<PoolName, u64> {
    let mut used: BTreeMap<PoolName, u64> =
        fleet.pools.iter().map(|(name, pool): (_, &Pool)| (name.clone(), pool.others)).collect();
    for (service, targets) in fleet.services.iter().zip(targets) {
        for (slot, count) in &service.replicas {
            let asked = Count { desired: targets[slot], ..count.clone() };
            *used.get_mut(&slot.pool).unwrap() += asked.held() * each(service, &slot.pool);
        }
    }
    used
}

fn price(service: &Service, pool: &PoolName) -> f64 {
    service.plan.pool(pool).map_or(0.0, crate::PoolPlan::replica_cost)
}

fn spent(services: &[Service], targets: &[LiteMap<Slot, u32>]) -> f64 {
    let each = services.iter().zip(targets).flat_map(|(service, targets)| {
        service.replicas.iter().map(|(slot, count)| {
            Count { desired: targets[slot], ..count.clone() }.held() as f64 * price(service, &slot.pool)
        })
    });
    each.sum()
}

fn before(service: &Service) -> LiteMap<Slot, u32> {
    service.replicas.iter().map(|(slot, count)| (slot.clone(), count.desired)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_cap_is_ever_exceeded(fleet in any_fleet()) {
        let decisions = decide(NOW, &fleet);
        let was: Vec<_> = fleet.services.iter().map(before).collect();
        let is: Vec<_> = fleet.services.iter().zip(&decisions).map(|(service, decision)| after(service, decision)).collect();
        for (service, is) in fleet.services.iter().zip(&is) {
            prop_assert!(is.values().sum::<u32>() <= service.plan.bounds.max, "maxReplicas");
        }
        let (held, now_held) = (used(&fleet, &was), used(&fleet, &is));
        for (name, pool) in &fleet.pools {
            let Capacity::Accelerators(total) = pool.capacity else { unreachable!() };
            prop_assert!(now_held[name] <= total.max(held[name]), "{name}: {} of {total}", now_held[name]);
        }
        let tenant = &fleet.tenants[&"team-a".into()];
        if let Some(most) = tenant.accelerators.get(&"H100".into()) {
            let pool = |held: &BTreeMap<PoolName, u64>| held[&CLOUD.into()] - fleet.pools[&CLOUD.into()].others;
            prop_assert!(pool(&now_held) <= (*most).max(pool(&held)), "quota");
        }
        let grows = |was: f64, is: f64, cap: f64| is > was + 1e-6 && is > cap + 1e-6;
        if let Some(cap) = tenant.max_hourly_cost {
            prop_assert!(!grows(spent(&fleet.services, &was), spent(&fleet.services, &is), cap), "tenant's cost");
        }
        for (index, service) in fleet.services.iter().enumerate() {
            let one = std::slice::from_ref(service);
            if let Some(cap) = service.plan.max_hourly_cost {
                let (was, is) = (spent(one, &was[index..=index]), spent(one, &is[index..=index]));
                prop_assert!(!grows(was, is, cap), "service's cost");
            }
        }
    }

    #[test]
    fn the_same_input_gives_the_same_output(fleet in any_fleet()) {
        prop_assert_eq!(format!("{:?}", decide(NOW, &fleet)), format!("{:?}", decide(NOW, &fleet)));
    }

    /// Through a line of a recording, figures that are no numbers included.
    #[test]
    fn a_recording_repeats_the_decisions(fleet in any_fleet()) {
        let record = Record { now: NOW, decisions: decide(NOW, &fleet), fleet };
        let mut again: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        prop_assert_eq!(format!("{record:?}"), format!("{again:?}"));
        prop_assert!(again.replay().is_empty(), "{:?}", again.replay());
        again.decisions.pop();
        prop_assert!(!again.replay().is_empty());
    }

    #[test]
    fn every_decision_has_a_reason_and_changes_only_what_exists(fleet in any_fleet()) {
        for (service, decision) in fleet.services.iter().zip(decide(NOW, &fleet)) {
            prop_assert!(!decision.outcome.reason().is_empty());
            if let Outcome::To { replicas, .. } = &decision.outcome {
                prop_assert_ne!(replicas, &before(service));
                prop_assert!(replicas.keys().eq(service.replicas.keys()));
            }
        }
    }

    /// Without proof from every gateway, the serving revision keeps its last replica, and without figures all of them.
    #[test]
    fn zero_only_with_proof_and_nothing_down_without_figures(mut service in any_service()) {
        service.plan.max_hourly_cost = None;
        let serving = |replicas: &LiteMap<Slot, u32>| replicas.iter().filter(|(slot, _)| slot.revision.as_str() == "r1").map(|(_, n)| *n).sum::<u32>();
        let blind = service.signals.as_ref().is_none_or(|signals| signals.sound().is_none() || !signals.complete);
        let proven = service.signals.as_ref().and_then(|signals| signals.idle_for).is_some_and(|idle| idle >= 60.0);
        let (was, is) = (before(&service), after(&service, &decided(&service)));
        let rollout = service.plan.revisions.newest.as_str() == "r2";
        if serving(&was) > 0 && (!proven || rollout) {
            prop_assert!(serving(&is) > 0, "{:?}", decided(&service));
        }
        let over = was.values().sum::<u32>() > service.plan.bounds.max;
        if blind && !proven && !over && !rollout {
            prop_assert!(serving(&is) >= serving(&was), "{:?}", decided(&service));
        }
    }

    #[test]
    fn more_load_never_gives_fewer(mut service in any_service(), rate in 0.0f64..300.0, more in 0.0f64..300.0) {
        prop_assume!(service.signals.as_ref().is_some_and(|signals| signals.sound().is_some()));
        let mut total = |rate: f64| {
            let signals = service.signals.as_mut().unwrap();
            (signals.arrivals_short, signals.arrivals_long, signals.arrivals_peak, signals.idle_for) = (rate, rate, rate, None);
            after(&service, &decided(&service)).values().sum::<u32>()
        };
        let (less, more) = (total(rate), total(rate + more));
        prop_assert!(less <= more, "{less} {more}");
    }

    #[test]
    fn a_tighter_objective_is_never_cheaper(rate in 0.0f64..200.0, target in 0.001f64..2.0, looser in 1.0f64..10.0) {
        let replicas = |target: f64| {
            let mut service = service("s");
            service.plan.objective.as_mut().unwrap().target = target;
            service.signals = Some(load(rate));
            let (onprem, cloud) = outcome(&service);
            onprem + cloud
        };
        prop_assert!(replicas(target) >= replicas(target * looser));
    }

    #[test]
    fn the_names_of_pools_change_nothing(mut fleet in any_fleet()) {
        let numbers = |fleet: &Fleet| -> Vec<Vec<u32>> {
            let decisions = decide(NOW, fleet);
            let all = fleet.services.iter().zip(&decisions).map(|(service, decision)| {
                let replicas = after(service, decision);
                let pools: Vec<PoolName> = service.plan.pools.iter().map(|pool| pool.name.clone()).collect();
                let of = |revision: &str| pools.iter().map(|pool| replicas.get(&Slot::new(&revision.into(), pool)).copied().unwrap_or(0)).collect::<Vec<_>>();
                [of("r1"), of("r2")].concat()
            });
            all.collect()
        };
        let first = numbers(&fleet);
        let renamed = |name: &PoolName| PoolName::from(if name.as_str() == ONPREM { "zz" } else { "aa" });
        fleet.pools = fleet.pools.iter().map(|(name, pool)| (renamed(name), pool.clone())).collect();
        for service in &mut fleet.services {
            pools(service).iter_mut().for_each(|pool| pool.name = renamed(&pool.name));
            service.profiles = service.profiles.iter().map(|(name, profile)| (renamed(name), *profile)).collect();
            let starts = &mut service.memory.starts;
            *starts = starts.iter().map(|(name, seconds)| (renamed(name), seconds.clone())).collect();
            service.replicas = service.replicas.iter().map(|(slot, count)| (Slot::new(&slot.revision, &renamed(&slot.pool)), count.clone())).collect();
        }
        prop_assert_eq!(first, numbers(&fleet));
    }
}

/// A service that lives second by second: replicas that are asked for start in `start` seconds, arrivals go through the
/// production window.
struct Life {
    service: Service,
    history: Option<History>,
    now: f64,
    start: f64,
    born: BTreeMap<Slot, Vec<f64>>,
    /// Time, replicas asked for, need.
    changes: Vec<(f64, i64, f64)>,
}

impl Life {
    fn new(start: f64, min: u32) -> Self {
        let mut service = service("s");
        service.plan.bounds.min = min;
        service.memory.note_start(&ONPREM.into(), start);
        service.memory.note_start(&CLOUD.into(), start);
        Self { service, history: None, now: NOW, start, born: BTreeMap::new(), changes: Vec::new() }
    }

    fn replicas(&self) -> u32 {
        self.service.replicas.values().map(|count| count.desired).sum()
    }

    /// One second with so many arrivals; `None`: the reports are lost.
    fn second(&mut self, arrivals: Option<u64>) {
        self.now += 1.0;
        let (now, start) = (self.now, self.start);
        let since = self.service.memory.hold_seconds(&self.service.plan, &self.service.replicas);
        self.service.signals = arrivals.map(|amount| {
            History::add(&mut self.history, Increase { amount, from: now - 1.0, to: now });
            let history = self.history.as_ref().unwrap();
            let rate = |window| history.rate(now, window);
            let arrivals_peak = history.peak(now, since, 10.0);
            Signals { arrivals_short: rate(10.0), arrivals_long: rate(60.0), arrivals_peak, ..load(0.0) }
        });
        let decision = decide(now, &fleet(vec![self.service.clone()])).remove(0);
        let before = self.service.replicas.clone();
        self.service.memory.record(now, &before, &decision);
        let targets = after(&self.service, &decision);
        let change: i64 =
            targets.iter().map(|(slot, target)| i64::from(*target) - i64::from(before[slot].desired)).sum();
        if change != 0 {
            self.changes.push((now, change, decision.need));
        }
        for (slot, count) in &mut self.service.replicas {
            let born = self.born.entry(slot.clone()).or_insert_with(|| vec![0.0; count.ready as usize]);
            born.resize(targets[slot] as usize, now);
            let starting: Vec<f64> = born.iter().copied().filter(|born| now - born < start).collect();
            *count = Count {
                desired: targets[slot],
                ready: targets[slot] - starting.len() as u32,
                starting,
                ..Count::default()
            };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Constant load with noise: after it has settled, the number never goes up and down again.
    #[test]
    fn no_flapping_on_constant_load(rate in 5.0f64..60.0, start in 1.0f64..60.0, noise in prop::collection::vec(-0.1f64..0.1, 600)) {
        let mut life = Life::new(start, 1);
        for noise in noise {
            life.second(Some((rate * (1.0 + noise)).round() as u64));
        }
        life.changes.retain(|(at, _, _)| *at > NOW + 200.0);
        let turns = life.changes.windows(2).filter(|pair| (pair[0].1 > 0) != (pair[1].1 > 0)).count();
        prop_assert!(turns == 0, "{:?}", life.changes);
    }

    /// Whatever the load: no reversal within a start-up time, unless need moved by more than a replica.
    #[test]
    fn no_reversal_within_a_start(start in 5.0f64..60.0, steps in prop::collection::vec(0u64..80, 5..20), length in 5usize..60) {
        let mut life = Life::new(start, 1);
        for rate in steps {
            for _ in 0..length {
                life.second(Some(rate));
            }
        }
        let replica = sustained(&life.service);
        for pair in life.changes.windows(2) {
            let ((first, was, need), (then, is, later)) = (pair[0], pair[1]);
            let reversed = (was > 0) != (is > 0) && then - first < start;
            prop_assert!(!reversed || (is > 0 && later - need > replica), "{pair:?}");
        }
    }

    /// While reports are lost nothing goes down; when they come again, the number finds its way.
    #[test]
    fn recovers_after_a_gap(rate in 1u64..60, gap in 10usize..120, next in 1u64..60) {
        let mut life = Life::new(10.0, 1);
        (0..120).for_each(|_| life.second(Some(rate)));
        let before = life.replicas();
        (0..gap).for_each(|_| life.second(None));
        prop_assert!(life.replicas() >= before);
        (0..400).for_each(|_| life.second(Some(next)));
        let enough = (1..100).find(|replicas| sustained_by(&life.service, *replicas) >= next as f64).unwrap();
        prop_assert!((enough..=enough + 1).contains(&life.replicas()), "{} of {enough}", life.replicas());
    }
}
