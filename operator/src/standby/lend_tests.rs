//! Lending against an API server that keeps pods, and standbys that answer over TLS.

use super::*;
use crate::standby::tests::{decisions, fleet, given, pod, ready};
use crate::testing::authority::{Authority, identity, serve};
use crate::testing::{built, observed, service, settings};
use arc_swap::ArcSwapOption;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::runtime::events::Reporter;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use millrace_crds::labels;
use millrace_scaler::{Count, Slot};
use serde_json::{Value, json};
use std::sync::Mutex;

/// Pods as the API server has them, and the calls that it got.
#[derive(Default)]
struct Cluster {
    pods: Mutex<BTreeMap<String, Value>>,
    calls: Mutex<Vec<String>>,
}

impl Cluster {
    fn answer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        if path.ends_with("/events") {
            return (201, body.clone());
        }
        let name = path.rsplit('/').next().unwrap().to_owned();
        let mut pods = self.pods.lock().unwrap();
        let Some(pod) = pods.get_mut(&name) else { return (404, status(404)) };
        let state = body["metadata"]["labels"][labels::STANDBY].as_str().unwrap_or("").to_owned();
        self.calls.lock().unwrap().push(format!("{method} {name} {state}").trim().to_owned());
        match method {
            "PATCH" => {
                let bound = &body["metadata"]["resourceVersion"];
                if bound.is_string() && *bound != pod["metadata"]["resourceVersion"] {
                    return (409, status(409));
                }
                merge(pod, body);
                pod["metadata"]["resourceVersion"] = json!("6");
                (200, pod.clone())
            }
            "DELETE" => {
                assert_eq!(body["preconditions"]["uid"], pod["metadata"]["uid"]);
                (200, pods.remove(&name).unwrap())
            }
            other => panic!("{other} {path}"),
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn client(self: &Arc<Self>) -> Client {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let cluster = self.clone();
        tokio::spawn(async move {
            while let Some((request, send)) = handle.next_request().await {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let (code, answer) = cluster.answer(head.method.as_str(), head.uri.path(), &body);
                let answer = Body::from(answer.to_string().into_bytes());
                send.send_response(Response::builder().status(code).body(answer).unwrap());
            }
        });
        Client::new(service, "millrace")
    }
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "message": "no", "code": code, "metadata": {}})
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        // Of lists, only owners are patched: by uid, as the API server does.
        (Value::Array(into), Value::Array(patch)) => {
            into.retain(|old| !patch.iter().any(|new| new["uid"] == old["uid"]));
            into.extend(patch.iter().filter(|new| new["$patch"] != "delete").cloned());
        }
        (into, Value::Array(patch)) => *into = patch.iter().filter(|new| new["$patch"] != "delete").cloned().collect(),
        (into, patch) => *into = patch.clone(),
    }
}

/// Everything that lending goes by.
struct Bed {
    cluster: Arc<Cluster>,
    lender: Lender,
    pods: Writer<Pod>,
    posts: Arc<Mutex<Vec<Value>>>,
    place: Place,
    now: f64,
}

fn kept<K>(objects: impl IntoIterator<Item = K>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let (reader, mut writer) = reflector::store();
    objects.into_iter().for_each(|object| writer.apply_watcher_event(&Event::Apply(object)));
    reader
}

/// A service with its Deployment on a pool that has `pods` as standbys; each answers `answer`.
async fn bed(pods: Vec<Pod>, answer: (StatusCode, &'static str)) -> Bed {
    let (cluster, posts, authority) =
        (Arc::new(Cluster::default()), Arc::<Mutex<Vec<Value>>>::default(), Authority::default());
    let heard = posts.clone();
    let desk = serve(&authority, &authority, "whatever", move |request| {
        let heard = heard.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            heard.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            (answer.0, answer.1.to_owned())
        }
    })
    .await;
    let mut observed = built(observed(service(json!({}))));
    for pool in &mut observed.pools {
        let mut changed = (**pool).clone();
        changed.metadata.uid = Some("uid-of-pool".to_owned());
        changed.spec.standby = serde_json::from_value(
            json!({"replicas": 1, "identity": {"secretName": "keys", "sources": ["s3://models/"]}}),
        )
        .unwrap();
        *pool = Arc::new(changed);
    }
    let plan = crate::plan::plan(&observed, &settings()).unwrap();
    let maps = crate::build::build(&plan, &observed, &settings()).unwrap().config_maps;
    let (standbys, mut writer) = reflector::store();
    for pod in &pods {
        let value = serde_json::to_value(pod).unwrap();
        cluster.pods.lock().unwrap().insert(pod.name_any(), value);
        writer.apply_watcher_event(&Event::Apply(pod.clone()));
    }
    let client = cluster.client();
    let sources = Sources {
        standbys,
        config_maps: kept(maps),
        deployments: kept(observed.owned.deployments.iter().map(|live| (**live).clone())),
        pools: kept(observed.pools.iter().map(|pool| (**pool).clone())),
    };
    let recorder = Recorder::new(client.clone(), Reporter { controller: "test".to_owned(), instance: None });
    let identity = Arc::new(ArcSwapOption::from(Some(identity(&authority))));
    let reach = Reach { port: desk.port(), ..Reach::new(client, &settings().namespace, identity) };
    let lender = Lender::new(reach, &settings(), sources, recorder, Arc::default());
    let place =
        (ServiceId::new("team-a", "magika"), Slot::new(&plan.newest.name.as_str().into(), &"l40s-onprem".into()));
    Bed { cluster, lender, pods: writer, posts, place, now: 100.0 }
}

