//! The product on a real cluster. `cargo xtask test e2e` makes the cluster and runs this, one test at a time.
//!
//! Each test makes what it needs and leaves the release as it found it, so that any one runs alone.

// Every function here runs in a test: a failed step is the test's failure, with its error shown.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod chart;
mod clients;
mod examples;
mod faults;
mod objects;
mod scale;
mod serve;
mod standby;
mod stores;

use millrace_tests::{Bed, Product, Service, edited};
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::time::Duration;

/// Longest time for what takes seconds: generous, since a loaded machine is no fault.
const SOON: Duration = Duration::from_secs(90);

/// The release, installed once for all tests.
fn product() -> &'static Product {
    static PRODUCT: OnceLock<Product> = OnceLock::new();
    PRODUCT.get_or_init(|| {
        let bed = Bed::from_env().expect("a cluster");
        Product::install(&bed).expect("an installed release")
    })
}

/// The Magika service, ready.
fn magika() -> &'static Service {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let service =
            Service::apply(product(), &edited("magika.yaml", &[]).expect("an example")).expect("an accepted service");
        service.wait_ready(SOON).expect("a ready service");
        service
    })
}

/// Applies a service, once what an earlier test may have left is gone: a test that failed must not make the next ones fail.
fn applied(manifest: &Value) -> Service {
    let kept = ["magika", manifest["metadata"]["name"].as_str().unwrap()];
    for service in product().bed.list(&["-n", "team-a", "infs"]).unwrap() {
        let name = service["metadata"]["name"].as_str().unwrap().to_owned();
        if !kept.contains(&name.as_str()) {
            Service { product: product().clone(), name }.delete().unwrap();
        }
    }
    Service::apply(product(), manifest).unwrap()
}

/// The Magika manifest under another name, with other values.
fn variant(name: &str, changes: &[(&str, Value)]) -> Value {
    let mut all = vec![("/metadata/name", json!(name))];
    all.extend_from_slice(changes);
    edited("magika.yaml", &all).expect("an example")
}
