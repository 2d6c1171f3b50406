//! Mixed pools, rarely used models, faults.

use super::arguments::Arguments;
use super::{cases, work};
use anyhow::Result;
use millrace_autoscale::case::Case;
use millrace_autoscale::scenario::{self, Line};
use millrace_autoscale::tables::Tables;
use serde_json::json;
use std::fmt::Write;

/// Mixed pools.
pub fn mixed(arguments: &Arguments, all: &[Case], tables: &Tables) -> Result<()> {
    let lines = work::spread(all, arguments.threads, |case| scenario::mixed(case, tables, arguments.asked)).concat();
    write(arguments, all, "Mixed pools", &lines)
}

/// Faults.
pub fn faults(arguments: &Arguments, all: &[Case]) -> Result<()> {
    let lines = work::spread(all, arguments.threads, |case| scenario::faults(case, arguments.asked)).concat();
    write(arguments, all, "Faults", &lines)
}

/// Rarely used models.
pub fn rare(arguments: &Arguments) -> Result<()> {
    let models = arguments.count.unwrap_or(36);
    let runs =
        arguments.start.iter().map(|start| scenario::rarely_used(models, arguments.hours, *start, arguments.seed));
    let lines: Vec<Line> = runs.collect::<Vec<_>>().concat();
    write(arguments, &[], "Rarely used models", &lines)
}

fn write(arguments: &Arguments, all: &[Case], title: &str, lines: &[Line]) -> Result<()> {
    let mut text =
        format!("# {title}\n\nMade by `{}`; simulated. Cost is relative to the law's.\n\n", Arguments::command());
    for note in cases::notes(all) {
        let _ = writeln!(text, "- {note}");
    }
    text.push_str("\n| case | policy | in time | $ | law's $ over it | starts | most held by pool |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    let mut law = f64::NAN;
    for line in lines {
        if line.policy.starts_with("law") {
            law = line.figure.dollars;
        }
        let _ = writeln!(
            text,
            "| {} | {} | {:.3} % | {:.2} | {:.2} | {} | {:?} |",
            line.name,
            line.policy,
            line.figure.attainment * 100.0,
            line.figure.dollars,
            law / line.figure.dollars,
            line.figure.starts,
            line.most
        );
    }
    text.push_str("\n| case | promised | figure | bound | |\n| --- | --- | --- | --- | --- |\n");
    for (line, row) in lines.iter().flat_map(|line| line.rows.iter().map(move |row| (line, row))) {
        let kept = match (row.kept, row.note.as_str()) {
            (true, _) => "kept".to_owned(),
            (false, "") => "missed".to_owned(),
            (false, note) => format!("missed; {note}"),
        };
        let _ = writeln!(text, "| {} | {} | {:.4} | {} | {kept} |", line.name, row.what, row.is, row.bound);
    }
    std::fs::create_dir_all(&arguments.output)?;
    let value = json!({"command": Arguments::command(), "traces": cases::notes(all), "lines": lines});
    std::fs::write(arguments.file("json"), serde_json::to_string(&value)? + "\n")?;
    std::fs::write(arguments.file("md"), &text)?;
    print!("{text}");
    Ok(())
}
