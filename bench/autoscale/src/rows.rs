//! The table in a few rows: what was asked of the law, and what it gave.

use crate::cell::{ASKED, Cell};
use crate::report::{Table, geometric, shown};
use crate::rival::NAMES;
use crate::trace::Kind;
use std::fmt::Write;

/// Times the best rival tuned in hindsight: on each diurnal trace, on each bursty one, and over all.
const TUNED: (f64, f64, f64) = (1.05, 1.1, 0.95);
/// Times each rival with one configuration: diurnal, bursty.
const FIXED: [(Kind, f64); 2] = [(Kind::Diurnal, 0.85), (Kind::Bursty, 0.55)];
/// Times the clairvoyant: kind, start, asked.
const CLAIRVOYANT: [(Kind, f64, f64, f64); 10] = [
    (Kind::Diurnal, 5.0, 99.0, 1.15),
    (Kind::Diurnal, 5.0, 99.9, 1.15),
    (Kind::Diurnal, 15.0, 99.0, 1.15),
    (Kind::Diurnal, 15.0, 99.9, 1.15),
    (Kind::Diurnal, 60.0, 99.0, 1.25),
    (Kind::Diurnal, 60.0, 99.9, 1.4),
    (Kind::Bursty, 5.0, 99.0, 1.5),
    (Kind::Bursty, 5.0, 99.9, 1.5),
    (Kind::Bursty, 15.0, 99.0, 1.5),
    (Kind::Bursty, 15.0, 99.9, 1.5),
];
/// From starts of so many seconds on: times the best rival with one configuration.
const SLOW: (f64, f64) = (300.0, 1.05);

/// The rows as Markdown.
#[must_use]
pub fn markdown(table: &Table) -> String {
    let mut text =
        "\n## What was asked of the law\n\n| row | asked | found | kept |\n| --- | --- | --- | --- |\n".to_owned();
    reached(table, &mut text);
    tuned(table, &mut text);
    fixed(table, &mut text);
    clairvoyant(table, &mut text);
    slow(table, &mut text);
    text.push_str("\nMeans are geometric. *Out of reach*: no schedule that sees nothing ahead keeps the objective, even tuned in hindsight. *At first\nsight*: by an estimate, none that is ready for at most twice the highest load of all that came a start before.\n");
    text
}

fn row(text: &mut String, name: &str, bound: Option<f64>, found: Option<f64>, more: &str) {
    let kept = bound.zip(found).map_or("-", |(bound, found)| if found <= bound { "yes" } else { "no" });
    let _ = writeln!(text, "| {name} | {} | {}{more} | {kept} |", shown(bound), shown(found));
}

fn reached(table: &Table, text: &mut String) {
    for asked in ASKED {
        let (kept, missed): (Vec<&Cell>, Vec<&Cell>) = table.of(asked).partition(|cell| cell.reached());
        let of = kept.len() + missed.len();
        let (rest, beyond): (Vec<&Cell>, Vec<&Cell>) = missed.into_iter().partition(|cell| cell.ahead(0).is_some());
        let unseen = rest.iter().filter(|cell| cell.is_unseen()).count();
        let later = beyond.iter().chain(&rest).filter(|cell| cell.reached_later()).count();
        let later = if later > 0 { format!("; {later} of those not kept are over more hours") } else { String::new() };
        let _ = writeln!(
            text,
            "| in time, {asked} % | each | {} of {of}; {} out of reach; {unseen} at first sight; {} missed{later} | {} |",
            kept.len(),
            beyond.len(),
            rest.len() - unseen,
            if rest.is_empty() { "yes" } else { "no" }
        );
    }
}

fn tuned(table: &Table, text: &mut String) {
    let ratio = |cell: &&Cell| cell.law.dollars / cell.best().1.figure.dollars;
    let mut traces: Vec<(&str, Kind)> = Vec::new();
    for cell in &table.cells {
        if !traces.iter().any(|(name, _)| *name == cell.trace) {
            traces.push((cell.trace.as_str(), cell.kind));
        }
    }
    for (trace, kind) in traces {
        let all: Vec<&Cell> = table.cells.iter().filter(|cell| cell.trace == trace).collect();
        let bound = if kind == Kind::Diurnal { TUNED.0 } else { TUNED.1 };
        let worst = all.iter().map(ratio).fold(0.0, f64::max);
        let mean = geometric(all.iter().map(ratio));
        row(
            text,
            &format!("/ best tuned rival, {trace} ({kind:?})"),
            Some(bound),
            mean,
            &format!(" (worst {worst:.2})"),
        );
    }
    let mean = geometric(table.cells.iter().map(|cell| ratio(&cell)));
    row(text, "/ best tuned rival, all", Some(TUNED.2), mean, "");
}

/// The law's cost over that of a rival with one configuration, on those of some cases where that rival keeps the objective.
fn against(table: &Table, family: usize, asked: f64, inside: impl Fn(&Cell) -> bool) -> (Option<f64>, String) {
    let Some(dollars) = table.one_configuration(family, asked) else { return (None, String::new()) };
    let all: Vec<_> = table.of(asked).zip(&dollars).filter(|(cell, _)| inside(cell)).collect();
    let ratios: Vec<f64> = all.iter().filter_map(|(cell, dollars)| Some(cell.law.dollars / (**dollars)?)).collect();
    let kept = format!(" (it keeps the objective on {} of {})", ratios.len(), all.len());
    (geometric(ratios.into_iter()), kept)
}

fn fixed(table: &Table, text: &mut String) {
    for asked in ASKED {
        for (kind, bound) in FIXED {
            for (family, name) in NAMES.iter().enumerate() {
                let (found, kept) = against(table, family, asked, |cell| cell.kind == kind);
                let name = format!("/ {name} with one configuration, {kind:?}, {asked} %");
                row(text, &name, Some(bound), found, &kept);
            }
        }
    }
}

fn clairvoyant(table: &Table, text: &mut String) {
    for (kind, start, asked, bound) in CLAIRVOYANT {
        let all = table.of(asked).filter(|cell| cell.kind == kind && cell.start == start);
        let all: Vec<&Cell> = all.collect();
        let mean = |seen: Option<usize>| {
            let dollars = |cell: &&Cell| match seen {
                None => Some(cell.in_units(&cell.law)),
                Some(starts) => cell.ahead(starts),
            };
            geometric(all.iter().filter_map(dollars))
        };
        let ahead = [0, 1, 2].map(|starts| shown(mean(Some(starts)))).join(", ");
        let more = format!(" (tuned in hindsight, seeing 0, 1, 2 starts ahead, where it keeps it: {ahead})");
        row(text, &format!("/ clairvoyant, {kind:?}, {start} s, {asked} %"), Some(bound), mean(None), &more);
    }
}

fn slow(table: &Table, text: &mut String) {
    for asked in ASKED {
        let slow = |cell: &Cell| cell.start >= SLOW.0;
        let found =
            (0..NAMES.len()).filter_map(|family| against(table, family, asked, slow).0).fold(f64::NAN, f64::max);
        let found = found.is_finite().then_some(found);
        row(text, &format!("/ best rival with one configuration, {} s, {asked} %", SLOW.0), Some(SLOW.1), found, "");
    }
}
