//! `cargo xtask generate`: the files that are made from others and committed. Tests prove them fresh.

use std::process::Command;

use anyhow::{Context, Result};
use millrace_testbed::tools::CARGO_ABOUT;
use millrace_testbed::{Cache, Steps, exec, repository};

/// The notice of everything that the programs link.
pub const NOTICES: &str = "THIRD_PARTY_NOTICES.md";

/// Where the chart holds the definitions: Helm reads no file outside its chart.
const CHART_CRDS: &str = "charts/millrace/files/crds";

pub fn run() -> Result<()> {
    let cache = Cache::open()?;
    let mut steps = Steps::new(4);
    steps.show("custom resource definitions", || {
        let mut cargo = exec::cargo();
        cargo.args(["run", "--quiet", "--locked", "--package", "millrace-crds"]);
        exec::shown_live(cargo.args(["--features", "resource", "--bin", "crdgen"]))
    })?;
    steps.run("their copies in the chart", || {
        for entry in std::fs::read_dir(repository().join("crds/yaml"))? {
            let file = entry?.path();
            std::fs::copy(&file, repository().join(CHART_CRDS).join(file.file_name().context("a file has a name")?))?;
        }
        Ok(())
    })?;
    steps.ensure(&CARGO_ABOUT.title(), || CARGO_ABOUT.ensure(&cache))?;
    steps.run(NOTICES, || Ok(std::fs::write(repository().join(NOTICES), notices(&cache)?)?))
}

fn notices(cache: &Cache) -> Result<String> {
    let mut about = Command::new(CARGO_ABOUT.program(cache));
    // Offline: what a service on the network says of a crate today must not change the file.
    about.current_dir(repository()).args(["generate", "--locked", "--offline", "--fail", "about.hbs"]);
    exec::output(&mut about)
}
