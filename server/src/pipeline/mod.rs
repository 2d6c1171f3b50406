//! The manifest's pipeline: raw input to tensors, output tensors to a JSON answer. Checked against the model at load.

pub mod audio;
pub mod boxes;
pub mod bytes;
pub mod classes;
pub mod ctc;
pub mod image;
pub mod input;
pub mod output;
pub mod pool;
pub mod records;
pub mod rectangle;
pub mod regions;
pub mod run;
pub mod schema;
pub mod scores;
pub mod text;
pub mod value;

pub use output::Form;
pub use run::{Batch, Note, Prepared, Raw, Row, Runs};
pub use value::{Class, Series, Value};

use crate::{
    error::{Error, Kind, StartError},
    model::files::Files,
    protocol::{
        data::Datatype,
        tensor::{Signature, Tensor},
    },
    warm_up,
};
use image::Pixels;
use input::Input;
use millrace_crds::{self as crds, DecodeImage, PostprocessStep, PreprocessStep, conditions::reason};
use output::Output;
use std::collections::BTreeMap;

/// The model that steps must fit.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its inputs and outputs.
    pub signature: &'a Signature,
    /// Rows that one run takes at most.
    pub max_rows: usize,
    /// Each length that inputs are padded to costs an engine or a graph, as on a GPU; on the processor any will do.
    pub few_lengths: bool,
    /// The model's files, for steps that read one.
    pub files: &'a Files,
    /// What the model says of itself beside that.
    pub metadata: &'a BTreeMap<String, String>,
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
        Self::of(&spec.preprocess, &spec.postprocess, None, target)
            .map_err(|message| StartError::new(reason::PIPELINE_MISMATCH, message))
    }

    /// Checks steps against the model. They begin with the request, or with an image that `image` decoded.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn of(
        preprocess: &[PreprocessStep],
        postprocess: &[PostprocessStep],
        image: Option<&DecodeImage>,
        target: &Target<'_>,
    ) -> Result<Self, String> {
        let input = match image {
            Some(image) => Some(Input::compile_after(image, preprocess, target)?),
            None => Input::compile(preprocess, target)?,
        };
        let output = Output::compile(postprocess, &input.as_ref().map(Input::start).unwrap_or_default(), target)?;
        if output.pools() && !matches!(input, Some(Input::Text(_))) {
            return Err("postprocess: meanPool needs the tokens of tokenize in preprocess".to_owned());
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
        self.input.as_ref().map(Input::lengths).unwrap_or_default()
    }

    /// The same of input steps that begin with the request, before there is an engine to hold the output steps to.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn lengths_of(preprocess: &[PreprocessStep], target: &Target<'_>) -> Result<Vec<usize>, String> {
        Ok(Input::compile(preprocess, target)?.as_ref().map(Input::lengths).unwrap_or_default().to_vec())
    }

    /// One row that the model takes: silence for audio, else zeros. `None`: it takes texts, which may have to be of a kind, or
    /// has sizes that nobody knows.
    #[must_use]
    pub fn sample(&self, signature: &Signature) -> Option<Vec<Tensor>> {
        if let Some(Input::Audio(step)) = &self.input
            && let Some(silence) = step.silence()
        {
            return Some(silence);
        }
        if signature.inputs.iter().any(|spec| spec.datatype == Datatype::Bytes) {
            return None;
        }
        let length = self.lengths().first().copied().or((!signature.has_free_sizes()).then_some(1))?;
        Some(warm_up::zeros(signature, 1, length))
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

    /// An image to what the model is run on.
    ///
    /// # Errors
    /// An image that the pipeline can't process, or input steps for something else.
    pub fn prepare_pixels(&self, pixels: &Pixels) -> Result<Prepared, Error> {
        match &self.input {
            Some(Input::Image(steps)) => steps.prepare_pixels(pixels),
            _ => Err(Error::new(Kind::Unsupported, "this model takes no image")),
        }
    }

    /// What an answer is, and the fields of its JSON object, if it is one.
    #[must_use]
    pub fn gives(&self) -> (Form, &'static [&'static str]) {
        self.output.gives()
    }

    /// Whether a class of this name can be the answer, as far as is known.
    #[must_use]
    pub fn may_give(&self, label: &str) -> bool {
        self.output.may_give(label)
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
