//! Time and memory of one pass.

use super::arguments::Arguments;
use anyhow::Result;
use millrace_autoscale::fleet::measure;
use serde_json::json;

/// Seconds in which it decides.
const SECONDS: u32 = 60;

/// Measures, prints and writes.
pub fn run(arguments: &Arguments) -> Result<()> {
    let figures = measure(arguments.count.unwrap_or(10_000), SECONDS)?;
    println!(
        "{} services: decide {:.0} ms (worst {:.0}), signals and profiles {:.0} ms, reports of four gateways {:.0} ms; state {:.0} MiB, fleet {:.0} MiB; a rehearsal {:.2} ms, all in the background {:.2} cores",
        figures.services,
        figures.decide_ms,
        figures.decide_worst_ms,
        figures.inform_ms,
        figures.hear_ms,
        figures.state_mib,
        figures.fleet_mib,
        figures.rehearse_ms,
        figures.rehearse_cores
    );
    std::fs::create_dir_all(&arguments.output)?;
    let value = json!({"command": Arguments::command(), "figures": figures});
    std::fs::write(arguments.file("json"), serde_json::to_string_pretty(&value)? + "\n")?;
    Ok(())
}
