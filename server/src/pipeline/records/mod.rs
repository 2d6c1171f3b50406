//! Tabular records to tensors: columns side by side in one input, or one input for each column.

mod column;
mod fit;
mod schema;
mod table;

use super::{Batch, Note, Row, Runs, Target};
use crate::{
    error::{Error, Kind},
    protocol::tensor::{Signature, Tensor},
};
use column::Column;
use fit::Fit;
use millrace_crds as crds;
use table::Table;

/// Records of a request to runs of the model.
pub struct RecordsInput {
    step: RecordsStep,
    rows: usize,
}

impl RecordsInput {
    /// Checks the step against the model.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(spec: &crds::Records, target: &Target<'_>) -> Result<Self, String> {
        Ok(Self { step: RecordsStep::compile(spec, target.signature)?, rows: target.max_rows.max(1) })
    }

    /// A body to runs, each of as many rows as the model takes.
    ///
    /// # Errors
    /// As [`RecordsStep::prepare`].
    pub fn prepare(&self, body: &[u8]) -> Result<Runs, Error> {
        let Tabular { inputs, rows, single } = self.step.prepare(body)?;
        let row = |at| Row { at, note: Note::None };
        if rows <= self.rows {
            return Ok(Runs { batches: vec![Batch { inputs, rows: (0..rows).map(row).collect() }], single });
        }
        let batches = (0..rows).step_by(self.rows).map(|from| {
            let count = self.rows.min(rows - from);
            // Each tensor has all rows, so a part of them is never missing.
            let inputs = crate::batch::split(&inputs, from, count).unwrap_or_default();
            Batch { inputs, rows: (from..from + count).map(row).collect() }
        });
        Ok(Runs { batches: batches.collect(), single })
    }
}

/// A records step that fits its model.
pub struct RecordsStep {
    columns: Vec<Column>,
    fit: Fit,
    ignore_unknown: bool,
    max_rows: usize,
}

/// Tensors of a whole request.
#[derive(Debug)]
pub struct Tabular {
    /// Tensors with one row for each answer.
    pub inputs: Vec<Tensor>,
    /// Rows.
    pub rows: usize,
    /// The request was one record, and is answered by one answer rather than a list.
    pub single: bool,
}

impl RecordsStep {
    /// Checks the step against the model.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(spec: &crds::Records, signature: &Signature) -> Result<Self, String> {
        if spec.columns.is_empty() {
            return Err("preprocess: records has no columns".to_owned());
        }
        for (at, column) in spec.columns.iter().enumerate() {
            if spec.columns[..at].iter().any(|earlier| earlier.name == column.name) {
                return Err(format!("preprocess: records has two columns {}", column.name));
            }
        }
        let fit = Fit::of(spec, signature)?;
        let columns: Result<Vec<_>, String> =
            spec.columns.iter().enumerate().map(|(at, column)| Column::compile(column, fit.datatype(at))).collect();
        Ok(Self {
            columns: columns?,
            fit,
            ignore_unknown: spec.ignore_unknown,
            max_rows: usize::try_from(spec.max_rows).unwrap_or(usize::MAX),
        })
    }

    /// Reads a body.
    ///
    /// # Errors
    /// 400 for broken JSON; 422 for values that don't fit, naming record and column.
    pub fn prepare(&self, body: &[u8]) -> Result<Tabular, Error> {
        let table = table::read(body, self)?;
        let (inputs, rows) = self.fit.tensors(&table)?;
        Ok(Tabular { inputs, rows, single: table.single })
    }

    fn position(&self, name: &str) -> Option<usize> {
        // A few columns: looking through them is faster than a map.
        self.columns.iter().position(|column| column.name == name)
    }
}

fn unprocessable(message: String) -> Error {
    Error::new(Kind::Unprocessable, message)
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
