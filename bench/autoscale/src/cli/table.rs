//! The table.

use super::arguments::Arguments;
use super::{cases, work};
use anyhow::{Context, Result};
use millrace_autoscale::case::Case;
use millrace_autoscale::cell::{Cell, cells};
use millrace_autoscale::report::Table;
use millrace_autoscale::rival;
use millrace_autoscale::search::Searched;
use serde_json::Value;
use std::path::PathBuf;

/// Runs all cases, and writes Markdown and JSON.
pub fn run(arguments: &Arguments, all: &[Case]) -> Result<()> {
    let grid = rival::grid();
    eprintln!("{} cases, {} settings of rivals", all.len(), grid.len());
    let results: Vec<(Vec<Cell>, Searched)> =
        work::spread(all, arguments.threads, |case| cells(case, &grid, case.trace.total() <= arguments.events_up_to));
    let (cells, searched): (Vec<Vec<Cell>>, Vec<Searched>) = results.into_iter().unzip();
    let (notes, command) = (cases::notes(all), Arguments::command());
    write(arguments, &Table { cells: cells.concat(), searched, notes, command })
}

/// Makes one table of several.
pub fn join(arguments: &Arguments) -> Result<()> {
    let read = |path: &PathBuf| -> Result<Value> {
        let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
    };
    let parts: Result<Vec<Value>> = arguments.join.iter().map(read).collect();
    write(arguments, &Table::join(&parts?, String::new())?)
}

fn write(arguments: &Arguments, table: &Table) -> Result<()> {
    std::fs::create_dir_all(&arguments.output)?;
    std::fs::write(arguments.file("json"), serde_json::to_string(&table.json())? + "\n")?;
    std::fs::write(arguments.file("md"), table.markdown())?;
    println!("{}", arguments.file("md").display());
    Ok(())
}
