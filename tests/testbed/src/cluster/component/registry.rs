//! The OCI registry from which the nodes pull.

use std::fs;

use anyhow::Result;

use super::Site;
use crate::cluster::process::Program;

/// The port, also on the namespace's loopback address.
pub const PORT: u16 = 5000;

/// The registry, over plain HTTP.
///
/// # Errors
/// When its configuration can't be written.
pub fn registry(site: Site<'_>) -> Result<Program> {
    let file = site.folder("registry.yaml");
    let text = format!(
        "version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {folder}}}
  delete: {{enabled: true}}
http: {{addr: \":{PORT}\"}}
",
        folder = site.folder("registry"),
    );
    fs::write(&file, text)?;
    let program = Program::new("registry", &site.tools.registry.join("registry"), ["serve".to_owned(), file]);
    // It would look for a collector of traces otherwise.
    Ok(program.with_env("OTEL_TRACES_EXPORTER", "none"))
}
