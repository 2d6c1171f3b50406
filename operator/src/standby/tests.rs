//! Tables: what fits a standby, what a pool's standbys are made of, where they are missing and where there are too many.

use super::fit::{Asked, asked, obstacle};
use super::keep;
use super::need::{less_lent, missing, surplus};
use super::objects::{PoolObjects, objects, store_label};
use super::view::{Role, Standby, counts, read};
use crate::build::build;
use crate::build::tests::restricted;
use crate::observe::{Observed, Owned};
use crate::plan::plan;
use crate::scale::Stage;
use crate::testing::api::Server;
use crate::testing::{context, observed, pool, service, settings};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use millrace_crds::{AcceleratorPool, StandbyCounts, labels};
use millrace_scaler::{Cause, Count, Decision, Fleet, Outcome, Revisions, Service, ServiceId, ServicePlan, Slot};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The pool on premises with `standby`.
fn with(standby: Value) -> AcceleratorPool {
    let mut pool = pool("l40s-onprem", "L40S", "OnPremises", "0.90");
    pool.metadata.uid = Some("uid-of-pool".to_owned());
    pool.spec.standby = serde_json::from_value(standby).unwrap();
    pool
}

fn ordinary() -> AcceleratorPool {
    with(json!({"replicas": 2, "identity": {"secretName": "keys", "sources": ["s3://models/magika/"]}}))
}

/// What a service with `patch` asks of a server on that pool.
fn asking(patch: Value) -> Asked {
    let observed = observed(service(patch));
    let plan = plan(&observed, &settings()).unwrap();
    let objects = build(&plan, &observed, &settings()).unwrap();
    let of_pool = |made: &&k8s_openapi::api::apps::v1::Deployment| made.labels()[labels::POOL] == "l40s-onprem";
    let map = objects.config_maps.iter().find(|map| map.immutable == Some(true)).unwrap();
    asked(objects.deployments.iter().find(of_pool).unwrap(), map).unwrap()
}

#[test]
fn what_a_standby_cannot_do_as_a_replica_would_starts_cold() {
    let variant = json!({"name": "int8", "uri": "s3://models/magika/int8.onnx", "sha256": "1".repeat(64), "precision": "INT8", "quality": 0.99});
    let graph = json!({"model": null, "models": [{"name": "a", "uri": "s3://models/a.onnx", "sha256": "1".repeat(64)}],
        "pipeline": {"postprocess": null, "steps": [{"name": "x", "infer": {"model": "a"}}]}});
    for (patch, says) in [
        (json!({}), None),
        (json!({"model": {"uri": "https://hub.example/m.onnx", "credentials": null}}), None),
        (json!({"runtime": {"resources": {"memory": "512Mi", "cpu": "1"}}}), None),
        (json!({"runtime": {"executionProviders": ["CUDA"]}}), None),
        (
            json!({"model": {"uri": "s3://models/other/m.onnx"}}),
            Some("below none of the standbys' sources: s3://models/magika/"),
        ),
        (json!({"model": {"uri": "pvc://claim/m.onnx", "credentials": null}}), Some("on a volume")),
        (json!({"model": {"variants": [variant], "minQuality": 0.98}}), Some("the variant int8")),
        (graph, Some("a graph of models")),
        (json!({"runtime": {"resources": {"accelerators": 2}}}), Some("has 2 accelerators")),
        (json!({"runtime": {"resources": {"memory": "1Gi"}}}), Some("1Gi of memory, a standby has 512Mi")),
        (json!({"runtime": {"resources": {"cpu": "2"}}}), Some("2 of cpu, a standby has 1")),
        (json!({"availability": {"drain": "31s"}}), Some("drain may take 31 s")),
    ] {
        let found = obstacle(&asking(patch.clone()), &ordinary(), &settings());
        match says {
            None => assert_eq!(found, None, "{patch}"),
            Some(says) => assert!(found.as_ref().is_some_and(|why| why.contains(says)), "{patch}: {found:?}"),
        }
    }
}

#[test]
fn the_pools_keys_open_only_what_the_tenants_have_opened() {
    let without = obstacle(&asking(json!({})), &with(json!({"replicas": 1})), &settings()).unwrap();
    assert!(without.contains("the Secret models") && without.contains("no identity"), "{without}");
    let mut unpinned = asking(json!({}));
    unpinned.manifest.spec.model.as_mut().unwrap().sha256 = None;
    assert!(obstacle(&unpinned, &ordinary(), &settings()).unwrap().contains("no sha256"));
}

