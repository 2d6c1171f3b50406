//! The table: Markdown for people, JSON with all figures.

use crate::cell::{ASKED, Cell};
use crate::model::{PRICES, SERVICES};
use crate::rival::{NAMES, Rival};
use crate::search::Searched;
use crate::trace::Kind;
use crate::{missed, rows};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write;

/// Cases with what was found.
pub struct Table {
    /// One for each case and objective.
    pub cells: Vec<Cell>,
    /// For each case: the search.
    pub searched: Vec<Searched>,
    /// How traces were made.
    pub notes: Vec<String>,
    /// The arguments.
    pub command: String,
}

/// A rival with one configuration for all cases.
struct Fixed {
    settings: Rival,
    /// Dollars by case; none where it misses the objective: that costs nothing that could be compared.
    dollars: Vec<Option<f64>>,
    reached: usize,
}

/// What is read of a table's JSON.
#[derive(Deserialize)]
struct Part {
    command: String,
    traces: Vec<String>,
    cells: Vec<Cell>,
    grid: Vec<Rival>,
    searched: Vec<Vec<[f64; 2]>>,
}

/// The same with six digits of each figure: more of them is chance.
fn short(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let long = number.as_f64().filter(|_| number.is_f64());
            let cut = long.and_then(|figure| format!("{figure:.5e}").parse::<f64>().ok());
            cut.map_or(Value::Number(number), |figure| json!(figure))
        }
        Value::Array(values) => values.into_iter().map(short).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, short(value))).collect(),
        other => other,
    }
}

/// Geometric mean; nothing of nothing.
#[must_use]
pub fn geometric(values: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = values.map(f64::ln).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// Starts of some cells, each once, the shortest first.
pub(crate) fn starts<'a>(cells: impl Iterator<Item = &'a Cell>) -> Vec<f64> {
    let mut starts: Vec<f64> = cells.map(|cell| cell.start).collect();
    starts.sort_by(f64::total_cmp);
    starts.dedup();
    starts
}

pub(crate) fn shown(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}"))
}

impl Table {
    /// What each case costs with the configuration of a family that serves all; nothing where it misses the objective.
    #[must_use]
    pub fn one_configuration(&self, family: usize, asked: f64) -> Option<Vec<Option<f64>>> {
        self.fixed(family, asked).map(|fixed| fixed.dollars)
    }

    /// The configuration of a family that keeps the objective on the most cases, and is the cheapest of those.
    fn fixed(&self, family: usize, asked: f64) -> Option<Fixed> {
        let settings = self.searched.first()?.iter().enumerate().filter(|(_, (rival, ..))| rival.family() == family);
        let judged = settings.map(|(index, (rival, ..))| {
            let of = |searched: &Searched| (searched[index].1, searched[index].2);
            let figures: Vec<(f64, f64)> = self.searched.iter().map(of).collect();
            let mean = geometric(figures.iter().map(|(dollars, _)| *dollars)).unwrap_or(f64::INFINITY);
            let keeps = |(dollars, share): &(f64, f64)| (*share >= asked / 100.0).then_some(*dollars);
            let dollars: Vec<Option<f64>> = figures.iter().map(keeps).collect();
            let reached = dollars.iter().flatten().count();
            (Fixed { settings: *rival, dollars, reached }, mean)
        });
        let best = judged.min_by(|(a, mean), (b, other)| b.reached.cmp(&a.reached).then(mean.total_cmp(other)));
        best.map(|(fixed, _)| fixed)
    }

