//! The manifest's pipeline: raw input to tensors, output tensors to a JSON answer. Checked against the model at load.

pub mod audio;
pub mod boxes;
pub mod bytes;
pub mod classes;
pub mod image;
pub mod input;
pub mod output;
pub mod run;
pub mod scores;
pub mod value;

pub use run::{Batch, Note, Prepared, Raw, Row, Runs};
pub use value::{Class, Series, Value};

use crate::{
    error::{Error, Kind, StartError},
    protocol::tensor::{Signature, Tensor},
};
use input::Input;
use millrace_crds::{self as crds, conditions::reason};
use output::Output;

/// The model that steps must fit.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its inputs and outputs.
    pub signature: &'a Signature,
    /// Rows that one run takes at most.
    pub max_rows: usize,
}

/// A pipeline that fits its model.
pub struct Pipeline {
    input: Option<Input>,
    output: Output,
}

impl Pipeline {
    /// Checks a pipeline against the model.
    ///
    /// # Errors
    /// `PipelineMismatch`, naming both sides; or a step that this release doesn't have.
    pub fn compile(spec: &crds::Pipeline, target: &Target<'_>) -> Result<Self, StartError> {
        let mismatch = |message: String| StartError::new(reason::PIPELINE_MISMATCH, message);
        if !spec.steps.is_empty() {
            return Err(mismatch("pipeline.steps is not supported yet: use preprocess and postprocess".to_owned()));
        }
        let input = Input::compile(&spec.preprocess, target).map_err(mismatch)?;
        let output = Output::compile(&spec.postprocess, &input.as_ref().map(Input::start).unwrap_or_default(), target)
            .map_err(mismatch)?;
        Ok(Self { input, output })
    }

    /// Whether raw inputs can be processed.
    #[must_use]
    pub fn takes_raw(&self) -> bool {
        self.input.is_some()
    }

    /// Raw input to what the model is run on.
    ///
    /// # Errors
    /// An input that the pipeline can't process, or no input step.
    pub fn prepare(&self, raw: &Raw) -> Result<Prepared, Error> {
        match &self.input {
            Some(input) => input.prepare(raw),
            None => {
                Err(Error::new(Kind::Unsupported, "this service has no preprocess step: send tensors to /v2/models"))
            }
        }
    }

    /// Output tensors of a run to the values of its rows, each with the item of the request that it belongs to.
    ///
    /// # Errors
    /// Outputs that aren't what the model promised.
    pub fn finish(&self, rows: &[Row], outputs: &[Tensor]) -> Result<Vec<(usize, Value)>, Error> {
        rows.iter().enumerate().map(|(at, row)| Ok((row.at, self.output.finish(outputs, at, rows)?))).collect()
    }

    /// The score of a frame of a sequence.
    ///
    /// # Errors
    /// Outputs that aren't what the model promised.
    pub fn score(&self, outputs: &[Tensor]) -> Result<f32, Error> {
        self.output.score(outputs)
    }

    /// Scores of a whole sequence to the answer.
    ///
    /// # Errors
    /// Steps that don't fit, which can't be.
    pub fn finish_series(&self, series: Series) -> Result<Value, Error> {
        self.output.finish_series(series)
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
