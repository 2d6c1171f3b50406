//! What a measurement on a cluster stands on: the product, a pool of slow replicas, a generator of load.
//!
//! Cluster, load and models share this machine's few processors. So replicas are made slow: a text of 256 tokens is much
//! work, and a limit gives each replica a tenth of a processor. A few requests a second then need several replicas, while
//! the processors are far from busy, and it is replicas that are measured and not the load.

use anyhow::{Context, Result, ensure};
use millrace_testbed::image::Profile;
use millrace_testbed::{ClusterName, Steps, Testbed, exec, repository, wait_until};
use millrace_tests::{Bed, NAMESPACE, Product, Service, edited};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The pool.
pub const POOL: &str = "bench-cpu";
/// Price of one of its replicas and hour.
pub const HOURLY_COST: f64 = 0.1;
/// Of a processor, for a container that names no limit.
const LIMIT: &str = "100m";
const LIMIT_RANGE: &str = "bench";
/// Requests that tell how long one takes, and the seconds between them.
const ALONE: u32 = 12;
const APART: f64 = 1.5;
/// Longest time for a step that takes seconds.
const SOON: Duration = Duration::from_secs(180);

/// A release on a cluster, and the programs that measure.
pub struct Ground {
    pub product: Product,
    /// Folder of the programs.
    programs: PathBuf,
    /// Folder for what is sent and what came of it.
    pub folder: PathBuf,
    /// The text that is sent.
    text: PathBuf,
}

impl Ground {
    /// Starts the cluster if it doesn't run, installs the product, the pool and the limit, and builds the programs.
    pub fn new(name: &ClusterName) -> Result<Self> {
        let mut steps = Steps::new(24);
        let mut testbed = Testbed::up(name, &mut steps)?;
        steps.run("image of operator, gateway and server", || testbed.push_image(Profile::Image).map(drop))?;
        let bed = Bed::of(testbed);
        let product = steps.run("helm install, pools, tenant, key", || Product::install(&bed))?;
        steps.run("a pool without accelerators", || bed.apply(&pool().to_string()).map(drop))?;
        let programs = steps.run("simulator and load generator", programs)?;
        let folder = bed.state.folder.join("bench");
        std::fs::create_dir_all(&folder)?;
        let text = folder.join("text.txt");
        // More than 256 tokens: the model cuts it there.
        std::fs::write(&text, "What a replica does is what its requests ask of it. ".repeat(40))?;
        Ok(Self { product, programs, folder, text })
    }

    /// Gives containers that name no limit a small part of a processor, or takes that back.
    pub fn limit(&self, limited: bool) -> Result<()> {
        let limit = limit_range().to_string();
        let bed = &self.product.bed;
        if limited {
            return bed.apply(&limit).map(drop);
        }
        bed.kubectl(&["-n", NAMESPACE, "delete", "limitrange", LIMIT_RANGE, "--ignore-not-found"]).map(drop)
    }

    /// A service of slow replicas, ready, that has answered.
    pub fn slow_service(&self, name: &str, most: u32, target: &str) -> Result<Service> {
        let changes = [
            ("/metadata/name", json!(name)),
            ("/spec/batching", json!({"maxSize": 1, "maxQueue": 1024})),
            ("/spec/scaling", json!({"minReplicas": 1, "maxReplicas": most})),
            ("/spec/slo/latency", json!({"percentile": 99, "target": target})),
            ("/spec/access/timeout", json!("30s")),
            (
                "/spec/placement",
                json!({"accelerators": ["CPU"], "locations": ["OnPremises"], "regions": ["eu-central"]}),
            ),
        ];
        self.limit(true)?;
        let service = Service::apply(&self.product, &edited("text-embeddings.yaml", &changes)?)?;
        service.wait_ready(SOON)?;
        let text = std::fs::read(&self.text)?;
        wait_until("an answer", SOON, || {
            let answer = service.process(&text)?;
            ensure!(answer.status == 200, "{} {}{}", answer.status, answer.error(), answer.problem);
            Ok(true)
        })?;
        Ok(service)
    }

