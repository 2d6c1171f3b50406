//! What may be linked: licences, bans, sources, and known vulnerabilities where their database can be reached.

use std::process::Command;

use anyhow::{Result, bail};
use millrace_testbed::tools::CARGO_DENY;
use millrace_testbed::{Cache, Steps, exec, repository};

/// How many steps [`check`] has.
pub const STEPS: usize = 2;

pub fn check(cache: &Cache, steps: &mut Steps) -> Result<()> {
    steps.run("licences, bans and sources", || {
        exec::output(deny(cache).args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))
    })?;
    steps.run("advisories", || {
        let Err(error) = exec::output(deny(cache).args(["fetch", "db"])) else {
            return exec::output(deny(cache).args(["check", "--disable-fetch", "advisories"])).map(|_| ());
        };
        if std::env::var_os("MILLRACE_REQUIRE_ADVISORIES").is_some() {
            bail!("the database of advisories can't be reached: {error:#}");
        }
        eprint!("NOT CHECKED, their database can't be reached ... ");
        Ok(())
    })
}

fn deny(cache: &Cache) -> Command {
    let mut command = Command::new(CARGO_DENY.program(cache));
    command.current_dir(repository()).args(["--log-level", "error"]);
    command
}
