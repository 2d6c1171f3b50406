//! Where the law misses, and what it would take not to.

use crate::cell::{ASKED, Cell, Longer};
use crate::report::{Table, geometric, shown, starts};
use crate::sight::AHEAD;
use std::fmt::Write;

/// As Markdown; nothing if nothing was missed.
#[must_use]
pub fn markdown(table: &Table) -> String {
    let mut lines = String::new();
    for asked in ASKED {
        let mut groups: Vec<(&str, f64)> = Vec::new();
        for cell in table.of(asked).filter(|cell| !cell.reached()) {
            if !groups.contains(&(cell.trace.as_str(), cell.start)) {
                groups.push((cell.trace.as_str(), cell.start));
            }
        }
        groups.sort_by(|a, b| a.0.cmp(b.0).then(a.1.total_cmp(&b.1)));
        for (trace, start) in groups {
            line(&mut lines, table, asked, trace, start);
        }
    }
    if lines.is_empty() {
        return lines;
    }
    format!(
        "\n## Missed, and what it would take\n\n\
         Over the services of a line: the law's share in time and its cost; what those cost that keep the objective and were tuned in\n\
         hindsight, seeing nothing ahead or one start (in brackets: for how many services, if not for all); about what comes late at first\n\
         sight, on top of {AHEAD} times all that was seen a start before; the law's share over more hours of the trace, where it has more,\n\
         the learning at the beginning included (in brackets: how many services keep the objective); and the starts with which the law\n\
         keeps it. Costs are in units of the clairvoyant's.\n\n\
         | asked | trace | start | services | law in time | law | seeing nothing ahead | one start | late at first sight | law over more hours | kept with starts of |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n{lines}"
    )
}

fn line(text: &mut String, table: &Table, asked: f64, trace: &str, start: f64) {
    let missed = table.of(asked).filter(|cell| cell.trace == trace && cell.start == start && !cell.reached());
    let missed: Vec<&Cell> = missed.collect();
    let services: Vec<&str> = missed.iter().map(|cell| cell.service.as_str()).collect();
    let shares = || missed.iter().map(|cell| cell.law.attainment * 100.0);
    let mean = |seen: usize| {
        let keeping: Vec<f64> = missed.iter().filter_map(|cell| cell.ahead(seen)).collect();
        let of = if keeping.len() == missed.len() { String::new() } else { format!(" ({})", keeping.len()) };
        geometric(keeping.into_iter()).map_or("none keeps it".to_owned(), |mean| format!("{mean:.2}{of}"))
    };
    let unseen = missed.iter().filter_map(|cell| cell.unseen).reduce(f64::max);
    let keeps = |start: &f64| {
        let same = |cell: &&Cell| cell.trace == trace && cell.start == *start;
        table.of(asked).filter(same).filter(|cell| services.contains(&cell.service.as_str())).all(Cell::reached)
    };
    let kept = starts(table.of(asked).filter(|cell| cell.trace == trace)).into_iter().filter(keeps);
    let kept: Vec<String> = kept.map(|start| format!("{start} s")).collect();
    let _ = writeln!(
        text,
        "| {asked} % | {trace} | {start} s | {} | {:.3} to {:.3} % | {} | {} | {} | {} | {} | {} |",
        services.join(", "),
        shares().fold(f64::INFINITY, f64::min),
        shares().fold(0.0, f64::max),
        shown(geometric(missed.iter().map(|cell| cell.in_units(&cell.law)))),
        mean(0),
        mean(1),
        unseen.map_or("-".to_owned(), |late| format!("{:.3} %", late * 100.0)),
        later(&missed),
        if kept.is_empty() { "-".to_owned() } else { kept.join(", ") },
    );
}

/// The law's share over more hours.
fn later(missed: &[&Cell]) -> String {
    let longer: Vec<Longer> = missed.iter().filter_map(|cell| cell.longer).collect();
    let Some(hours) = longer.first().map(|longer| longer.hours) else { return "-".to_owned() };
    let shares = || longer.iter().map(|longer| longer.attainment * 100.0);
    let keep = missed.iter().filter(|cell| cell.reached_later()).count();
    let (least, most) = (shares().fold(f64::INFINITY, f64::min), shares().fold(0.0, f64::max));
    format!("{least:.3} to {most:.3} % in {hours:.0} h ({keep} of {})", missed.len())
}
