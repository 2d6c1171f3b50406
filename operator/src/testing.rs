//! What tests of several modules start from: a service that is fine, and a cluster that suits it.

pub mod api;
pub mod authority;

use crate::config::{Enforced, Settings};
use crate::controller::Context;
use crate::index::Index;
use crate::metrics::Metrics;
use crate::observe::{Observed, Owned};
use crate::plan::{Plan, plan};
use crate::scale::{Plans, ScaleView};
use api::Server;
use arc_swap::ArcSwapOption;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, Store as Reflected};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use millrace_crds::store::Store;
use millrace_crds::{AcceleratorPool, InferenceService, Tenant};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A service with `patch` merged into its spec.
pub fn service(patch: Value) -> InferenceService {
    let mut spec = json!({
        "model": {"uri": "s3://models/magika/model.onnx", "sha256": "0".repeat(64), "credentials": {"secretName": "models"}},
        "pipeline": {"postprocess": [{"argmax": {"labels": {"values": ["a", "b"]}}}]},
        "runtime": {"executionProviders": ["CPU"], "resources": {"cpu": "200m"}},
    });
    merge(&mut spec, patch);
    let object = json!({
        "apiVersion": "millrace.dev/v1alpha1", "kind": "InferenceService",
        "metadata": {"name": "magika", "namespace": "team-a", "uid": "uid-of-magika", "generation": 3, "resourceVersion": "7"},
        "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

/// JSON merge patch.
fn merge(base: &mut Value, patch: Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    base.remove(&key);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, patch) => *base = patch,
    }
}

/// A pool with one accelerator kind in region eu-central.
pub fn pool(name: &str, accelerator: &str, location: &str, cost: &str) -> AcceleratorPool {
    serde_json::from_value(json!({
        "apiVersion": "millrace.dev/v1alpha1", "kind": "AcceleratorPool", "metadata": {"name": name},
        "spec": {"accelerator": accelerator, "memory": "48Gi", "resource": {"name": "nvidia.com/gpu"}, "location": location,
            "region": "eu-central", "hourlyCost": {"amount": cost}, "nodeSelector": {"accelerator": accelerator},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]},
    }))
    .unwrap()
}

/// A tenant that claims namespaces labelled `tenant=team-a`.
pub fn tenant(name: &str, created: &str) -> Tenant {
    serde_json::from_value(json!({
        "apiVersion": "millrace.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name, "uid": name, "creationTimestamp": created},
        "spec": {"namespaces": {"matchLabels": {"tenant": "team-a"}}},
    }))
    .unwrap()
}

/// The platform's settings.
pub fn settings() -> Settings {
    let store = |name: &str, scheme: &str, cidrs: &[&str]| Store {
        name: name.to_owned(),
        scheme: scheme.to_owned(),
        endpoint: Some("http://s3.storage.svc:9000".to_owned()),
        cidrs: cidrs.iter().map(|cidr| (*cidr).to_owned()).collect(),
        ..Store::default()
    };
    Settings {
        namespace: "millrace".to_owned(),
        release: "millrace".to_owned(),
        image: "registry.example/millrace:1".to_owned(),
        gpu_image: "registry.example/millrace:1-gpu".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        domain: String::new(),
        gateway_url: "https://gateway.example".to_owned(),
        gateway_address: "millrace-gateway.millrace.svc".to_owned(),
        stores: vec![store("models", "s3", &["10.0.0.0/8"]), store("hub.example", "https", &[])],
        node_cache_limit: 20 << 30,
        default_tenant: String::new(),
        network_policy_enforced: Enforced::Unknown,
    }
}

/// A cluster with two pools and a tenant, in which nothing of the service exists yet.
pub fn observed(service: InferenceService) -> Observed {
    Observed {
        service: Arc::new(service),
        namespace_labels: [("tenant".to_owned(), "team-a".to_owned())].into(),
        tenants: vec![Arc::new(tenant("team-a", "2026-01-01T00:00:00Z"))],
        pools: vec![
            Arc::new(pool("h100-cloud", "H100", "Cloud", "2.90")),
            Arc::new(pool("l40s-onprem", "L40S", "OnPremises", "0.90")),
        ],
        owned: Owned::default(),
        pods: Vec::new(),
        standbys: Vec::new(),
        ca: Some("-----BEGIN CERTIFICATE-----\n".to_owned()),
    }
}

/// The plan for a service with `patch`.
pub fn plan_of(patch: Value) -> Plan {
    plan(&observed(service(patch)), &settings()).unwrap()
}

/// What a reconciliation works with: `server`, and an index that holds what `observed` does (pods aside).
pub fn context(server: &Arc<Server>, observed: &Observed) -> Context {
    fn store<K>(objects: &[Arc<K>]) -> Reflected<K>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let (reader, mut writer) = reflector::store();
        objects.iter().for_each(|object| writer.apply_watcher_event(&Event::Apply((**object).clone())));
        reader
    }
    let owned = &observed.owned;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": observed.service.namespace(), "labels": observed.namespace_labels}});
    let index = Index {
        pools: store(&observed.pools),
        tenants: store(&observed.tenants),
        namespaces: store(&[Arc::new(serde_json::from_value(namespace).unwrap())]),
        nodes: store(&[]),
        pods: store(&[]),
        standbys: store(&[]),
        gateways: store(&[]),
        config_maps: store(&owned.config_maps),
        controller_revisions: store(&owned.controller_revisions),
        deployments: store(&owned.deployments),
        services: store(&owned.services),
        budgets: store(&owned.budgets),
        network_policies: store(&owned.network_policies),
        ca: Arc::new(ArcSwapOption::from_pointee(observed.ca.clone())),
    };
    let client = server.client();
    let reporter = Reporter { controller: "millrace-operator".to_owned(), instance: None };
    Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        settings: settings(),
        index,
        plans: Arc::new(Plans::default()),
        view: Arc::new(ScaleView::default()),
        metrics: Arc::new(Metrics::default()),
        failures: Mutex::default(),
    }
}

/// `observed` after its service was planned and built: what was built is there.
pub fn built(mut observed: Observed) -> Observed {
    let settings = settings();
    let objects = crate::build::build(&plan(&observed, &settings).unwrap(), &observed, &settings).unwrap();
    observed.owned.controller_revisions = objects.controller_revisions.into_iter().map(Arc::new).collect();
    observed.owned.deployments = objects.deployments.into_iter().map(Arc::new).collect();
    observed
}
