//! The manifest's pipeline: raw input to tensors, output tensors to a JSON answer. Checked against the model at load.

pub mod audio;
pub mod boxes;
pub mod bytes;
pub mod classes;
pub mod image;
pub mod input;
pub mod output;
pub mod pool;
pub mod records;
pub mod run;
mod schema;
pub mod scores;
pub mod text;
pub mod value;

pub use run::{Batch, Note, Prepared, Raw, Row, Runs};
pub use value::{Class, Series, Value};

use crate::{
    error::{Error, Kind, StartError},
    model::files::Files,
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
    /// The model's files, for steps that read one.
    pub files: &'a Files,
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
        if output.pools() && !matches!(input, Some(Input::Text(_))) {
            return Err(mismatch("postprocess: meanPool needs the tokens of tokenize in preprocess".to_owned()));
        }
        Ok(Self { input, output })
    }

    /// Whether a body is read as JSON, given whether its content type is.
    #[must_use]
    pub fn reads_json(&self, json: bool) -> bool {
        json || matches!(self.input, Some(Input::Records(_)))
    }

    /// The step that makes tokens, if the answer is the vector of a text: then OpenAI's clients can be served.
    #[must_use]
    pub fn embedder(&self) -> Option<&text::TextInput> {
        match &self.input {
            Some(Input::Text(text)) if self.output.gives_vector() => Some(text),
            _ => None,
        }
    }

    /// Sizes of dimensions that are free besides the batch: each is run once before the server is ready.
    #[must_use]
    pub fn lengths(&self) -> &[usize] {
        match &self.input {
            Some(Input::Text(text)) => text.step.buckets(),
            _ => &[],
        }
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
