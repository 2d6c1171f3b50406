//! The tests on a real cluster: it is started for them, and taken down whatever comes of them.

use anyhow::Result;
use millrace_testbed::image::Profile;
use millrace_testbed::{Cache, ClusterName, Steps, Testbed, cluster, exec};

pub fn run(cache: &Cache, steps: &mut Steps) -> Result<()> {
    let name: ClusterName = "test".parse()?;
    // Tests expect a cluster that nobody has used.
    steps.add(4);
    steps.run("removal of an older test cluster", || cluster::down(cache, &name))?;
    let outcome = on_cluster(&name, steps);
    let removed = steps.run("removal of the cluster", || cluster::down(cache, &name));
    // What the tests say counts first.
    outcome.and(removed)
}

fn on_cluster(name: &ClusterName, steps: &mut Steps) -> Result<()> {
    let mut testbed = Testbed::up(name, steps)?;
    steps.show("image", || testbed.push_image(Profile::Image).and_then(|reference| testbed.preload(&reference)))?;
    steps.show("end-to-end tests", || {
        let mut test = exec::cargo();
        test.args(["test", "--package", "millrace-tests", "--locked", "--", "--test-threads=1", "--show-output"]);
        exec::shown_live(test.env("MILLRACE_TESTBED", testbed.state().file()))
    })
}
