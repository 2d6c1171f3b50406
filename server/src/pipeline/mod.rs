//! The manifest's pipeline: raw input to tensors, output tensors to a JSON answer. Checked against the model at load.

pub mod bytes;
pub mod classes;
pub mod scores;

use crate::{
    error::{Error, Kind, StartError},
    protocol::tensor::{Signature, Tensor},
};
use classes::{Classes, Labels, ThresholdStep};
use millrace_crds::{self as crds, PostprocessStep, PreprocessStep, conditions::reason};
use serde::Serialize;

/// What a raw input became.
#[derive(Debug)]
pub enum Prepared {
    /// Tensors for the model, of one row.
    Tensors(Vec<Tensor>),
    /// An answer that needs no model.
    Answer(Value),
}

/// What steps pass on, and what is answered in the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// One class with its score.
    Class(Class),
    /// Classes, best first.
    Classes(Vec<Class>),
    /// Numbers of one output.
    Vector(Vec<f32>),
    /// A number with its unit.
    Number {
        /// The number.
        value: f32,
        /// Its unit.
        #[serde(skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
    },
}

/// A class and how sure the model is of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Class {
    /// Its name.
    pub label: String,
    /// Its score.
    pub score: f32,
}

enum Post {
    Softmax,
    Sigmoid,
    Argmax(Labels),
    TopK(usize, Labels),
    Threshold(ThresholdStep),
    L2Normalize,
    Regression(Option<String>),
}

/// A pipeline that fits its model.
pub struct Pipeline {
    input: Option<bytes::BytesStep>,
    output: usize,
    post: Vec<Post>,
}

fn mismatch(message: String) -> StartError {
    StartError::new(reason::PIPELINE_MISMATCH, message)
}

impl Pipeline {
    /// Checks a pipeline against the model's tensors.
    ///
    /// # Errors
    /// `PipelineMismatch`, naming both sides; or a step that this release doesn't have.
    pub fn compile(spec: &crds::Pipeline, signature: &Signature) -> Result<Self, StartError> {
        if !spec.steps.is_empty() {
            return Err(mismatch("pipeline.steps is not supported yet: use preprocess and postprocess".to_owned()));
        }
        let input = match spec.preprocess.as_slice() {
            [] => None,
            [PreprocessStep::Bytes(step)] => Some(bytes::BytesStep::compile(step, signature).map_err(mismatch)?),
            [PreprocessStep::Bytes(_), ..] => {
                return Err(mismatch("preprocess: bytes makes the tensor; no step can follow it".to_owned()));
            }
            [other, ..] => return Err(mismatch(format!("preprocess: {} is not supported yet", step_name(other)))),
        };
        let (output, post) = compile_post(&spec.postprocess, signature).map_err(mismatch)?;
        Ok(Self { input, output, post })
    }

    /// Whether raw inputs can be processed.
    #[must_use]
    pub fn takes_raw(&self) -> bool {
        self.input.is_some()
    }

    /// Raw input to tensors.
    ///
    /// # Errors
    /// An input that the pipeline can't process, or no input step.
    pub fn prepare(&self, raw: &[u8]) -> Result<Prepared, Error> {
        match &self.input {
            Some(step) => Ok(step.prepare(raw)),
            None => {
                Err(Error::new(Kind::Unsupported, "this service has no preprocess step: send tensors to /v2/models"))
            }
        }
    }

    /// Output tensors of one row to the answer.
    ///
    /// # Errors
    /// Outputs that aren't what the model promised.
    pub fn finish(&self, outputs: &[Tensor]) -> Result<Value, Error> {
        let wrong = || Error::new(Kind::Engine, "the model's output isn't what its pipeline needs");
        let tensor = outputs.get(self.output).ok_or_else(wrong)?;
        let mut value = Value::Vector(scores::floats(&tensor.data).ok_or_else(wrong)?);
        for step in &self.post {
            value = match (step, value) {
                (Post::Softmax, Value::Vector(v)) => Value::Vector(scores::softmax(v)),
                (Post::Sigmoid, Value::Vector(v)) => Value::Vector(scores::sigmoid(v)),
                (Post::L2Normalize, Value::Vector(v)) => Value::Vector(scores::l2_normalize(v)),
                (Post::Argmax(labels), Value::Vector(v)) => Value::Class(labels.argmax(&v).ok_or_else(wrong)?),
                (Post::TopK(k, labels), Value::Vector(v)) => Value::Classes(labels.top_k(&v, *k)),
                (Post::Threshold(step), Value::Class(class)) => Value::Class(step.decide(class)),
                (Post::Threshold(step), Value::Classes(classes)) => {
                    Value::Classes(classes.into_iter().map(|class| step.decide(class)).collect())
                }
                (Post::Regression(unit), Value::Vector(v)) => {
                    Value::Number { value: *v.first().ok_or_else(wrong)?, unit: unit.clone() }
                }
                _ => return Err(wrong()),
            };
        }
        Ok(value)
    }
}

