//! Golden snapshots: each manifest of `examples/`, planned and built, or refused as its status tells.
//!
//! The platform that they meet is that of `examples/pools.yaml` and `examples/tenant.yaml`. A snapshot that changed on
//! purpose: look at the difference, then run the test again with `INSTA_UPDATE=always`.

use crate::build::{Desired, Objects, build};
use crate::job;
use crate::observe::{Observed, Owned};
use crate::plan::{Plan, Refusal, plan};
use crate::status::{Context, Outcome, status};
use crate::testing::{observed, service, settings};
use kube::ResourceExt;
use millrace_crds::InferenceService;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

const NOW: &str = "2026-11-24T17:00:00Z";

/// Plans and builds what is observed, and holds the outcome against the snapshot `name`.
fn check(name: &str, observed: &Observed) {
    let settings = settings();
    let outcome = match plan(observed, &settings) {
        Ok(plan) => everything(&plan, build(&plan, observed, &settings).unwrap()),
        Err(problems) => {
            let refusal = Refusal { problems, last_good: None };
            let context = Context { observed, settings: &settings, scale: None, now: NOW };
            json!({"refused": status(&Outcome::Refused(&refusal), &context).conditions})
        }
    };
    insta::assert_yaml_snapshot!(name, outcome);
}

/// Each object that is written; of revisions their names, for what they keep is in the other objects.
fn everything(plan: &Plan, objects: Objects<Desired>) -> Value {
    let Objects {
        controller_revisions,
        config_maps,
        network_policies,
        services,
        budgets,
        deployments,
        stage: PhantomData,
    } = objects;
    let revisions: Vec<_> = controller_revisions.iter().map(|object| (object.name_any(), object.revision)).collect();
    json!({
        "withoutEffect": plan.named, "pools": plan.places.summary(), "revisions": revisions, "configMaps": config_maps,
        "networkPolicies": network_policies, "services": services, "budgets": budgets, "deployments": deployments,
    })
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn documents(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&std::fs::read_to_string(folder().join(file)).unwrap()).unwrap()
}

/// Objects of a kind in an example, with the uid that a cluster would give them.
fn objects<K: DeserializeOwned>(file: &str, kind: &str) -> Vec<Arc<K>> {
    let of_kind = documents(file).into_iter().filter(|document| document["kind"] == kind);
    let known = of_kind.map(|mut document| {
        document["metadata"]["uid"] = json!(format!("uid-of-{}", document["metadata"]["name"].as_str().unwrap()));
        document["metadata"]["generation"] = json!(1);
        Arc::new(serde_json::from_value(document).unwrap_or_else(|error| panic!("{file}: {error}")))
    });
    known.collect()
}

/// A service on the platform of the examples.
fn on_the_platform(service: Arc<InferenceService>) -> Observed {
    let namespace = documents("tenant.yaml").into_iter().find(|document| document["kind"] == "Namespace").unwrap();
    Observed {
        service,
        namespace_labels: serde_json::from_value(namespace["metadata"]["labels"].clone()).unwrap(),
        tenants: objects("tenant.yaml", "Tenant"),
        pools: objects("pools.yaml", "AcceleratorPool"),
        owned: Owned::default(),
        pods: Vec::new(),
        standbys: Vec::new(),
        ca: Some("-----BEGIN CERTIFICATE-----\n".to_owned()),
    }
}

#[test]
fn examples() {
    let mut seen = 0;
    let mut files: Vec<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.ends_with(".yaml")) {
        let name = file.trim_end_matches(".yaml");
        for service in objects(file, "InferenceService") {
            check(name, &on_the_platform(service));
            seen += 1;
        }
        for service in objects(file, "InferenceJob") {
            insta::assert_yaml_snapshot!(name, json!({"refused": job::status(&service, NOW).conditions}));
            seen += 1;
        }
    }
    assert!(seen >= 19, "only {seen} examples were found: are they read right?");
}

/// What no example shows: a claim, a store without address ranges, and no budget.
#[test]
fn other_sources() {
    check(
        "mounted_model",
        &observed(service(
            json!({"model": {"uri": "pvc://claim/dir/model.onnx", "credentials": null}, "availability": {"disruptionBudget": "None", "spread": "Zone", "drain": "5s"}}),
        )),
    );
    let public = json!({"model": {"uri": "https://hub.example/model.onnx", "credentials": null}});
    check("public_store", &observed(service(public)));
}
