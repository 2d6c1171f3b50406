//! kubectl, helm and the programs of the cluster's network, run from the host.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Testbed;
use crate::cluster::{environment, netns};
use crate::{exec, wait_until};

impl Testbed {
    /// A command with the cluster's variables and tools.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        self.prepare(&mut command);
        command
    }

    /// A command inside the cluster's network namespace, with the same variables.
    #[must_use]
    pub fn command_inside(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = netns::in_netns(&self.state.netns, program);
        self.prepare(&mut command);
        command
    }

    /// Runs kubectl and gives back its output.
    ///
    /// # Errors
    /// When it fails; the message has what it said.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        exec::output(self.command(self.state.tools.join("kubectl")).args(arguments))
    }

    /// Runs kubectl with `-o json` and gives back what it printed.
    ///
    /// # Errors
    /// When it fails or prints no JSON.
    pub fn kubectl_json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.kubectl(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).context("kubectl printed no JSON")
    }

    /// Runs kubectl with this text on its standard input: `&["apply", "-f", "-"]`.
    ///
    /// # Errors
    /// When it fails; the message has what it said.
    pub fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        exec::output_with_input(self.command(self.state.tools.join("kubectl")).args(arguments), input)
    }

    /// Applies manifests by server-side apply.
    ///
    /// # Errors
    /// When the API server refuses them.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        self.kubectl_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], manifests)
    }

    /// Waits until a field has a value, for example `{.status.phase}`.
    ///
    /// # Errors
    /// When it has another at the end of the time; the message names the last.
    pub fn wait_for(&self, object: &[&str], json_path: &str, value: &str, limit: Duration) -> Result<()> {
        let output = format!("jsonpath={json_path}");
        wait_until(&format!("{} {json_path} = {value}", object.join(" ")), limit, || {
            let found = self.kubectl(&[&["get"], object, &["-o", &output]].concat())?;
            anyhow::ensure!(found == value, "it is {found:?}");
            Ok(true)
        })
    }

    /// Runs helm and gives back its output.
    ///
    /// # Errors
    /// When it fails; the message has what it said.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        exec::output(self.command(self.state.tools.join("helm")).args(arguments))
    }

    fn prepare(&self, command: &mut Command) {
        command.envs(environment::variables(&self.state));
        // Helm keeps nothing in the user's folders.
        for (key, folder) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(key, self.state.folder.join("helm").join(folder));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let tools = [self.state.tools.clone()];
        if let Ok(path) = std::env::join_paths(tools.into_iter().chain(std::env::split_paths(&path))) {
            command.env("PATH", path);
        }
    }
}