#[test]
fn what_was_made_with_another_release_or_another_store_starts_cold() {
    let older = Asked { image: "registry.example/millrace:0".to_owned(), ..asking(json!({})) };
    assert!(obstacle(&older, &ordinary(), &settings()).unwrap().contains("runs registry.example/millrace:0"));
    let mut moved = settings();
    moved.stores[0].cidrs = vec!["192.0.2.0/24".to_owned()];
    assert!(obstacle(&asking(json!({})), &ordinary(), &moved).unwrap().contains("s3://models isn't the one"));
}

#[test]
fn it_is_told_what_its_replicas_read() {
    let asked = asking(json!({}));
    assert_eq!(asked.manifest, millrace_crds::manifest::Manifest::from_yaml(&asked.assignment.manifest).unwrap());
    assert_eq!(asked.stores, settings().stores[..1]);
}

fn json_of(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).unwrap()
}

#[test]
fn a_standby_is_as_isolated_as_a_tenants_own_pod() {
    let PoolObjects { config_maps, network_policies, deployments } = objects(&ordinary(), &settings(), "ca");
    assert_eq!((config_maps.len(), network_policies.len(), deployments.len()), (1, 3, 1));
    let deployment = json_of(&deployments[0]);
    let pod = &deployment["spec"]["template"];
    assert_eq!(restricted(pod), Ok(()));
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!(pod["spec"]["schedulingGates"][0]["name"], "millrace.dev/room");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["nvidia.com/gpu"], "1");
    assert_eq!(container["image"], "registry.example/millrace:1-gpu");
    assert!(container["args"].as_array().unwrap().contains(&json!("--gpu")));
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(deployment["spec"]["selector"]["matchLabels"][labels::STANDBY], "free");
    assert_eq!(deployment["metadata"]["ownerReferences"][0]["uid"], "uid-of-pool");
    let policies: Vec<Value> = network_policies.iter().map(json_of).collect();
    let assigners = |policy: &Value| policy["spec"]["ingress"][1].clone();
    assert_eq!(assigners(&policies[0])["ports"][0]["port"], 8444);
    assert_eq!(
        assigners(&policies[0])["from"][0]["podSelector"]["matchExpressions"][0]["values"],
        json!(["operator"]),
        "a gateway doesn't assign"
    );
    assert_eq!(
        policies[0]["spec"]["egress"].as_array().unwrap().len(),
        1,
        "a free one asks for names, and reaches nobody"
    );
    // A store is reached by those that its label was given.
    let store = store_label(&settings().stores[0]);
    assert_eq!(policies[1]["spec"]["podSelector"]["matchLabels"][&store], "true");
    assert_eq!(policies[1]["spec"]["egress"][1]["to"][0]["ipBlock"]["cidr"], "10.0.0.0/8");
    assert_eq!(policies[1]["spec"]["policyTypes"], json!(["Egress"]));
    assert_eq!(policies[2]["spec"]["egress"][1]["ports"][0]["port"], 443, "a store without ranges is public, by https");
    for object in policies.iter().chain([&deployment]) {
        assert!(object["metadata"]["name"].as_str().unwrap().len() <= 63);
        assert_eq!(object["metadata"]["namespace"], "millrace");
    }
}

#[test]
fn a_pool_that_asks_for_none_or_is_not_to_be_used_has_none() {
    let mut refused = ordinary();
    refused.spec.cluster = Some("member".into());
    for pool in [with(json!({})), refused] {
        let made = objects(&pool, &settings(), "ca");
        assert!(made.deployments.is_empty() && made.network_policies.is_empty() && made.config_maps.is_empty());
    }
}

/// A cluster where `owned` is there.
fn having(owned: Owned) -> Observed {
    Observed { owned, ..observed(service(json!({}))) }
}

