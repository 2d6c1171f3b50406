//! Resident memory of the server, beside that of the bare engine loop.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_testbed::{Cache, Steps, exec, repository, tools, wait_until};
use serde_json::{Value, json};

/// Requests before the memory is read, and runs of the bare loop.
const REQUESTS: u32 = 500;
const ADDRESS: &str = "127.0.0.1:18000";
const HEALTH: &str = "127.0.0.1:18081";

/// Measures both, and writes `bench/results/memory.json`.
pub fn run() -> Result<()> {
    let cache = Cache::open()?;
    let mut steps = Steps::new(3);
    let ort = tools::ensure_ort(&cache, &mut steps)?;
    let build = steps.run("server and bare loop", programs)?;
    let model = tools::magika(&ort.python)?;
    let model = model.to_str().context("a path in UTF-8")?;
    let bare = exec::output(Command::new(build.join("examples/bare_loop")).arg(&ort.library).args([
        model,
        "bytes",
        "2048",
        "1",
        &REQUESTS.to_string(),
    ]))?;
    let bare: Value = serde_json::from_str(&bare)?;
    let server = served(&build, &ort.library, model)?;
    let kibibytes = |value: &Value| value["resident_kib"].as_f64().context("a figure");
    let beyond = (kibibytes(&server)? - kibibytes(&bare)?) / 1024.0;
    let result = json!({
        "command": "cargo xtask bench memory",
        "model": "Magika standard_v3_3, one thread, one row a request",
        "requests": REQUESTS,
        "bare_engine_loop": bare,
        "server": server,
        "beyond_mib": beyond,
    });
    let file = repository().join("bench/results/memory.json");
    std::fs::create_dir_all(file.parent().context("a file has a folder")?)?;
    std::fs::write(&file, serde_json::to_string_pretty(&result)? + "\n")?;
    println!("server beyond the bare engine loop: {beyond:.1} MiB (raw figures in bench/results/memory.json)");
    Ok(())
}

/// Builds what is measured; gives back the folder of the programs.
fn programs() -> Result<PathBuf> {
    let mut cargo = exec::cargo();
    cargo.args(["build", "--quiet", "--locked", "--profile", "image", "--package", "millrace-server"]);
    exec::shown_live(cargo.args(["--bin", "millrace-server", "--example", "bare_loop"]))?;
    Ok(exec::target_folder()?.join("image"))
}

/// Serves the model, sends the requests, and reads the server's resident memory.
fn served(build: &Path, library: &Path, model: &str) -> Result<Value> {
    let log = build.join("bench-server.log");
    let output = File::create(&log)?;
    let server = Command::new(build.join("millrace-server"))
        .current_dir(repository())
        .args(["serve", "--manifest", "examples/magika.yaml", "--model-file", model, "--address", ADDRESS])
        .args(["--grpc-address", "", "--health-address", HEALTH])
        .arg("--ort-library")
        .arg(library)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("can't run the server")?;
    let mut server = Ends(server);
    let curl = |arguments: &[&str]| {
        exec::output(Command::new("curl").args(["--silent", "--fail", "--noproxy", "*"]).args(arguments))
    };
    wait_until("a ready server", Duration::from_secs(30), || curl(&[&format!("http://{HEALTH}/readyz")]).map(|_| true))
        .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    let url = format!("http://{ADDRESS}/process#[1-{REQUESTS}]");
    let answers = curl(&["--data-binary", "@README.md", &url])?;
    ensure!(answers.matches("\"label\"").count() == REQUESTS as usize, "not every request was answered: {answers}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.0.id()))?;
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel tells the memory")?;
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse()?;
    server.0.kill()?;
    Ok(json!({"resident_kib": kibibytes}))
}

/// A program that ends with its owner.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to end.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
