//! Recorded decisions, made again.

use anyhow::{Context, Result};
use millrace_scaler::{Difference, Record};
use std::io::BufRead;

/// What came of a replay.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Passes over the fleet.
    pub passes: usize,
    /// Decisions in them.
    pub decisions: usize,
    /// Those that come out differently.
    pub differences: Vec<Difference>,
}

/// Reads lines of JSON, one [`Record`] each, and decides again.
///
/// # Errors
/// If a line is no record.
pub fn replay(lines: impl BufRead) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    for (index, line) in lines.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let record: Record = serde_json::from_str(&line).with_context(|| format!("line {} is no record", index + 1))?;
        replayed.passes += 1;
        replayed.decisions += record.decisions.len();
        replayed.differences.extend(record.replay());
    }
    Ok(replayed)
}
