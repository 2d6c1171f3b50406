//! `cargo xtask test`

mod dependencies;
mod end_to_end;
mod notice;

use anyhow::Result;
use clap::ValueEnum;
use millrace_testbed::tools::{self, CARGO_DENY};
use millrace_testbed::{Cache, Steps, exec, image};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Everything
    All,
    /// What needs no cluster: format, lints, dependencies, generated files, unit and in-process tests
    Quick,
    /// Unit and in-process tests alone
    Unit,
    /// End-to-end tests alone, on a real cluster
    E2e,
}

pub fn run(what: What) -> Result<()> {
    let cache = Cache::open()?;
    let mut steps = Steps::new(0);
    if matches!(what, What::All | What::Quick) {
        steps.add(4 + dependencies::STEPS + 1);
        steps.show("format", || cargo(&["fmt", "--all", "--", "--check"]))?;
        steps.show("clippy", || {
            cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"])
        })?;
        // A workspace of their own, that nothing else compiles.
        steps.show("fuzz targets compile", || {
            cargo(&["check", "--manifest-path", "fuzz/Cargo.toml", "--locked", "--quiet"])
        })?;
        steps.ensure(&CARGO_DENY.title(), || CARGO_DENY.ensure(&cache))?;
        dependencies::check(&cache, &mut steps)?;
        steps.run("third-party notice is fresh", notice::is_fresh)?;
    }
    if what != What::E2e {
        steps.add(5);
        let ort = tools::ensure_ort(&cache, &mut steps)?;
        let models = tools::ensure_models(&cache, &mut steps)?;
        // Its test says that it isn't run where it can't be had.
        let perf_analyzer = tools::ensure_perf_analyzer(&cache, &mut steps);
        steps.show("unit, golden, property and in-process tests", || {
            let mut test = exec::cargo();
            test.args(["test", "--workspace", "--exclude", "millrace-tests", "--locked", "--quiet"]);
            test.env("MILLRACE_ORT_LIBRARY", &ort.library);
            test.env("MILLRACE_MAGIKA_MODEL", tools::magika(&ort.python)?);
            test.env("MILLRACE_PYTHON", &ort.python).env("MILLRACE_MODELS", &models.folder);
            match &perf_analyzer {
                Ok(found) => drop(test.env("MILLRACE_PERF_ANALYZER", found.program())),
                Err(error) => eprintln!("without perf_analyzer: {error:#}"),
            }
            exec::shown_live(&mut test)
        })?;
    }
    if matches!(what, What::All | What::E2e) {
        end_to_end::run(&cache, &mut steps)?;
        steps.add(2);
        let gpu = tools::ensure_gpu(&cache, &mut steps)?;
        // As far as the image for GPUs can be checked without one.
        steps.run("libraries of the image for GPUs resolve", || image::resolve(&gpu.ort(), &gpu.nvidia(), false))?;
    }
    eprintln!("all passed");
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    exec::shown_live(exec::cargo().args(arguments))
}
