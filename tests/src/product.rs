//! The installed release: helm, a tenant with a key, pools, a store with a model.

use crate::{Bed, Call, NAMESPACE};
use anyhow::{Context, Result};
use millrace_testbed::{
    Cache,
    tools::{Models, magika},
    wait_until,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Name of the release.
pub const RELEASE: &str = "millrace";
/// Its namespace.
pub const SYSTEM_NAMESPACE: &str = "millrace-system";
/// Port of the gateway on each node.
const NODE_PORT: u16 = 30_443;

/// A running release and what a tenant needs to call it.
#[derive(Clone, Debug)]
pub struct Product {
    /// The cluster.
    pub bed: Bed,
    /// A key of tenant team-a.
    pub key: String,
    /// The authority of the gateway's certificate.
    pub ca: PathBuf,
    /// When `helm install` was begun.
    pub installed: Instant,
}

impl Product {
    /// Installs the chart if it isn't there, and makes tenant, pools, store and credentials.
    ///
    /// # Errors
    /// What helm or kubectl said.
    pub fn install(bed: &Bed) -> Result<Self> {
        bed.put("models", "magika/model.onnx", &magika(&bed.state.python)?)?;
        for (key, file) in Models::of(&Cache::open()?)?.files() {
            bed.put("models", key, &file)?;
        }
        let installed = Instant::now();
        bed.helm(&helm_upgrade(bed, &[])?.iter().map(String::as_str).collect::<Vec<_>>())?;
        bed.apply(&Bed::example("pools.yaml")?)?;
        bed.kubectl(&["-n", SYSTEM_NAMESPACE, "rollout", "status", "deployment/millrace-gateway", "--timeout=120s"])?;
        let created = create_key(bed)?;
        bed.apply(&tenant(&created.hash)?)?;
        bed.apply(&credentials(bed))?;
        let product =
            Self { bed: bed.clone(), key: created.key, ca: bed.state.folder.join("gateway-ca.crt"), installed };
        product.read_ca()?;
        Ok(product)
    }

    /// Writes the authority of the gateway's certificate where callers look for it.
    ///
    /// # Errors
    /// The chart's Secret isn't there.
    pub fn read_ca(&self) -> Result<()> {
        let secret: Value = self.bed.get(&["-n", SYSTEM_NAMESPACE, "secret", "millrace-public-tls"])?;
        let encoded = secret["data"]["ca.crt"].as_str().context("the chart keeps the authority in ca.crt")?;
        let decoded =
            millrace_testbed::exec::output_with_input(std::process::Command::new("base64").arg("-d"), encoded)?;
        std::fs::write(&self.ca, decoded)?;
        Ok(())
    }

    /// Waits until the gateway's port on the node answers: a new Service is in the node's rules a moment after its
    /// pods are ready, and until then the node refuses connections.
    ///
    /// # Errors
    /// Nothing answers in time: what curl said last.
    pub fn wait_reachable(&self, limit: Duration) -> Result<()> {
        wait_until("an answer at the gateway's port", limit, || {
            let answer = self.call("/").key(None).send()?;
            anyhow::ensure!(answer.status != 0, "{}", answer.problem);
            Ok(true)
        })
    }

    /// The gateway as tenants reach it: a node's port.
    #[must_use]
    pub fn url(&self) -> String {
        gateway_url(&self.bed)
    }

    /// A call to a path of the gateway, with the tenant's key.
    #[must_use]
    pub fn call(&self, path: &str) -> Call {
        Call {
            url: format!("{}{path}", self.url()),
            key: Some(self.key.clone()),
            ca: self.ca.clone(),
            headers: Vec::new(),
            body: None,
            limit: Duration::from_secs(40),
        }
    }
}

/// Arguments of the one helm command: install and upgrade alike.
///
/// # Errors
/// The cluster's state names no image.
pub fn helm_upgrade(bed: &Bed, more: &[&str]) -> Result<Vec<String>> {
    let image = bed.state.image.as_deref().context("no image was built: run `cargo xtask test e2e` or `demo`")?;
    let (repository, tag) = image.rsplit_once(':').context("the image has a tag")?;
    let node = bed.state.nodes[0].ip;
    let stores = stores(bed)?;
    let mut arguments: Vec<String> =
        ["upgrade", "--install", RELEASE, "--create-namespace", "--namespace", SYSTEM_NAMESPACE]
            .map(String::from)
            .to_vec();
    arguments.push(bed.state.chart.display().to_string());
    for (key, value) in [
        ("image.repository", repository.to_owned()),
        ("image.tag", tag.to_owned()),
        ("gateway.service.type", "NodePort".to_owned()),
        ("gateway.service.nodePort", NODE_PORT.to_string()),
        ("gateway.url", gateway_url(bed)),
        ("gateway.tls.ipAddresses[0]", node.to_string()),
    ] {
        arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
    }
    arguments.extend(["--set-json".to_owned(), format!("stores={stores}")]);
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    Ok(arguments)
}

/// The platform's stores: S3, https with a certificate of the cluster's own authority, and one that nobody runs.
fn stores(bed: &Bed) -> Result<Value> {
    let (s3, files, address) = (&bed.state.s3, &bed.state.files, bed.state.control_plane);
    let cidrs = [format!("{address}/32")];
    let ca = std::fs::read_to_string(&files.ca).with_context(|| files.ca.display().to_string())?;
    Ok(json!([
        {"name": "models", "scheme": "s3", "endpoint": s3.endpoint, "region": s3.region, "cidrs": cidrs},
        {"name": "files", "scheme": "https", "endpoint": files.endpoint, "ca": ca, "cidrs": cidrs},
        {"name": "nobody", "scheme": "s3", "endpoint": format!("http://{address}:9"), "cidrs": cidrs},
    ]))
}

fn gateway_url(bed: &Bed) -> String {
    format!("https://{}:{NODE_PORT}", bed.state.nodes[0].ip)
}

/// A key and the hash that a Tenant holds of it.
struct Created {
    key: String,
    hash: String,
}

/// Makes a key in a gateway's pod, where the pepper is mounted.
fn create_key(bed: &Bed) -> Result<Created> {
    let printed = bed.kubectl(&[
        "-n",
        SYSTEM_NAMESPACE,
        "exec",
        "deployment/millrace-gateway",
        "--",
        "/millrace-gateway",
        "key",
        "create",
    ])?;
    let word = |start: &str| {
        printed
            .split_whitespace()
            .find(|word| word.starts_with(start))
            .map(str::to_owned)
            .with_context(|| format!("`key create` printed no {start}...: {printed}"))
    };
    Ok(Created { key: word("mr_")?, hash: word("hmac-sha256:")? })
}

/// The example's namespace and tenant with a real hash.
fn tenant(hash: &str) -> Result<String> {
    let text = Bed::example("tenant.yaml")?;
    let old = text
        .split(|c: char| c.is_whitespace() || "\"',}".contains(c))
        .find(|word| word.starts_with("hmac-sha256:"))
        .context("examples/tenant.yaml holds a place for the key's hash")?;
    // Tests read from more places than the example's tenant may.
    let more = "sources: [\"s3://nobody/\", \"https://files/\", \"pvc://models/\", ";
    Ok(text.replace(old, hash).replace("sources: [", more))
}

/// The Secrets with the keys to the stores.
fn credentials(bed: &Bed) -> String {
    let s3 = &bed.state.s3;
    let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "stringData": data});
    let items = [
        secret("models", json!({"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key})),
        secret("files", json!({"TOKEN": bed.state.files.token})),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}
