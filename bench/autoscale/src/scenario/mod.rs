//! Runs beside the table: mixed pools, rarely used models, faults.

mod faults;
mod mixed;
mod rare;

use crate::cell::Figure;
use crate::world::Outcome;
pub use faults::faults;
pub use mixed::mixed;
pub use rare::rarely_used;
use serde::Serialize;

/// One line of a scenario's table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What was run.
    pub name: String,
    /// Who decided.
    pub policy: String,
    /// What came of it.
    pub figure: Figure,
    /// Most accelerators held at once, by pool.
    pub most: Vec<u32>,
    /// What is promised of this line; empty: it is there to be compared with.
    pub rows: Vec<Row>,
}

/// One figure and its bound.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What is promised.
    pub what: String,
    /// The figure.
    pub is: f64,
    /// Its bound.
    pub bound: f64,
    /// Whether it is within it.
    pub kept: bool,
    /// What else is known of why it isn't.
    pub note: String,
}

impl Row {
    fn at_least(what: &str, is: f64, bound: f64) -> Self {
        Self { what: what.to_owned(), is, bound, kept: is >= bound, note: String::new() }
    }

    fn at_most(what: &str, is: f64, bound: f64) -> Self {
        Self { what: what.to_owned(), is, bound, kept: is <= bound, note: String::new() }
    }
}

fn line(name: &str, policy: &str, outcome: &Outcome) -> Line {
    let (name, policy) = (name.to_owned(), policy.to_owned());
    Line { name, policy, figure: Figure::from(outcome), most: outcome.most.clone(), rows: Vec::new() }
}
