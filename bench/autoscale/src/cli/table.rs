//! The table.

use super::arguments::Arguments;
use super::{cases, work};
use anyhow::Result;
use millrace_autoscale::case::Case;
use millrace_autoscale::cell::{Cell, Searched, cells};
use millrace_autoscale::report::Table;
use millrace_autoscale::rival;

/// Runs all cases, and writes Markdown and JSON.
pub fn run(arguments: &Arguments, all: &[Case]) -> Result<()> {
    let grid = rival::grid();
    eprintln!("{} cases, {} settings of rivals", all.len(), grid.len());
    let results: Vec<(Vec<Cell>, Searched)> =
        work::spread(all, arguments.threads, |case| cells(case, &grid, case.trace.total() <= arguments.events_up_to));
    let (cells, searched): (Vec<Vec<Cell>>, Vec<Searched>) = results.into_iter().unzip();
    let (notes, command) = (cases::notes(all), Arguments::command());
    let table = Table { cells: cells.concat(), searched, notes, command };
    std::fs::create_dir_all(&arguments.output)?;
    std::fs::write(arguments.file("json"), serde_json::to_string(&table.json())? + "\n")?;
    std::fs::write(arguments.file("md"), table.markdown())?;
    println!("{}", arguments.file("md").display());
    Ok(())
}
