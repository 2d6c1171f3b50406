use super::*;
use millrace_scaler::{Capacity, PoolPlan};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn object<T: DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).unwrap())
}

fn labels(service: &str, pool: &str) -> Value {
    json!({"app.kubernetes.io/managed-by": "millrace", "app.kubernetes.io/component": "server", "millrace.dev/service": service, "millrace.dev/revision": "r", "millrace.dev/pool": pool})
}

fn pod(service: Option<&str>, pool: &str, status: Value) -> Arc<Pod> {
    let labels = service.map_or(json!({"app": "other"}), |service| labels(service, pool));
    object(json!({
        "metadata": {"namespace": "n", "name": "x", "uid": "u", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "gpu-0", "containers": [{"name": "c", "resources": {"requests": {"nvidia.com/gpu": "1"}}}]},
        "status": status,
    }))
}

fn node(name: &str, ready: &str, cordoned: bool, gpus: &str) -> Arc<Node> {
    object(json!({
        "metadata": {"name": name, "labels": {"gpu": "L40S"}},
        "spec": {"unschedulable": cordoned},
        "status": {"allocatable": {"nvidia.com/gpu": gpus}, "conditions": [{"type": "Ready", "status": ready}]},
    }))
}

fn pool(extra: Value) -> Arc<AcceleratorPool> {
    let mut spec = json!({
        "accelerator": "L40S", "memory": "48Gi", "resource": {"name": "nvidia.com/gpu"}, "location": "OnPremises",
        "region": "eu", "hourlyCost": {"amount": "0.90"}, "nodeSelector": {"gpu": "L40S"},
    });
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    object(
        json!({"apiVersion": "millrace.dev/v1alpha1", "kind": "AcceleratorPool", "metadata": {"name": "p"}, "spec": spec}),
    )
}

fn deployment(service: &str, pool: &str, replicas: u32) -> Deployed {
    let value = json!({
        "metadata": {"namespace": "n", "name": format!("{service}-r-{pool}"), "labels": labels(service, pool), "resourceVersion": "5"},
        "spec": {"replicas": replicas, "selector": {}, "template": {}},
    });
    Deployed::of(&object::<Deployment>(value)).unwrap()
}

fn seen() -> Seen {
    let plan = ServicePlan {
        tenant: "t".into(),
        pools: [PoolPlan { name: "p".into(), accelerators: 1, ..PoolPlan::default() }].into(),
        ..ServicePlan::default()
    };
    Seen {
        plans: BTreeMap::from([(ServiceId::new("n", "s"), Arc::new(plan))]),
        tenant_of: BTreeMap::from([("n".to_owned(), "t".into())]),
        deployments: vec![deployment("s", "p", 3)],
        pods: Vec::new(),
        standbys: Vec::new(),
        nodes: vec![
            node("gpu-0", "True", false, "4"),
            node("gpu-1", "True", true, "4"),
            node("gpu-2", "False", false, "4"),
        ],
        pools: vec![pool(json!({}))],
        tenants: vec![object(json!({
            "apiVersion": "millrace.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "t"},
            "spec": {"namespaces": {"matchLabels": {"a": "b"}}, "quota": {"accelerators": {"L40S": 4}, "maxHourlyCost": "40.00"}},
        }))],
    }
}

fn ready() -> Value {
    json!({"conditions": [{"type": "Ready", "status": "True"}]})
}

#[test]
fn pods_are_counted_in_their_slot() {
    let mut seen = seen();
    seen.pods = vec![
        pod(Some("s"), "p", ready()),
        pod(Some("s"), "p", json!({})),
        pod(Some("s"), "p", json!({"phase": "Failed"})),
    ];
    let fleet = draw(&seen);
    let count = fleet.services[0].replicas.values().next().unwrap();
    assert_eq!((count.desired, count.ready, count.starting.len()), (3, 1, 1));
    assert_eq!(fleet.pools[&"p".into()].others, 0);
}