#[tokio::test]
async fn a_pool_is_kept_with_one_write_each_and_none_when_nothing_changed() {
    let server = Arc::new(Server::default());
    keep(&context(&server, &having(Owned::default())), &ordinary()).await.unwrap();
    let written = server.take();
    assert_eq!(written.len(), 5, "{written:?}");
    assert!(written[4].ends_with("/deployments/millrace-standby-l40s-onprem"), "pods come last: {written:?}");
    let made = objects(&ordinary(), &settings(), "-----BEGIN CERTIFICATE-----\n");
    let there = || {
        having(Owned {
            config_maps: made.config_maps.iter().cloned().map(Arc::new).collect(),
            network_policies: made.network_policies.iter().cloned().map(with_uid).map(Arc::new).collect(),
            deployments: made.deployments.iter().cloned().map(with_uid).map(Arc::new).collect(),
            ..Owned::default()
        })
    };
    keep(&context(&server, &there()), &ordinary()).await.unwrap();
    assert_eq!(server.take(), Vec::<String>::new());
    keep(&context(&server, &there()), &with(json!({}))).await.unwrap();
    let removed = server.take();
    assert!(removed.len() == 4 && removed.iter().all(|write| write.starts_with("delete ")), "{removed:?}");
}

fn with_uid<K: kube::Resource>(mut object: K) -> K {
    object.meta_mut().uid = Some("u".to_owned());
    object
}

/// A standby's pod.
pub fn pod(name: &str, role: Value, status: Value) -> Pod {
    let mut labels = json!({labels::MANAGED_BY: labels::MANAGER, labels::COMPONENT: "standby", labels::POOL: "l40s-onprem", labels::STANDBY: "free"});
    labels.as_object_mut().unwrap().extend(role.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "millrace", "uid": name, "resourceVersion": "5", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "gpu-0", "containers": [{"name": "server", "image": "registry.example/millrace:1-gpu"}]},
        "status": status,
    }))
    .unwrap()
}