    /// Cells of an objective.
    pub fn of(&self, asked: f64) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.asked == asked)
    }

    /// The figures as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let fixed = |asked: f64| -> Vec<Value> {
            let one = |family| {
                let fixed = self.fixed(family, asked)?;
                Some(
                    json!({"rival": NAMES[family], "asked": asked, "settings": fixed.settings, "reached": fixed.reached, "of": self.searched.len(), "dollars": fixed.dollars}),
                )
            };
            (0..NAMES.len()).filter_map(one).collect()
        };
        short(json!({
            "command": self.command,
            "prices": PRICES,
            "services": SERVICES,
            "traces": self.notes,
            "cells": self.cells,
            "grid": self.searched.first().map(|all| all.iter().map(|(rival, ..)| *rival).collect::<Vec<_>>()),
            "searched": self.searched.iter().map(|all| all.iter().map(|(_, dollars, share)| [*dollars, *share]).collect()).collect::<Vec<Vec<_>>>(),
            "one_configuration": ASKED.map(fixed).concat(),
        }))
    }

    /// One table of several, from their JSON.
    ///
    /// # Errors
    /// If one is no such table, or their rivals were tried with other settings.
    pub fn join(parts: &[Value], command: String) -> Result<Self> {
        let mut table = Self { cells: Vec::new(), searched: Vec::new(), notes: Vec::new(), command };
        for part in parts {
            let read: Part = Part::deserialize(part).context("no table of this program")?;
            let grid = |all: &Searched| all.iter().map(|(rival, ..)| *rival).collect::<Vec<_>>();
            let same = table.searched.first().is_none_or(|all| grid(all) == read.grid);
            ensure!(same, "the rivals of these tables were tried with different settings: make them anew");
            let sized = read.searched.iter().all(|all| all.len() == read.grid.len());
            ensure!(sized && read.cells.len() == ASKED.len() * read.searched.len(), "a table that lacks figures");
            let searched =
                |all: &Vec<[f64; 2]>| read.grid.iter().zip(all).map(|(rival, [a, b])| (*rival, *a, *b)).collect();
            table.searched.extend(read.searched.iter().map(searched));
            table.notes.extend(read.traces);
            table.cells.extend(read.cells);
            table.command = format!("{}; {}", table.command, read.command).trim_start_matches("; ").to_owned();
        }
        Ok(table)
    }

    /// The figures as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# The scaling law in simulation\n\nMade by `{}`. All figures are simulated. Prices of {}: ${:.2} for an L40S and hour.\n\
             Each policy keeps at least one replica; cost counts every accelerator-second from the moment a pod holds it, starts included.\n\
             *Clairvoyant*: the cheapest schedule found that knows all arrivals and keeps the objective; *lower*: no schedule is cheaper.\n\
             *Best rival*: HPA, KPA, KEDA and a saturation law, each tuned in hindsight on the very trace; their targets are given as parts of\n\
             what a replica sustains. *(never)*: none keeps the objective; the dearest is shown. Raw figures: `autoscale.json`.\n\n",
            self.command, PRICES.date, PRICES.l40s
        );
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text.push_str(&rows::markdown(self));
        text.push_str(&missed::markdown(self));
        self.summary(&mut text);
        for asked in ASKED {
            let _ = writeln!(text, "\n## Each case, {asked} % asked\n");
            text.push_str("| trace | kind | service | start | law in time | kept | law $ | / clairvoyant | / lower | best rival | law / rival | foresight 0, 1, 2 starts / clairvoyant | starts |\n");
            text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
            for cell in self.of(asked) {
                line(&mut text, cell);
            }
        }
        text
    }

    fn summary(&self, text: &mut String) {
        text.push_str("\n## Summary, geometric means over services and traces\n\n");
        text.push_str("| asked | kind | start | kept | law / clairvoyant | law / best tuned rival | HPA | KPA | KEDA | saturation |\n");
        text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
        let starts = starts(self.cells.iter());
        for asked in ASKED {
            let fixed: Vec<Option<Fixed>> = (0..NAMES.len()).map(|family| self.fixed(family, asked)).collect();
            for kind in [Kind::Diurnal, Kind::Bursty] {
                for start in &starts {
                    let inside = |(_, cell): &(usize, &Cell)| cell.kind == kind && cell.start == *start;
                    let all: Vec<(usize, &Cell)> = self.of(asked).enumerate().filter(inside).collect();
                    if all.is_empty() {
                        continue;
                    }
                    let kept = all.iter().filter(|(_, cell)| cell.reached()).count();
                    let _ = write!(
                        text,
                        "| {asked} % | {kind:?} | {start} s | {kept} of {} | {} | {} |",
                        all.len(),
                        shown(geometric(all.iter().map(|(_, c)| c.in_units(&c.law)))),
                        shown(geometric(all.iter().map(|(_, c)| c.law.dollars / c.best().1.figure.dollars))),
                    );
                    for fixed in fixed.iter().flatten() {
                        let ratio = |(case, c): &(usize, &Cell)| Some(c.law.dollars / fixed.dollars[*case]?);
                        let ratio = geometric(all.iter().filter_map(ratio));
                        let _ = write!(text, " {} |", shown(ratio));
                    }
                    text.push('\n');
                }
            }
            for (family, fixed) in fixed.iter().enumerate().filter_map(|(f, fixed)| Some((f, fixed.as_ref()?))) {
                let settings = serde_json::to_string(&fixed.settings).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "| {asked} % | {} with one configuration | keeps | {} of {} | | | | | | `{settings}` |",
                    NAMES[family],
                    fixed.reached,
                    self.searched.len()
                );
            }
        }
        text.push_str("\nThe last four columns are the law's cost over that of each rival with one configuration for all cases (found in hindsight over all of them), on the cases where that rival keeps the objective.\n");
    }
}

fn line(text: &mut String, cell: &Cell) {
    let (name, best) = cell.best();
    let ahead: Vec<String> = (0..cell.foresight.len()).map(|starts| shown(cell.ahead(starts))).collect();
    let _ = writeln!(
        text,
        "| {} | {:?} | {} | {} s | {:.3} % | {} | {:.2} | {:.2} | {:.2} | {name} {:.2}{} | {:.2} | {} | {} |",
        cell.trace,
        cell.kind,
        cell.service,
        cell.start,
        cell.law.attainment * 100.0,
        if cell.reached() { "yes" } else { "no" },
        cell.law.dollars,
        cell.in_units(&cell.law),
        cell.law.dollars / cell.lower,
        best.figure.dollars,
        if best.reached { "" } else { " (never)" },
        cell.law.dollars / best.figure.dollars,
        ahead.join(", "),
        cell.law.starts,
    );
}
