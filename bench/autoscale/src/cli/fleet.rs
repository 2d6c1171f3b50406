//! Time and memory of one pass.

use super::arguments::Arguments;
use anyhow::Result;
use millrace_autoscale::fleet::measure;
use serde_json::json;

/// Seconds in which it decides.
const SECONDS: u32 = 60;
/// What is promised for 10,000 services: milliseconds of a pass, MiB, part of a core beside it.
const PASS_MS: f64 = 200.0;
const MEMORY_MIB: f64 = 64.0;
const CORES: f64 = 0.5;

/// Measures, prints and writes.
pub fn run(arguments: &Arguments) -> Result<()> {
    let figures = measure(arguments.count.unwrap_or(10_000), SECONDS)?;
    let rows = [
        ("pass_ms", figures.pass.mean, PASS_MS),
        ("memory_mib", figures.memory_mib, MEMORY_MIB),
        ("rehearse_cores", figures.rehearse_cores, CORES),
    ];
    let rows: Vec<_> =
        rows.iter().map(|(row, is, most)| json!({"row": row, "is": is, "most": most, "kept": is <= most})).collect();
    println!("{}", serde_json::to_string_pretty(&json!({"figures": figures, "rows": rows}))?);
    std::fs::create_dir_all(&arguments.output)?;
    let value = json!({"command": Arguments::command(), "figures": figures, "rows": rows});
    std::fs::write(arguments.file("json"), serde_json::to_string_pretty(&value)? + "\n")?;
    Ok(())
}
