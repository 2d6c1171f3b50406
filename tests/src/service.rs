//! One InferenceService: applied, watched, called.

use crate::{Answer, Call, Product};
use anyhow::{Context, Result};
use millrace_testbed::wait_until;
use serde_json::Value;
use std::time::Duration;

/// The tenant's namespace.
pub const NAMESPACE: &str = "team-a";

/// A service in the tenant's namespace.
#[derive(Clone, Debug)]
pub struct Service {
    /// The release.
    pub product: Product,
    /// Its name.
    pub name: String,
}

impl Service {
    /// Applies a manifest (YAML or JSON, one InferenceService) and names it.
    ///
    /// # Errors
    /// What the API server said.
    pub fn apply(product: &Product, manifest: &Value) -> Result<Self> {
        let name = manifest["metadata"]["name"].as_str().context("a manifest has a name")?.to_owned();
        product.bed.apply(&manifest.to_string())?;
        Ok(Self { product: product.clone(), name })
    }

    /// The object as it is now.
    ///
    /// # Errors
    /// What kubectl said.
    pub fn get(&self) -> Result<Value> {
        self.product.bed.get(&["-n", NAMESPACE, "infs", &self.name])
    }

    /// A condition as it is now: status, reason and message, if it speaks of the present spec.
    ///
    /// # Errors
    /// What kubectl said.
    pub fn condition(&self, kind: &str) -> Result<Option<[String; 3]>> {
        let object = self.get()?;
        let generation = &object["metadata"]["generation"];
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions
            .iter()
            .find(|one| one["type"] == kind && one["observedGeneration"] == *generation)
            .map(|one| ["status", "reason", "message"].map(|key| one[key].as_str().unwrap_or_default().to_owned())))
    }

    /// Waits until a condition has a status and one of the reasons (any, if none is given); its message.
    ///
    /// # Errors
    /// It doesn't get there in time: the conditions as they are.
    pub fn wait_condition(&self, kind: &str, status: &str, reasons: &[&str], limit: Duration) -> Result<String> {
        let mut message = String::new();
        wait_until(&format!("{kind}={status} {reasons:?} of {}", self.name), limit, || {
            let found = self.condition(kind)?;
            let Some([now, reason, text]) = &found else { anyhow::bail!("no condition {kind} of this generation") };
            if now == status && (reasons.is_empty() || reasons.contains(&reason.as_str())) {
                message.clone_from(text);
                return Ok(true);
            }
            anyhow::bail!("it is {now} {reason}: {text}")
        })
        .with_context(|| self.get().map_or_else(|error| error.to_string(), |object| object["status"].to_string()))?;
        Ok(message)
    }

    /// Waits until the service serves (or would at the next request).
    ///
    /// # Errors
    /// It doesn't in time.
    pub fn wait_ready(&self, limit: Duration) -> Result<()> {
        self.wait_condition("Ready", "True", &[], limit).map(drop)
    }

    /// Its pods, terminating ones included.
    ///
    /// # Errors
    /// What kubectl said.
    pub fn pods(&self) -> Result<Vec<Value>> {
        let selector = format!("millrace.dev/service={}", self.name);
        self.product.bed.list(&["-n", NAMESPACE, "pods", "-l", &selector])
    }

    /// Replicas that the Deployments of a pool are asked for.
    ///
    /// # Errors
    /// What kubectl said.
    pub fn desired(&self, pool: &str) -> Result<u64> {
        let selector = format!("millrace.dev/service={},millrace.dev/pool={pool}", self.name);
        let deployments = self.product.bed.list(&["-n", NAMESPACE, "deployments", "-l", &selector])?;
        Ok(deployments.iter().filter_map(|one| one["spec"]["replicas"].as_u64()).sum())
    }

    /// A call to a path below the service.
    #[must_use]
    pub fn call(&self, path: &str) -> Call {
        self.product.call(&format!("/{NAMESPACE}/{}{path}", self.name))
    }

    /// Sends raw bytes through the service's pipeline.
    ///
    /// # Errors
    /// curl can't be run.
    pub fn process(&self, bytes: &[u8]) -> Result<Answer> {
        self.call("/process").body(bytes).send()
    }

    /// Deletes the service and waits until its pods are gone.
    ///
    /// # Errors
    /// They stay.
    pub fn delete(&self) -> Result<()> {
        self.product.bed.kubectl(&[
            "-n",
            NAMESPACE,
            "delete",
            "infs",
            &self.name,
            "--ignore-not-found",
            "--wait=true",
        ])?;
        wait_until(&format!("end of the pods of {}", self.name), Duration::from_secs(90), || {
            Ok(self.pods()?.is_empty())
        })
    }
}

/// An example's InferenceService with other values at JSON pointers; a missing parent is made, null removes.
///
/// # Errors
/// The example holds no InferenceService.
pub fn edited(example: &str, changes: &[(&str, Value)]) -> Result<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&crate::Bed::example(example)?).context("an example is YAML")?;
    let mut manifest = documents
        .into_iter()
        .find(|document| document["kind"] == "InferenceService")
        .with_context(|| format!("examples/{example} holds no InferenceService"))?;
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').context("a pointer begins with /")?;
        let mut place = &mut manifest;
        for step in parent.split('/').skip(1) {
            if !place[step].is_object() {
                place[step] = Value::Object(serde_json::Map::new());
            }
            place = &mut place[step];
        }
        if value.is_null() {
            place.as_object_mut().context("a parent is an object")?.remove(key);
        } else {
            place[key] = value.clone();
        }
    }
    Ok(manifest)
}