#[test]
fn a_slot_without_a_deployment_is_none() {
    let mut seen = seen();
    seen.deployments.clear();
    seen.pods = vec![pod(Some("s"), "p", ready())];
    let fleet = draw(&seen);
    assert!(fleet.services[0].replicas.is_empty());
    assert_eq!(fleet.pools[&"p".into()].others, 1, "its pod still holds an accelerator");
}

#[test]
fn pods_of_others_hold_accelerators_and_ours_draw_on_the_quota() {
    let mut seen = seen();
    seen.pods = vec![pod(None, "p", ready()), pod(Some("refused"), "p", ready())];
    let fleet = draw(&seen);
    assert_eq!(fleet.pools[&"p".into()].others, 2);
    let tenant = &fleet.tenants[&"t".into()];
    assert_eq!(tenant.other_accelerators[&"L40S".into()], 1);
    assert!((tenant.other_cost - 0.9).abs() < 1e-9);
    assert_eq!((tenant.accelerators[&"L40S".into()], tenant.max_hourly_cost), (4, Some(40.0)));
}

#[test]
fn capacity_is_of_nodes_that_take_pods_or_of_what_may_grow() {
    for (extra, expected) in [
        (json!({}), Capacity::Accelerators(4)),
        (json!({"provisioning": {"delay": "4m", "maxAccelerators": 16}}), Capacity::Accelerators(16)),
        (json!({"provisioning": {"delay": "4m", "maxAccelerators": 2}}), Capacity::Accelerators(4)),
        (json!({"nodeSelector": {"gpu": "H100"}}), Capacity::Accelerators(0)),
        (json!({"accelerator": "CPU", "resource": {}}), Capacity::Uncounted),
        (json!({"resource": {"deviceClass": "gpu.nvidia.com"}}), Capacity::Unknown),
    ] {
        let mut seen = seen();
        seen.pools = vec![pool(extra.clone())];
        assert_eq!(draw(&seen).pools[&"p".into()].capacity, expected, "{extra}");
    }
}

fn standby(name: &str, role: crate::standby::Role, stage: pods::Stage) -> Standby {
    Standby {
        name: name.to_owned(),
        uid: name.to_owned(),
        version: "1".to_owned(),
        owners: Vec::new(),
        pool: "p".into(),
        image: String::new(),
        address: None,
        role,
        stage,
        restarted: false,
    }
}

#[test]
fn a_standby_counts_for_its_pool_and_once_it_is_given_for_its_tenant_too() {
    use crate::standby::Role;
    let ready = || pods::Stage::Ready { since: 2.0, made: 1.0 };
    let slot = || Slot::new(&"r".into(), &"p".into());
    let to = |service: &str| (ServiceId::new("n", service), slot());
    let mut seen = seen();
    seen.standbys = vec![
        standby("gated", Role::Gated, pods::Stage::Starting(1.0)),
        standby("starting", Role::Free, pods::Stage::Starting(1.0)),
        standby("free", Role::Free, ready()),
        standby("without a node", Role::Free, pods::Stage::Unschedulable(1.0)),
        standby("loading", Role::Assigned(to("s").0, to("s").1), ready()),
        standby("serving", Role::Serving(to("s").0, to("s").1), ready()),
        standby("leaving", Role::Serving(to("s").0, to("s").1), pods::Stage::Terminating),
        standby("gone", Role::Serving(to("s").0, to("s").1), pods::Stage::Gone),
        standby("of another", Role::Serving(to("refused").0, to("refused").1), ready()),
    ];
    let fleet = draw(&seen);
    let count = &fleet.services[0].replicas[&slot()];
    assert_eq!((count.standbys, count.bridging, count.ready), (3, 1, 0));
    assert_eq!(count.held(), 6, "three are asked for, and three stand in");
    assert_eq!(fleet.pools[&"p".into()].others, 3, "starting, free, and that of a service without a plan");
    let tenant = &fleet.tenants[&"t".into()];
    assert_eq!(tenant.other_accelerators[&"L40S".into()], 1, "whose tenant it draws on");
    assert!((tenant.other_cost - 0.9).abs() < 1e-9);
}
