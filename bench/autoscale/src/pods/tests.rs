//! Pods, step by step.

use super::*;
use crate::model::Start;

fn exact(capacity: u32, seconds: f64) -> PoolSetup {
    PoolSetup::plain("l40s", capacity, 1.0, Start { spread: 0.0, ..Start::of(seconds) })
}

fn pods(pool: PoolSetup) -> Pods {
    Pods::new(&[pool], 0.0, Random::new(1, 1))
}

#[test]
fn a_start_is_paid_and_a_pod_that_waits_is_not() {
    let mut pods = pods(exact(1, 10.0));
    let mut events = Vec::new();
    pods.want(0.0, (0, 0), 2, &mut events);
    pods.pass(0.0, &mut events);
    assert!((pods.next() - 10.0).abs() < 1e-9);
    pods.pass(10.0, &mut events);
    assert!(matches!(events.as_slice(), [Event::Ready(0, 0, 0, seconds)] if (seconds - 10.0).abs() < 1e-9));
    assert_eq!(pods.all[1].stage, Stage::Waiting);
    assert!((pods.seconds(100.0)[0] - 100.0).abs() < 1e-9);
    pods.want(100.0, (0, 0), 1, &mut events);
    assert_eq!(pods.all.len(), 1, "the one that waits goes first");
    pods.want(100.0, (0, 0), 0, &mut events);
    assert_eq!(events.last(), Some(&Event::Drain(0, 0, 0)));
    pods.remove(105.0, 0);
    assert!((pods.seconds(500.0)[0] - 105.0).abs() < 1e-9);
}

#[test]
fn a_pool_that_grows_is_paid_by_node() {
    let mut pods = pods(PoolSetup { grows: Some(100.0), ..exact(4, 10.0) });
    let mut events = Vec::new();
    pods.want(0.0, (0, 0), 1, &mut events);
    pods.pass(0.0, &mut events);
    assert_eq!(pods.next(), 100.0);
    pods.pass(100.0, &mut events);
    pods.pass(110.0, &mut events);
    assert_eq!(pods.all[0].stage, Stage::Ready);
    pods.want(200.0, (0, 0), 0, &mut events);
    pods.remove(200.0, 0);
    pods.pass(200.0, &mut events);
    pods.pass(260.0, &mut events);
    pods.pass(400.0, &mut events);
    assert!((pods.seconds(500.0)[0] - 260.0).abs() < 1e-9, "{:?}", pods.seconds(500.0));
}

#[test]
fn a_standby_server_serves_until_a_pod_does_and_is_paid_always() {
    let mut pods = pods(PoolSetup { standby: 1, ..exact(4, 100.0) });
    let mut events = Vec::new();
    pods.want(0.0, (7, 0), 1, &mut events);
    pods.pass(0.0, &mut events);
    pods.want(0.0, (8, 0), 1, &mut events);
    pods.pass(0.0, &mut events);
    assert!((pods.next() - 30.0).abs() < 1e-9, "load, warm-up and route");
    pods.pass(30.0, &mut events);
    assert!(matches!(events.as_slice(), [Event::Ready(_, 7, 0, seconds)] if seconds.is_nan()));
    events.clear();
    pods.pass(100.0, &mut events);
    let drained = events.iter().find_map(|event| if let Event::Drain(id, 7, 0) = event { Some(*id) } else { None });
    assert!(drained.is_some() && events.len() == 3, "both pods are ready: {events:?}");
    pods.remove(101.0, drained.unwrap());
    assert!((pods.accounts[0].spare[0] - 123.0).abs() < 1e-9, "it stands by again: {:?}", pods.accounts[0].spare);
    assert!((pods.seconds(200.0)[0] - 600.0).abs() < 1e-9, "three accelerators");
}

#[test]
fn spot_is_taken_back_and_a_closed_pool_gives_nothing() {
    let mut pods = pods(PoolSetup { spot: Some(1e9), closed: Some((50.0, 90.0)), ..exact(4, 10.0) });
    let mut events = Vec::new();
    pods.want(0.0, (0, 0), 1, &mut events);
    pods.pass(0.0, &mut events);
    pods.pass(10.0, &mut events);
    pods.pass(50.0, &mut events);
    assert_eq!(events.last(), Some(&Event::Drain(0, 0, 0)));
    pods.remove(50.0, 0);
    pods.want(51.0, (0, 0), 1, &mut events);
    pods.pass(51.0, &mut events);
    assert_eq!(pods.all[0].stage, Stage::Waiting);
    pods.pass(90.0, &mut events);
    assert!(matches!(pods.all[0].stage, Stage::Starting(at) if (at - 100.0).abs() < 1e-9));
}