impl Bed {
    /// The fleet with the service at so many replicas asked for and ready.
    fn fleet(&self, desired: u32, ready: u32) -> Fleet {
        let mut fleet = fleet(&[("magika", desired, ready)]);
        let service = &mut fleet.services[0];
        let revision = self.place.1.revision.clone();
        (service.plan.revisions.newest, service.plan.revisions.serving) = (revision.clone(), Some(revision));
        service.replicas = [(self.place.1.clone(), Count { desired, ready, ..Count::default() })].into_iter().collect();
        fleet
    }

    /// One pass of the loop, and then what the cluster shows: gives the standbys as they were counted, and why it starts cold.
    async fn pass(&mut self, desired: u32, ready: u32) -> (Vec<Role>, Option<String>) {
        self.now += 1.0;
        let standbys = self.lender.see(self.now);
        let fleet = self.fleet(desired, ready);
        let held = decisions(&fleet, &[None]);
        let mut cold = self.lender.step(self.now, &standbys, &fleet, &held);
        (standbys.into_iter().map(|standby| standby.role).collect(), cold.remove(&self.place.0))
    }

    /// Waits for the calls under way.
    async fn rest(&mut self) {
        for task in self.lender.tasks.values() {
            while !task.handle.is_finished() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The watch catches up.
    fn sync(&mut self) {
        let now = self.cluster.pods.lock().unwrap().clone();
        let known: Vec<Arc<Pod>> = self.lender.sources.standbys.state();
        for pod in known.iter().filter(|pod| !now.contains_key(&pod.name_any())) {
            self.pods.apply_watcher_event(&Event::Delete((**pod).clone()));
        }
        for pod in now.into_values() {
            self.pods.apply_watcher_event(&Event::Apply(serde_json::from_value(pod).unwrap()));
        }
    }

    fn serving(&self) -> Role {
        Role::Serving(self.place.0.clone(), self.place.1.clone())
    }

    fn assigned(&self) -> Role {
        Role::Assigned(self.place.0.clone(), self.place.1.clone())
    }

    /// The labels of one of the service's.
    fn labels(&self, state: &str) -> Value {
        let mut labels = given(state, "magika");
        labels[labels::REVISION] = json!(self.place.1.revision.as_str());
        labels
    }
}

const SERVES: (StatusCode, &str) = (StatusCode::OK, r#"{"startup":{"fetch":0.1,"load":0.1,"warmUp":0.1}}"#);

#[tokio::test]
async fn a_woken_service_gets_a_standby_until_its_own_replica_is_ready() {
    let mut made = pod("b", json!({}), ready());
    made.metadata.owner_references = serde_json::from_value(
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "of-the-set", "controller": true}]),
    )
    .unwrap();
    let mut bed = bed(vec![pod("a", json!({}), ready()), made], SERVES).await;
    assert_eq!(bed.pass(0, 0).await, (vec![Role::Free, Role::Free], None));
    assert_eq!(bed.cluster.take(), Vec::<String>::new(), "nobody wants one");
    bed.pass(1, 0).await;
    // It counts for the service before anything is written, and the other one isn't given besides.
    assert_eq!(bed.pass(1, 0).await.0.iter().filter(|role| **role == bed.assigned()).count(), 1);
    bed.rest().await;
    assert_eq!(bed.cluster.take(), ["PATCH b assigned", "PATCH b serving"]);
    assert_eq!(bed.pass(1, 0).await.0, [Role::Free, bed.serving()], "before the watch has told so");
    bed.sync();
    assert_eq!(bed.pass(1, 0).await.0, [Role::Free, bed.serving()]);
    let posts = bed.posts.lock().unwrap().clone();
    let map = bed.lender.sources.config_maps.state().into_iter().find(|map| map.immutable == Some(true)).unwrap();
    assert_eq!(
        posts,
        [
            json!({"manifest": map.data.as_ref().unwrap()["manifest.yaml"], "stores": map.data.as_ref().unwrap()["stores.yaml"]})
        ]
    );
    let now = bed.cluster.pods.lock().unwrap()["b"]["metadata"].clone();
    assert_eq!(now["ownerReferences"].as_array().unwrap().len(), 1, "the Deployment's set lets go of it");
    assert_eq!(
        (&now["ownerReferences"][0]["uid"], &now["ownerReferences"][0]["controller"]),
        (&json!("uid-of-pool"), &json!(true))
    );
    assert_eq!(now["labels"][store_label(&settings().stores[0])], "true");
    bed.pass(1, 1).await;
    bed.rest().await;
    assert_eq!(bed.cluster.take(), ["DELETE b"]);
    bed.pass(1, 1).await;
    bed.sync();
    assert_eq!(bed.pass(1, 1).await.0, [Role::Free]);
    assert!(bed.lender.tasks.is_empty(), "what has ended is forgotten");
}

