use super::*;
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use millrace_scaler::{
    Capacity, Count, Decision, Fleet, GatewaySample, Pool, PoolPlan, Revisions, Service, ServicePlan, ServiceSample,
    Slot, Tenant, decide,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// An API server that keeps ConfigMaps by name, and what it was asked for.
#[derive(Default)]
struct Server {
    maps: Mutex<BTreeMap<String, Value>>,
    calls: Mutex<Vec<String>>,
}

impl Server {
    fn answer(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Value {
        let name = path.rsplit('/').next().unwrap().to_owned();
        self.calls.lock().unwrap().push(format!("{method} {name}"));
        let mut maps = self.maps.lock().unwrap();
        match method {
            "GET" => {
                assert!(query.contains("labelSelector="), "{query}");
                let items: Vec<&Value> = maps.values().collect();
                json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {}, "items": items})
            }
            "PATCH" => {
                assert!(query.contains("fieldManager=millrace-checkpoint") && query.contains("force=true"), "{query}");
                let map: Value = serde_json::from_slice(body).unwrap();
                assert!(body.len() < 1 << 20, "the API server takes no more");
                maps.insert(name, map.clone());
                map
            }
            "DELETE" => {
                maps.remove(&name);
                json!({"apiVersion": "v1", "kind": "Status", "status": "Success", "metadata": {}})
            }
            other => panic!("{other} {path}"),
        }
    }
}

fn client(server: &Arc<Server>) -> Client {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let server = server.clone();
    tokio::spawn(async move {
        while let Some((request, send)) = handle.next_request().await {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let answer =
                server.answer(head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or_default(), &body);
            send.send_response(Response::new(Body::from(serde_json::to_vec(&answer).unwrap())));
        }
    });
    Client::new(service, "millrace")
}

fn service(number: usize) -> ServiceId {
    ServiceId::new("team-a", &format!("s{number}"))
}

/// A state of so many services, each called once a second until `now`.
fn state(services: usize, now: f64) -> State {
    let mut state = State::new(&[0.1]);
    for second in 0..30u64 {
        let seen = (0..services).map(|number| ServiceSample {
            service: service(number),
            arrivals: 100 + second,
            ..ServiceSample::default()
        });
        let sample = GatewaySample { started_at: 1.0, generation: 1, services: seen.collect() };
        state.hear_gateway(now - 29.0 + second as f64, &"g".into(), &sample);
    }
    (0..services).for_each(|number| state.memory(&service(number)).raised_at = Some(now - 7.0));
    state
}

/// What `state` decides on its services, each at one replica, after one more report of `arrivals` in all.
fn decisions(state: &mut State, now: f64, arrivals: u64) -> Vec<Decision> {
    let ids: Vec<ServiceId> = (0..state.remembered()).map(service).collect();
    let seen = ids.iter().map(|id| ServiceSample { service: id.clone(), arrivals, ..ServiceSample::default() });
    let sample = GatewaySample { started_at: 1.0, generation: 1, services: seen.collect() };
    state.hear_gateway(now, &"g".into(), &sample);
    let pools = [PoolPlan { name: "p".into(), hourly_cost: 1.0, relative_speed: 0.1, ..PoolPlan::default() }];
    let revisions = Revisions { newest: "r".into(), serving: Some("r".into()), proven: true };
    let plan =
        ServicePlan { tenant: "t".into(), revisions, pools: pools.into(), max_batch: 1, ..ServicePlan::default() };
    let one = (Slot::new(&"r".into(), &"p".into()), Count { desired: 1, ready: 1, ..Count::default() });
    let service =
        |id| Service { id, plan: plan.clone(), replicas: [one.clone()].into_iter().collect(), ..Service::default() };
    let mut services: Vec<Service> = ids.into_iter().map(service).collect();
    let gateways = BTreeSet::from(["g".into()]);
    services.iter_mut().for_each(|service| state.inform(now, service, &gateways, &BTreeSet::new()));
    let pool = Pool { capacity: Capacity::Uncounted, hourly_cost: 1.0, ..Pool::default() };
    let (pools, tenants) = (BTreeMap::from([("p".into(), pool)]), BTreeMap::from([("t".into(), Tenant::default())]));
    decide(now, &Fleet { services, pools, tenants })
}

