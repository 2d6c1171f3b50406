//! The running cluster, and kubectl and helm against it.

use anyhow::{Context, Result, bail};
use millrace_testbed::{ClusterState, Testbed, repository};
use serde_json::Value;
use std::path::Path;

/// The cluster that the environment names.
#[derive(Clone, Debug)]
pub struct Bed {
    /// What is known of it.
    pub state: ClusterState,
    testbed: Testbed,
}

impl Bed {
    /// The cluster whose state file `MILLRACE_TESTBED` names.
    ///
    /// # Errors
    /// The variable isn't set, or the file can't be read.
    pub fn from_env() -> Result<Self> {
        Testbed::from_env().map(Self::of)
    }

    /// A cluster that was just started.
    #[must_use]
    pub fn of(testbed: Testbed) -> Self {
        Self { state: testbed.state().clone(), testbed }
    }

    /// Runs kubectl.
    ///
    /// # Errors
    /// What kubectl said.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.testbed.kubectl(arguments)
    }

    /// Runs helm.
    ///
    /// # Errors
    /// What helm said.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.testbed.helm(arguments)
    }

    /// Applies manifests by server-side apply.
    ///
    /// # Errors
    /// What kubectl said, such as the message of a rule that a manifest breaks.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.testbed.apply(yaml)
    }

    /// Deletes what the manifests name.
    ///
    /// # Errors
    /// What kubectl said.
    pub fn delete(&self, manifests: &str) -> Result<String> {
        self.testbed.kubectl_with_input(&["delete", "-f", "-"], manifests)
    }

    /// Objects or one object as JSON.
    ///
    /// # Errors
    /// What kubectl said.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        self.testbed.kubectl_json(&[&["get"], arguments].concat())
    }

    /// The items of a list.
    ///
    /// # Errors
    /// What kubectl said.
    pub fn list(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        match self.get(arguments)?["items"].take() {
            Value::Array(items) => Ok(items),
            other => bail!("kubectl get {arguments:?} gave no list but {other}"),
        }
    }

    /// Puts a file into the S3 store.
    ///
    /// # Errors
    /// The file can't be copied.
    pub fn put(&self, bucket: &str, key: &str, file: &Path) -> Result<()> {
        self.testbed.s3_put(&format!("{bucket}/{key}"), file)
    }

    /// The repository's `examples/NAME`.
    ///
    /// # Errors
    /// It can't be read.
    pub fn example(name: &str) -> Result<String> {
        let path = repository().join("examples").join(name);
        std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))
    }
}