    /// A program that was built.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(repository());
        command
    }

    /// Load on a service, with more arguments that say how much.
    fn load(&self, service: &Service, arguments: &[&str]) -> Command {
        let call = service.call("/process");
        let mut command = self.program("millrace-bench");
        command.args(["--url", &call.url]).arg("--ca").arg(&call.ca).args(arguments).arg(&self.text);
        command.env("MILLRACE_KEY", call.key.unwrap_or_default());
        command
    }

    /// Seconds that a request takes which is alone, mean: a light load, for which nothing is scaled.
    pub fn alone(&self, service: &Service) -> Result<f64> {
        let times: Vec<String> = (0..ALONE).map(|number| format!("{:.1}\n", f64::from(number) * APART)).collect();
        let schedule = self.folder.join("alone.csv");
        std::fs::write(&schedule, format!("t_s\n{}", times.concat()))?;
        let schedule = schedule.to_str().context("a path in UTF-8")?;
        let (_, requests) = rows(&exec::output(&mut self.load(service, &["--schedule", schedule]))?)?;
        ensure!(requests.iter().all(|(.., status)| *status == 200), "not all were answered: {requests:?}");
        Ok(requests.iter().map(|(_, took, _)| took).sum::<f64>() / requests.len().max(1) as f64)
    }

    /// Sends what a schedule says; rows of what came of it go into `out`.
    pub fn send(&self, service: &Service, schedule: &Path, out: &Path) -> Result<Sending> {
        let schedule = schedule.to_str().context("a path in UTF-8")?;
        let mut load = self.load(service, &["--schedule", schedule]);
        let rows = File::create(out).with_context(|| format!("can't write {}", out.display()))?;
        let child = load.stdin(Stdio::null()).stdout(rows).spawn().context("can't run the load generator")?;
        Ok(Sending(child))
    }
}

/// A load generator that runs; dropping it ends it.
pub struct Sending(Child);

impl Sending {
    /// Waits until all has been sent and answered.
    pub fn wait(mut self) -> Result<()> {
        let status = self.0.wait()?;
        ensure!(status.success(), "the load generator: {status}");
        Ok(())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // One that has ended can't be killed any more.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// When sending began (seconds since 1970), and each request: when, how long, status.
pub type Rows = (f64, Vec<(f64, f64, u16)>);

/// Reads what the load generator wrote.
pub fn rows(text: &str) -> Result<Rows> {
    let mut lines = text.lines();
    let first = lines.next().and_then(|line| line.strip_prefix("start,"));
    let began = first.and_then(|rest| rest.split(',').next()?.parse().ok()).context("it doesn't say when it began")?;
    let row = |line: &str| {
        let mut fields = line.split(',');
        let (at, took, status) = (fields.next(), fields.next(), fields.next());
        let row = at
            .zip(took)
            .zip(status)
            .and_then(|((at, took), status)| Some((at.parse().ok()?, took.parse().ok()?, status.parse().ok()?)));
        row.with_context(|| format!("no row: {line}"))
    };
    Ok((began, lines.map(row).collect::<Result<_>>()?))
}

/// Seconds since 1970.
pub fn epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn pool() -> Value {
    json!({
        "apiVersion": "millrace.dev/v1alpha1", "kind": "AcceleratorPool", "metadata": {"name": POOL},
        "spec": {
            "accelerator": "CPU", "resource": {}, "location": "OnPremises", "region": "eu-central",
            "hourlyCost": {"amount": HOURLY_COST.to_string()},
        },
    })
}

fn limit_range() -> Value {
    json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": LIMIT_RANGE, "namespace": NAMESPACE},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": LIMIT}, "defaultRequest": {"cpu": LIMIT}}]},
    })
}

/// Builds the simulator and the load generator; gives back their folder.
fn programs() -> Result<PathBuf> {
    let mut cargo = exec::cargo();
    cargo.args(["build", "--quiet", "--locked", "--profile", super::PROFILE]);
    exec::output(cargo.args(["--package", "millrace-bench", "--package", "millrace-autoscale"]))?;
    Ok(exec::target_folder()?.join(super::PROFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_with_their_beginning() {
        let (began, requests) = rows("start,1700000000.500,0\n0.1,0.25,200\n0.2,30.0,0\n").unwrap();
        assert_eq!((began, requests), (1_700_000_000.5, vec![(0.1, 0.25, 200), (0.2, 30.0, 0)]));
        assert!(rows("0.1,0.25,200\n").is_err());
        assert!(rows("start,1,0\n0.1,x,200\n").is_err());
    }
}
