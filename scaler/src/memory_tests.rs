use super::*;
use crate::Revision;

fn plan() -> ServicePlan {
    ServicePlan { pools: vec![PoolPlan { name: "a".into(), ..PoolPlan::default() }].into(), ..ServicePlan::default() }
}

#[test]
fn refusal_needs_ten_seconds_and_doubles_when_it_comes_back() {
    let mut memory = Memory::default();
    let slot = Slot::new(&Revision::from("r"), &"a".into());
    let replicas = LiteMap::from_iter([(slot, Count { desired: 1, unschedulable: vec![100.0], ..Count::default() })]);
    memory.observe(109.0, &plan(), &replicas);
    assert!(memory.refusals.is_empty());
    memory.observe(110.0, &plan(), &replicas);
    assert_eq!(memory.refusals[&"a".into()].until, 170.0);
    memory.observe(120.0, &plan(), &replicas);
    assert_eq!(memory.refusals[&"a".into()], Refusal { at: 120.0, until: 180.0, strikes: 0 });
    memory.observe(200.0, &plan(), &replicas);
    assert_eq!(memory.refusals[&"a".into()], Refusal { at: 200.0, until: 320.0, strikes: 1 });
    memory.observe(5_000.0, &plan(), &replicas);
    assert_eq!(memory.refusals[&"a".into()].strikes, 0);
}

#[test]
fn a_pool_whose_pods_never_get_ready_refuses_as_well_while_others_do() {
    let mut memory = Memory::default();
    memory.note_start(&"b".into(), 70.0);
    let (a, b) = (Slot::new(&Revision::from("r"), &"a".into()), Slot::new(&Revision::from("r"), &"b".into()));
    let starts = Count { desired: 1, starting: vec![100.0], ..Count::default() };
    let pool = |name: &str| PoolPlan { name: name.into(), ..PoolPlan::default() };
    let plan = ServicePlan { pools: vec![pool("a"), pool("b")].into(), ..ServicePlan::default() };
    let mut replicas = LiteMap::from_iter([(a.clone(), starts.clone())]);
    memory.observe(231.0, &plan, &replicas);
    assert!(memory.refusals.is_empty(), "none is ready anywhere: it is not the pool");
    replicas.insert(b, Count { desired: 1, ready: 1, ..Count::default() });
    memory.observe(230.0, &plan, &replicas);
    assert!(memory.refusals.is_empty(), "a minute more than on the other pool");
    memory.observe(231.0, &plan, &replicas);
    assert_eq!(memory.refusals[&"a".into()].until, 291.0);
    replicas.insert(a, Count { ready: 1, ..starts });
    memory.observe(400.0, &plan, &replicas);
    assert_eq!(memory.refusals[&"a".into()].until, 291.0, "another one there is ready");
}

#[test]
fn a_start_that_nobody_has_seen_may_take_ten_minutes() {
    let (mut memory, pool) = (Memory::default(), PoolPlan { name: "a".into(), ..PoolPlan::default() });
    let grows = PoolPlan { provisioning_delay: 120.0, ..pool.clone() };
    assert_eq!((memory.patience(&pool), memory.patience(&grows)), (660.0, 780.0));
    memory.note_start(&"b".into(), 300.0);
    assert_eq!((memory.patience(&pool), memory.patience(&grows)), (360.0, 480.0), "no longer than elsewhere");
    memory.note_start(&"a".into(), 5.0);
    assert_eq!((memory.patience(&pool), memory.patience(&grows)), (65.0, 65.0));
}

#[test]
fn starts_are_bounded_and_the_ninth_of_ten_counts() {
    let mut memory = Memory::default();
    assert_eq!(memory.start_seconds(&"a".into()), START_PRIOR);
    for seconds in 0..100 {
        memory.note_start(&"a".into(), f64::from(seconds));
    }
    memory.note_start(&"a".into(), f64::NAN);
    assert_eq!(memory.starts[&"a".into()].len(), STARTS_KEPT);
    assert_eq!(memory.start_seconds(&"a".into()), 98.0);
}
