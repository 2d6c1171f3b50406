//! The tests on a real cluster: it is started for them, and taken down whatever comes of them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use millrace_testbed::{Cache, ClusterName, Steps, Testbed, cluster, exec};

pub fn run(cache: &Cache, steps: &mut Steps) -> Result<()> {
    let name: ClusterName = "test".parse()?;
    // Tests expect a cluster that nobody has used.
    steps.add(5);
    steps.run("removal of an older test cluster", || cluster::down(cache, &name))?;
    let outcome = on_cluster(&name, steps);
    let removed = steps.run("removal of the cluster", || cluster::down(cache, &name));
    // What the tests say counts first.
    outcome.and(removed)
}

fn on_cluster(name: &ClusterName, steps: &mut Steps) -> Result<()> {
    let mut testbed = Testbed::up(name, steps)?;
    let repository = format!("{}/millrace", testbed.state().registry.host);
    steps.show("cargo xtask image --push", || testbed.take_image(&push(&repository)?))?;
    let test = |target: &str| {
        let mut test = exec::cargo();
        test.args(["test", "--package", "millrace-tests", "--locked", "--test", target]);
        test.args(["--", "--test-threads=1", "--show-output"]);
        exec::shown_live(test.env("MILLRACE_TESTBED", testbed.state().file()))
    };
    steps.show("end-to-end tests", || test("e2e"))?;
    steps.show("rights that those tests used", || test("rights"))
}

/// This program, also when its file was replaced since it began: building the workspace for the tests before these does
/// that, and `current_exe` then names a file that is gone.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Builds and pushes the image as README tells users of their own clusters to, but for the quicker build, and gives back the
/// name that it prints.
fn push(repository: &str) -> Result<String> {
    let mut image = Command::new(THIS_PROGRAM);
    image
        .args(["image", "--push", repository, "--plain-http", "--profile", "image"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = image.output().context("can't run this program again")?;
    ensure!(output.status.success(), "cargo xtask image --push {repository}: {}", output.status);
    let printed = String::from_utf8_lossy(&output.stdout);
    Ok(printed.lines().last().context("it prints the image's name")?.to_owned())
}
