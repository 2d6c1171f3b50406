//! The Python clients and references, in the environment that the testbed made.

use crate::Bed;
use anyhow::{Context, Result};
use millrace_testbed::{exec, repository};
use serde_json::Value;
use std::process::Command;

/// Runs `tests/python/SCRIPT` and reads the JSON that it prints.
///
/// # Errors
/// What the script said on standard error.
pub fn python(bed: &Bed, script: &str, arguments: &[&str]) -> Result<Value> {
    let path = repository().join("tests/python").join(script);
    let mut command = Command::new(&bed.state.python);
    // Without these, clients would look for a proxy, or a cache in the home folder.
    command.env_remove("http_proxy").env_remove("https_proxy").env("NO_PROXY", "*");
    let output = exec::output(command.arg(path).args(arguments))?;
    serde_json::from_str(&output).with_context(|| format!("{script} printed no JSON but {output:?}"))
}
