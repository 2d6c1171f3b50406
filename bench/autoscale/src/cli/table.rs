//! The table.

use super::arguments::Arguments;
use super::{cases, work};
use anyhow::{Context, Result, ensure};
use millrace_autoscale::case::Case;
use millrace_autoscale::cell::{self, ASKED, Cell, Figure, Longer, cells};
use millrace_autoscale::report::Table;
use millrace_autoscale::rival::{self, Rival};
use millrace_autoscale::search::Searched;
use serde_json::Value;
use std::path::PathBuf;

/// Before the notes of traces over more hours.
const MORE: &str = "over more hours: ";

/// Runs all cases, and writes Markdown and JSON. `longer` are the same of more hours, for where the law misses.
pub fn run(arguments: &Arguments, all: &[Case], longer: &[Case]) -> Result<()> {
    let grid = rival::grid();
    eprintln!("{} cases, {} settings of rivals", all.len(), grid.len());
    let results: Vec<(Vec<Cell>, Searched)> =
        work::spread(all, arguments.threads, |case| cells(case, &grid, arguments.by_events(case)));
    let (cells, searched): (Vec<Vec<Cell>>, Vec<Searched>) = results.into_iter().unzip();
    let (notes, command) = (cases::notes(all), Arguments::command());
    let mut table = Table { cells: cells.concat(), searched, notes, command };
    go_on(arguments, &mut table, longer);
    write(arguments, &table)
}

/// Runs the law anew on each case of tables that were made before, and those rivals whose settings have changed since; the
/// others and the bounds stand.
pub fn again(arguments: &Arguments, all: &[Case], longer: &[Case]) -> Result<()> {
    let mut table = read(&arguments.known, String::new())?;
    // How the law was run before tells nothing of this table.
    let before = table.command.split("; ").filter(|command| !command.contains(" --known "));
    table.command = std::iter::once(&*Arguments::command()).chain(before).collect::<Vec<_>>().join("; ");
    rivals(arguments, &mut table, all)?;
    let law = |case: &Case| ASKED.map(|asked| cell::law(case, asked, arguments.by_events(case)));
    let laws = work::spread(all, arguments.threads, law);
    for cell in &mut table.cells {
        let case = place(all, cell)?;
        let (law, requests) = &laws[case][objective(cell)?];
        let same = (requests / cell.requests - 1.0).abs() < 1e-4;
        ensure!(same, "{}: {requests} requests, the table knows of {}", cell.trace, cell.requests);
        (cell.law, cell.unseen, cell.longer) = (law.clone(), Some(all[case].unseen()), None);
    }
    go_on(arguments, &mut table, longer);
    write(arguments, &table)
}

/// Tries those families of rivals anew whose settings aren't those of the table.
fn rivals(arguments: &Arguments, table: &mut Table, all: &[Case]) -> Result<()> {
    let grid = rival::grid();
    for family in 0..rival::NAMES.len() {
        let of = |known: &Rival| known.family() == family;
        let known = table.searched.first().into_iter().flatten().map(|(rival, ..)| *rival).filter(of);
        if known.eq(grid.iter().copied().filter(of)) {
            continue;
        }
        eprintln!("{}: tried with other settings before", rival::NAMES[family]);
        let tried =
            work::spread(all, arguments.threads, |case| cell::rival(case, family, &grid, arguments.by_events(case)));
        for (cells, searched) in table.cells.chunks_mut(ASKED.len()).zip(&mut table.searched) {
            let (best, anew) = &tried[place(all, &cells[0])?];
            searched.retain(|(rival, ..)| !of(rival));
            searched.extend(anew);
            for cell in cells {
                cell.rivals[family] = best[objective(cell)?].clone();
            }
        }
    }
    Ok(())
}

/// Where the case of a cell is.
fn place(all: &[Case], cell: &Cell) -> Result<usize> {
    all.iter().position(|case| is(case, cell)).with_context(|| {
        let Cell { trace, service, start, .. } = cell;
        format!(
            "{trace} {service} {start} s is known, but not among the cases: give the arguments that it was made with"
        )
    })
}

/// Which of those asked for a cell is about.
fn objective(cell: &Cell) -> Result<usize> {
    ASKED.iter().position(|asked| *asked == cell.asked).context("an objective of another table")
}

fn is(case: &Case, cell: &Cell) -> bool {
    case.trace.name == cell.trace && case.model.name == cell.service && case.start.mean == cell.start
}

/// Runs the law over more hours where it misses.
fn go_on(arguments: &Arguments, table: &mut Table, longer: &[Case]) {
    let more = |cell: &Cell| longer.iter().find(|case| is(case, cell) && case.hours() > 1.1 * cell.span_hours);
    let missed = table.cells.iter_mut().filter(|cell| !cell.reached());
    let missed: Vec<(&Case, &mut Cell)> = missed.filter_map(|cell| Some((more(cell)?, cell))).collect();
    let runs: Vec<(&Case, f64, bool)> = missed.iter().map(|(case, cell)| (*case, cell.asked, cell.events)).collect();
    let law = |(case, asked, events): &(&Case, f64, bool)| cell::law(case, *asked, *events).0;
    let figures = work::spread(&runs, arguments.threads, law);
    let used: Vec<Case> = runs.iter().map(|(case, ..)| (*case).clone()).collect();
    table.notes.retain(|note| !note.starts_with(MORE));
    table.notes.extend(cases::notes(&used).into_iter().map(|note| format!("{MORE}{note}")));
    for ((case, cell), Figure { attainment, dollars, .. }) in missed.into_iter().zip(figures) {
        cell.longer = Some(Longer { hours: case.hours(), attainment, dollars });
    }
}

/// Makes one table of several.
pub fn join(arguments: &Arguments) -> Result<()> {
    write(arguments, &read(&arguments.join, String::new())?)
}

fn read(files: &[PathBuf], command: String) -> Result<Table> {
    let read = |path: &PathBuf| -> Result<Value> {
        let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
    };
    let parts: Result<Vec<Value>> = files.iter().map(read).collect();
    Table::join(&parts?, command)
}

fn write(arguments: &Arguments, table: &Table) -> Result<()> {
    std::fs::create_dir_all(&arguments.output)?;
    std::fs::write(arguments.file("json"), serde_json::to_string(&table.json())? + "\n")?;
    std::fs::write(arguments.file("md"), table.markdown())?;
    println!("{}", arguments.file("md").display());
    Ok(())
}
