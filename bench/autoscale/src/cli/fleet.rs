//! Time and memory of one pass.

use super::arguments::Arguments;
use anyhow::Result;
use millrace_autoscale::fleet::measure;
use serde_json::json;

/// Seconds of traffic: enough that windows are full.
const SECONDS: u32 = 330;

/// Measures, prints and writes.
pub fn run(arguments: &Arguments) -> Result<()> {
    let figures = measure(arguments.count.unwrap_or(10_000), SECONDS)?;
    println!(
        "{} services: decide {:.0} ms (worst {:.0}), signals and profiles {:.0} ms, reports of four gateways {:.0} ms; state {:.0} MiB, fleet {:.0} MiB",
        figures.services,
        figures.decide_ms,
        figures.decide_worst_ms,
        figures.inform_ms,
        figures.hear_ms,
        figures.state_mib,
        figures.fleet_mib
    );
    std::fs::create_dir_all(&arguments.output)?;
    let value = json!({"command": Arguments::command(), "figures": figures});
    std::fs::write(arguments.file("json"), serde_json::to_string_pretty(&value)? + "\n")?;
    Ok(())
}
