//! `cargo xtask demo`: from nothing to a served, scaled, sleeping and woken model, with the figures.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use millrace_testbed::image::Profile;
use millrace_testbed::{ClusterName, Steps, Testbed, exec, wait_until};
use millrace_tests::{Bed, Product, SYSTEM_NAMESPACE, Service, edited, files, resident_mebibytes};

/// What the demo asks.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the cluster
    #[arg(long, default_value = "millrace")]
    name: ClusterName,
}

/// Longest time for a step that takes seconds.
const SOON: Duration = Duration::from_secs(120);
/// Longest time until an idle service is at zero: idleAfter, hysteresis, and the end of its pods.
const QUIET: Duration = Duration::from_secs(240);

/// Runs the demo and leaves the cluster running.
pub fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::new(26);
    let mut testbed = Testbed::up(&options.name, &mut steps)?;
    steps.run("image of operator, gateway and server", || testbed.push_image(Profile::Image).map(drop))?;
    let bed = Bed::of(testbed);
    let product = steps.run("helm install, pools, tenant, key", || Product::install(&bed))?;
    let applied = Instant::now();
    let service = Service::apply(&product, &edited("magika.yaml", &[])?)?;
    steps.run("first answer", || first_answer(&service))?;
    let figures = [
        ("helm install to first answer", product.installed.elapsed()),
        ("kubectl apply to first answer", applied.elapsed()),
    ];
    answers(&service)?;
    for (what, took) in figures {
        println!("{what}: {:.1} s", took.as_secs_f64());
    }
    at_rest(&bed)?;
    steps.run("load until replicas run on both pools", || load(&service))?;
    steps.run("silence until no replica is left", || {
        wait_until("zero replicas", QUIET, || Ok(service.pods()?.is_empty()))
    })?;
    let woken = Instant::now();
    let answer = steps.run("a call wakes it", || service.process(b"#!/bin/sh\necho woken\n"))?;
    ensure!(answer.status == 200, "the call that wakes was answered {}: {}", answer.status, answer.error());
    println!("first answer from zero: {:.2} s ({})", woken.elapsed().as_secs_f64(), answer.json());
    farewell(&product, &service, &options.name)
}

/// Calls until the service answers.
fn first_answer(service: &Service) -> Result<()> {
    wait_until("the first answer", SOON, || {
        let answer = service.process(b"fn main() { println!(\"hello\"); }\n")?;
        ensure!(answer.status == 200, "{} {}{}", answer.status, answer.error(), answer.problem);
        Ok(true)
    })
}

/// Sends real files and prints what they are, with the latencies of the calls.
fn answers(service: &Service) -> Result<()> {
    let mut latencies = Vec::new();
    println!("\n{:>8}  {:16} score", "ms", "type");
    for (number, path) in files::corpus(&service.product.bed)?.iter().enumerate().take(60) {
        let answer = service.process(&std::fs::read(path)?)?;
        ensure!(answer.status == 200, "{}: {} {}", path.display(), answer.status, answer.error());
        latencies.push(answer.took);
        if number % 5 == 0 {
            let (milliseconds, json) = (answer.took.as_secs_f64() * 1e3, answer.json());
            let label = json["label"].as_str().unwrap_or_default();
            println!("{milliseconds:8.1}  {label:16} {:.4}  {}", json["score"].as_f64().unwrap_or(0.0), path.display());
        }
    }
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "\n{} files, each by a new TLS connection: p50 {:.1} ms, p99 {:.1} ms",
        latencies.len(),
        at(0.5),
        at(0.99)
    );
    Ok(())
}

/// Prints what operator and gateway take at rest.
fn at_rest(bed: &Bed) -> Result<()> {
    for component in ["operator", "gateway"] {
        let selector = format!("app.kubernetes.io/component={component}");
        for pod in bed.list(&["-n", SYSTEM_NAMESPACE, "pods", "-l", &selector])? {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
            if let Some(mebibytes) = resident_mebibytes(&format!("millrace-{component}"), uid) {
                println!("{component}: {mebibytes:.0} MiB resident at rest");
            }
        }
    }
    Ok(())
}

/// Sends load until both pools have ready replicas.
fn load(service: &Service) -> Result<()> {
    let call = service.call("/process");
    let files = files::corpus(&service.product.bed)?;
    let mut generator = exec::cargo()
        .args(["run", "--quiet", "--package", "millrace-bench", "--", "--clients", "32", "--seconds", "180"])
        .args(["--url", &call.url])
        .arg("--ca")
        .arg(&call.ca)
        .args(files.iter().take(40))
        .env("MILLRACE_KEY", call.key.as_deref().unwrap_or_default())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("can't run the load generator")?;
    let grown = wait_until("replicas on both pools", Duration::from_secs(170), || {
        Ok(service.desired("l40s-onprem")? > 0 && service.desired("h100-cloud")? > 0)
    });
    let pools = service.get()?["status"]["pools"].clone();
    // By its group's first process: cargo replaces itself by the program, so this id is the generator's.
    generator.kill()?;
    generator.wait()?;
    println!("\nreplicas by pool: {pools}");
    grown
}

/// How to go on, and how to end.
fn farewell(product: &Product, service: &Service, name: &ClusterName) -> Result<()> {
    let status = service.get()?["status"]["url"].as_str().unwrap_or_default().to_owned();
    let key = product.bed.state.folder.join("key");
    std::fs::write(&key, &product.key)?;
    exec::output(Command::new("chmod").arg("600").arg(&key))?;
    println!(
        "\nIt runs on. To use it:\n  eval \"$(cargo xtask cluster env --name {name})\"\n  kubectl get infs -A\n  \
         curl --cacert {} -H \"Authorization: Bearer $(cat {})\" --data-binary @README.md {status}/process\n\
         To end it, with nothing left behind:\n  cargo xtask cluster down --name {name}",
        product.ca.display(),
        key.display(),
    );
    Ok(())
}