/// Checks output steps in order: what each takes must be what the one before it gives.
fn compile_post(steps: &[PostprocessStep], signature: &Signature) -> Result<(usize, Vec<Post>), String> {
    let mut output: Option<usize> = None;
    let mut given = "a vector";
    let mut post = Vec::new();
    for step in steps {
        let (takes, gives, name) = match step {
            PostprocessStep::Softmax(s) => ("a vector", "a vector", s.output.as_ref()),
            PostprocessStep::Sigmoid(s) => ("a vector", "a vector", s.output.as_ref()),
            PostprocessStep::Argmax(s) => ("a vector", "classes", s.output.as_ref()),
            PostprocessStep::TopK(s) => ("a vector", "classes", s.output.as_ref()),
            PostprocessStep::Regression(s) => ("a vector", "a number", s.output.as_ref()),
            PostprocessStep::L2Normalize(_) => ("a vector", "a vector", None),
            PostprocessStep::Threshold(_) => ("classes", "classes", None),
            PostprocessStep::MeanPool(_) => return Err("postprocess: meanPool is not supported yet".to_owned()),
            PostprocessStep::NonMaxSuppression(_) => {
                return Err("postprocess: nonMaxSuppression is not supported yet".to_owned());
            }
        };
        if takes != given {
            return Err(format!("postprocess: a step takes {takes}, and what comes before it gives {given}"));
        }
        given = gives;
        if takes == "a vector" && (output.is_none() || name.is_some()) {
            let found = find_output(name.map(crds::Token::as_str), signature)?;
            if output.is_some_and(|earlier| earlier != found) {
                return Err("postprocess: its steps name different outputs".to_owned());
            }
            output = Some(found);
        }
        let width = output.and_then(|at| signature.outputs[at].shape.last().copied());
        post.push(match step {
            PostprocessStep::Softmax(_) => Post::Softmax,
            PostprocessStep::Sigmoid(_) => Post::Sigmoid,
            PostprocessStep::L2Normalize(_) => Post::L2Normalize,
            PostprocessStep::Argmax(s) => Post::Argmax(Classes::check(&s.labels, width)?),
            PostprocessStep::TopK(s) => {
                Post::TopK(usize::try_from(s.k).unwrap_or(1), Classes::check(&s.labels, width)?)
            }
            PostprocessStep::Threshold(s) => Post::Threshold(ThresholdStep::compile(s)),
            PostprocessStep::Regression(s) => Post::Regression(s.unit.as_ref().map(ToString::to_string)),
            PostprocessStep::MeanPool(_) | PostprocessStep::NonMaxSuppression(_) => continue,
        });
    }
    Ok((output.unwrap_or(0), post))
}

fn find_output(name: Option<&str>, signature: &Signature) -> Result<usize, String> {
    let gives = Signature::describe(&signature.outputs);
    let at = match name {
        Some(name) => signature
            .outputs
            .iter()
            .position(|spec| spec.name == name)
            .ok_or_else(|| format!("postprocess takes the output {name:?}; the model gives {gives}"))?,
        None if signature.outputs.len() == 1 => 0,
        None => return Err(format!("postprocess names no output, and the model gives several: {gives}")),
    };
    let spec = &signature.outputs[at];
    if !scores::numeric(spec.datatype) {
        return Err(format!("postprocess takes numbers; the model gives {gives}"));
    }
    Ok(at)
}

fn step_name(step: &PreprocessStep) -> &'static str {
    match step {
        PreprocessStep::Bytes(_) => "bytes",
        PreprocessStep::DecodeImage(_) => "decodeImage",
        PreprocessStep::Resize(_) => "resize",
        PreprocessStep::CentreCrop(_) => "centreCrop",
        PreprocessStep::Normalize(_) => "normalize",
        PreprocessStep::Tokenize(_) => "tokenize",
        PreprocessStep::Records(_) => "records",
        PreprocessStep::Audio(_) => "audio",
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