/// Keeps until the call that was started has ended and its end was noted.
async fn kept(checkpoints: &mut Checkpoints, now: f64, state: &State) {
    checkpoints.keep(now, state).await;
    while checkpoints.call.as_ref().is_some_and(|call| !call.is_finished()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_successor_reads_what_its_predecessor_knew() {
    let server = Arc::new(Server::default());
    let client = client(&server);
    let known = state(250, 1_000.0);
    let mut before = Checkpoints::new(&client, "millrace", "millrace");
    assert!(before.read().await.services.is_empty());
    for second in 0..10 {
        kept(&mut before, 1_000.0 + f64::from(second), &known).await;
    }
    let names: Vec<String> = server.maps.lock().unwrap().keys().cloned().collect();
    assert_eq!(names, ["millrace-scaling-0", "millrace-scaling-1", "millrace-scaling-2"]);
    let mut successor = Checkpoints::new(&client, "millrace", "millrace");
    let read = successor.read().await;
    assert_eq!(read.services.len(), 250);
    let mut state = State::new(&[0.1]);
    state.restore(1_010.0, read);
    assert_eq!(state.memory(&service(42)).raised_at, Some(993.0));
    let (then, now) = (known.checkpoint(1_010.0, |_| true), state.checkpoint(1_010.0, |_| true));
    let histories = |checkpoint: &Checkpoint| {
        serde_json::to_string(&checkpoint.services.iter().map(|one| &one.history).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(histories(&now), histories(&then));
    assert!(then.services.iter().all(|one| one.history.is_some()));
    // It decides as its predecessor would have.
    let (led, goes_on) = (decisions(&mut known.clone(), 1_011.0, 600), decisions(&mut state, 1_011.0, 600));
    assert!(led.iter().all(|decision| decision.metrics_fresh && decision.need > 10.0), "{:?}", led[0]);
    assert_eq!(goes_on, led);
    // The successor as well writes each at most once a minute.
    server.calls.lock().unwrap().clear();
    kept(&mut successor, 1_020.0, &state).await;
    assert_eq!(*server.calls.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn one_write_a_minute_for_each_hundred_services_and_none_without_news() {
    let server = Arc::new(Server::default());
    let mut checkpoints = Checkpoints::new(&client(&server), "millrace", "r");
    let busy = state(150, 1_000.0);
    for second in 0..120 {
        kept(&mut checkpoints, 1_000.0 + f64::from(second), &busy).await;
    }
    let writes = std::mem::take(&mut *server.calls.lock().unwrap());
    assert_eq!(writes, ["PATCH r-scaling-0", "PATCH r-scaling-1", "PATCH r-scaling-0", "PATCH r-scaling-1"]);
    let mut idle = State::new(&[0.1]);
    idle.memory(&service(1)).raised_at = Some(1.0);
    for second in 200..500 {
        kept(&mut checkpoints, 1_000.0 + f64::from(second), &idle).await;
    }
    // What too few services are left for is removed, once it is known elsewhere.
    assert_eq!(*server.calls.lock().unwrap(), ["PATCH r-scaling-0", "DELETE r-scaling-1"]);
}

#[tokio::test]
async fn what_is_no_checkpoint_is_left_out() {
    let server = Arc::new(Server::default());
    for (name, text) in [
        ("r-scaling-0", "{"),
        (
            "r-scaling-1",
            "{\"at\": 5, \"services\": [{\"service\": {\"namespace\": \"a\", \"name\": \"b\"}, \"new\": 1}]}",
        ),
        ("other", "{}"),
        ("r-scaling-x", "{}"),
    ] {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {KEY: text}});
        server.maps.lock().unwrap().insert(name.to_owned(), map);
    }
    let mut checkpoints = Checkpoints::new(&client(&server), "millrace", "r");
    let read = checkpoints.read().await;
    assert_eq!((read.at, read.services.len()), (5.0, 1), "a field of a later release is no harm");
    assert_eq!(checkpoints.parts.len(), 2);
}

#[test]
fn a_hundred_busy_services_fit() {
    let mut busy = state(130, 1_000.0);
    for number in 0..130 {
        let sample = millrace_scaler::ServerSample {
            started_at: 1.0,
            queue_depth: 0,
            batches: (1..=24)
                .map(|size| millrace_scaler::BatchSample { size, count: 123_456, seconds: 1_234.567_891 * size as f64 })
                .collect(),
        };
        let replica = millrace_scaler::Replica {
            pod: format!("p{number}").into(),
            service: service(number),
            revision: "s-abcdef0123".into(),
            accelerator: "L40S".into(),
        };
        busy.hear_server(1_000.0, &replica, &sample);
    }
    let text = text(&busy.checkpoint(1_000.0, |_| true)).unwrap();
    assert!(text.len() < LARGEST, "{}", text.len());
}