pub fn ready() -> Value {
    json!({"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]})
}

/// The labels of one that was given to a service's slot.
pub fn given(state: &str, service: &str) -> Value {
    json!({labels::STANDBY: state, labels::NAMESPACE: "team-a", labels::SERVICE: service, labels::REVISION: "r1"})
}

fn slot() -> Slot {
    Slot::new(&"r1".into(), &"l40s-onprem".into())
}

#[test]
fn labels_tell_what_a_standby_is_for() {
    let place = || (ServiceId::new("team-a", "magika"), slot());
    let role = |labels: Value| read(&pod("p", labels, ready())).map(|standby| standby.role);
    assert_eq!(role(json!({})), Some(Role::Free));
    assert_eq!(role(given("assigned", "magika")), Some(Role::Assigned(place().0, place().1)));
    assert_eq!(role(given("serving", "magika")), Some(Role::Serving(place().0, place().1)));
    assert_eq!(role(json!({labels::STANDBY: "serving"})), None, "for nobody");
    assert_eq!(role(json!({labels::STANDBY: "of a later release"})), None);
    let mut gated = pod("p", json!({}), json!({}));
    gated.spec.as_mut().unwrap().scheduling_gates =
        Some(vec![k8s_openapi::api::core::v1::PodSchedulingGate { name: "g".into() }]);
    let gated = read(&gated).unwrap();
    assert!(gated.role == Role::Gated && !gated.holds());
    let pods = [
        pod("a", json!({}), ready()),
        pod("b", json!({}), json!({})),
        pod("c", given("serving", "m"), ready()),
        pod("d", given("serving", "m"), json!({"phase": "Failed"})),
    ]
    .map(Arc::new);
    assert_eq!(counts(&pods, "l40s-onprem", 0), Some(StandbyCounts { ready: 1, assigned: 1 }));
    assert_eq!((counts(&pods, "other", 0), counts(&[], "other", 1)), (None, Some(StandbyCounts::default())));
}

/// A fleet of services at so many replicas asked for and ready.
pub fn fleet(services: &[(&str, u32, u32)]) -> Fleet {
    let plan = ServicePlan {
        tenant: "t".into(),
        revisions: Revisions { newest: "r1".into(), serving: Some("r1".into()), proven: true },
        pools: vec![millrace_scaler::PoolPlan {
            name: "l40s-onprem".into(),
            accelerator: "L40S".into(),
            accelerators: 1,
            ..Default::default()
        }]
        .into(),
        ..ServicePlan::default()
    };
    let of = |(name, desired, ready): &(&str, u32, u32)| Service {
        id: ServiceId::new("team-a", name),
        plan: plan.clone(),
        replicas: [(slot(), Count { desired: *desired, ready: *ready, ..Count::default() })].into_iter().collect(),
        ..Service::default()
    };
    let pool = millrace_scaler::Pool {
        capacity: millrace_scaler::Capacity::Accelerators(4),
        accelerator: "L40S".into(),
        ..Default::default()
    };
    Fleet {
        services: services.iter().map(of).collect(),
        pools: BTreeMap::from([("l40s-onprem".into(), pool)]),
        tenants: BTreeMap::from([("t".into(), millrace_scaler::Tenant::default())]),
    }
}

/// Decisions that set each service to so many, or leave it.
pub fn decisions(fleet: &Fleet, targets: &[Option<u32>]) -> Vec<Decision> {
    let of = |(service, target): (&Service, &Option<u32>)| Decision {
        service: service.id.clone(),
        outcome: match target {
            Some(target) => Outcome::To { replicas: [(slot(), *target)].into_iter().collect(), reason: String::new() },
            None => Outcome::Hold { reason: String::new() },
        },
        cause: Cause::Steady,
        need: 0.0,
        metrics_fresh: true,
    };
    fleet.services.iter().zip(targets).map(of).collect()
}

#[test]
fn a_standby_is_missing_where_more_is_asked_for_than_ready_and_ends_where_it_is_not() {
    let standby = |name: &str, state: &str, status: Value| read(&pod(name, given(state, "magika"), status)).unwrap();
    let names =
        |ending: Vec<(&Standby, &str)>| ending.iter().map(|(standby, _)| standby.name.clone()).collect::<Vec<_>>();
    let pool = "l40s-onprem".into();
    let pools = BTreeSet::from([&pool]);
    let place = (ServiceId::new("team-a", "magika"), slot());
    let two = [standby("loading", "assigned", ready()), standby("serving", "serving", ready())];
    for (desired, ready, target, wants, ends) in [
        (0, 0, Some(1), 1, vec!["loading"]),
        (3, 0, None, 3, vec![]),
        (2, 1, None, 1, vec!["loading"]),
        (2, 2, None, 0, vec!["serving", "loading"]),
        (2, 0, Some(0), 0, vec!["serving", "loading"]),
    ] {
        let fleet = fleet(&[("magika", desired, ready)]);
        let mut missing = missing(&fleet, &decisions(&fleet, &[target]), &pools);
        assert_eq!(missing[&place], wants, "{desired} {ready} {target:?}");
        assert_eq!(names(surplus(&two, &missing, &|_| true)), ends, "{desired} {ready} {target:?}");
        less_lent(&mut missing, &two);
        assert_eq!(missing[&place], u32::saturating_sub(wants, 2));
    }
    let broken = [
        standby("failed", "serving", json!({"phase": "Failed"})),
        standby(
            "anew",
            "serving",
            json!({"conditions": [], "containerStatuses": [{"name": "s", "image": "", "imageID": "", "ready": true, "restartCount": 1}]}),
        ),
    ];
    let fleet_of_two = fleet(&[("magika", 2, 0)]);
    let missing_two = missing(&fleet_of_two, &decisions(&fleet_of_two, &[None]), &pools);
    assert_eq!(names(surplus(&broken, &missing_two, &|_| true)).len(), 2, "what has ended is nobody's server any more");
    // A service without a plan keeps what it has, as long as it has its Deployment.
    assert_eq!(names(surplus(&two, &BTreeMap::new(), &|_| true)), Vec::<String>::new());
    assert_eq!(names(surplus(&two, &BTreeMap::new(), &|_| false)).len(), 2);
    let mut leaving = two.clone();
    leaving.iter_mut().for_each(|standby| standby.stage = Stage::Terminating);
    assert_eq!(names(surplus(&leaving, &BTreeMap::new(), &|_| false)), Vec::<String>::new());
    // A revision that was never ready gets none.
    let mut unproven = fleet(&[("magika", 1, 0)]);
    unproven.services[0].plan.revisions.serving = None;
    assert_eq!(missing(&unproven, &decisions(&unproven, &[None]), &pools)[&place], 0);
}
