//! An API server that keeps what it is sent, and tells in which order it was sent.

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What was written, in order, as `VERB path`; and the objects by path.
#[derive(Default)]
pub struct Server {
    writes: Mutex<Vec<String>>,
    objects: Mutex<BTreeMap<String, Value>>,
    versions: Mutex<Vec<Value>>,
}

impl Server {
    fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        match method {
            "GET" => self.get(path).map_or_else(|| (404, missing()), |object| (200, object)),
            "PATCH" => {
                self.note(format!("apply {path}"));
                let mut object: Value = serde_json::from_slice(body).unwrap();
                self.versions.lock().unwrap().push(object["metadata"]["resourceVersion"].clone());
                object["metadata"]["resourceVersion"] = json!("1");
                self.put(path, object.clone());
                // A status is answered with the whole object.
                let whole = path.strip_suffix("/status").and_then(|path| self.get(path)).map(|mut whole| {
                    whole["status"] = object["status"].clone();
                    whole
                });
                (200, whole.unwrap_or(object))
            }
            "DELETE" => {
                self.note(format!("delete {path}"));
                let params: Value = serde_json::from_slice(body).unwrap();
                assert!(params["preconditions"]["uid"].is_string(), "a delete without the uid may hit another object");
                self.remove(path);
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}))
            }
            "POST" if path.ends_with("/events") => {
                self.note("create event".to_owned());
                (201, serde_json::from_slice(body).unwrap())
            }
            other => panic!("{other} {path}"),
        }
    }

    fn note(&self, write: String) {
        self.writes.lock().unwrap().push(write);
    }

    /// What was written since the last time that it was asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.writes.lock().unwrap())
    }

    /// The version that the last apply was bound to.
    pub fn last_version(&self) -> Option<Value> {
        self.versions.lock().unwrap().last().cloned()
    }

    /// The object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.objects.lock().unwrap().get(path).cloned()
    }

    /// Puts an object in place, as somebody else would.
    pub fn put(&self, path: &str, object: Value) {
        self.objects.lock().unwrap().insert(path.to_owned(), object);
    }

    /// Changes an object, as somebody else would.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        change(self.objects.lock().unwrap().get_mut(path).unwrap());
    }

    /// Removes an object, as somebody else would.
    pub fn remove(&self, path: &str) {
        self.objects.lock().unwrap().remove(path);
    }

    /// A client, and the task that answers it.
    pub fn client(self: &Arc<Self>) -> Client {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let server = self.clone();
        tokio::spawn(async move {
            while let Some((request, respond)) = handle.next_request().await {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (code, answer) = server.answer(parts.method.as_str(), parts.uri.path(), &body);
                respond.send_response(
                    Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap(),
                );
            }
        });
        Client::new(service, "default")
    }
}

fn missing() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "message": "not found", "code": 404, "metadata": {}})
}