#[tokio::test]
async fn of_two_leaders_one_claims_it() {
    let mut bed = bed(vec![pod("a", json!({}), ready())], SERVES).await;
    // Another has claimed it a moment ago: the watch hasn't told yet.
    bed.cluster.pods.lock().unwrap().get_mut("a").unwrap()["metadata"]["resourceVersion"] = json!("9");
    bed.pass(1, 0).await;
    bed.rest().await;
    bed.lender.see(bed.now);
    assert_eq!(bed.cluster.take(), ["PATCH a assigned"]);
    assert!(bed.posts.lock().unwrap().is_empty() && bed.lender.tasks.is_empty() && bed.lender.resting.is_empty());
}

#[tokio::test]
async fn one_that_cannot_serve_ends_and_no_other_is_spent_on_the_same() {
    let refusal = (StatusCode::UNPROCESSABLE_ENTITY, r#"{"reason":"ModelInvalid","message":"it is no model"}"#);
    let mut bed = bed(vec![pod("a", json!({}), ready()), pod("b", json!({}), ready())], refusal).await;
    bed.pass(1, 0).await;
    bed.rest().await;
    let (_, cold) = bed.pass(1, 0).await;
    assert!(cold.as_ref().is_some_and(|why| why.contains("ModelInvalid: it is no model")), "{cold:?}");
    bed.rest().await;
    assert_eq!(bed.cluster.take(), ["PATCH b assigned", "DELETE b"]);
    bed.sync();
    assert_eq!(bed.pass(1, 0).await.0, [Role::Free]);
    assert_eq!(bed.cluster.take(), Vec::<String>::new());
    bed.now += REST;
    bed.pass(1, 0).await;
    bed.rest().await;
    assert_eq!(bed.cluster.take(), ["PATCH a assigned"], "it is tried again in the end");
}

#[tokio::test]
async fn a_new_leader_goes_on_where_its_predecessor_was() {
    let mut bed = bed(vec![pod("a", json!({}), ready())], SERVES).await;
    let labels = bed.labels("assigned");
    merge(bed.cluster.pods.lock().unwrap().get_mut("a").unwrap(), &json!({"metadata": {"labels": labels}}));
    bed.sync();
    assert_eq!(bed.pass(1, 0).await.0, [bed.assigned()]);
    bed.rest().await;
    assert_eq!(bed.cluster.take(), ["PATCH a serving"], "it is asked what became of it, and isn't claimed again");
    assert_eq!(bed.posts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_service_that_is_gone_leaves_none_behind() {
    let mut bed = bed(vec![pod("a", json!({}), ready())], SERVES).await;
    let labels = bed.labels("serving");
    merge(bed.cluster.pods.lock().unwrap().get_mut("a").unwrap(), &json!({"metadata": {"labels": labels}}));
    bed.sync();
    let (nobody, standbys) = (Fleet::default(), bed.lender.see(bed.now));
    bed.lender.step(bed.now, &standbys, &nobody, &[]);
    assert!(bed.lender.tasks.is_empty(), "its Deployment is there: its spec may only be refused");
    bed.lender.sources.deployments = kept([]);
    bed.lender.step(bed.now, &standbys, &nobody, &[]);
    bed.rest().await;
    assert_eq!(bed.cluster.take(), ["DELETE a"]);
}

#[tokio::test]
async fn what_does_not_fit_is_not_claimed_and_a_new_standby_waits_for_room() {
    let mut gated = pod("a", json!({}), json!({}));
    gated.spec.as_mut().unwrap().scheduling_gates =
        Some(vec![k8s_openapi::api::core::v1::PodSchedulingGate { name: "g".into() }]);
    let mut older = pod("b", json!({}), ready());
    older.spec.as_mut().unwrap().containers[0].image = Some("registry.example/millrace:0-gpu".to_owned());
    let mut bed = bed(vec![gated, older], SERVES).await;
    // The pool has four accelerators: all are asked for.
    let full = bed.pass(4, 0).await;
    assert_eq!(full, (vec![Role::Gated, Role::Free], None));
    assert_eq!(
        bed.cluster.take(),
        Vec::<String>::new(),
        "one of an earlier release serves nobody, and there is no room"
    );
    bed.pass(3, 0).await;
    bed.rest().await;
    assert_eq!(bed.cluster.take(), ["PATCH a"]);
    assert_eq!(bed.cluster.pods.lock().unwrap()["a"]["spec"].get("schedulingGates"), None);
    assert_eq!(bed.pass(3, 0).await.0, [Role::Free, Role::Free], "it holds an accelerator from then on");
}
