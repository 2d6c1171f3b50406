//! Output steps: output tensors of one row to a value. What each takes must be what the one before it gives.

use super::{
    Row, Target, Value,
    classes::{Classes, Labels, ThresholdStep},
    scores,
};
use crate::{
    error::{Error, Kind},
    protocol::{
        data::Data,
        tensor::{Signature, Tensor, TensorSpec},
    },
};
use millrace_crds::{PostprocessStep, Token};
use std::fmt;

/// What a value is, for checks at load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Numbers.
    Vector,
    /// One class or several.
    Classes,
    /// One number.
    Number,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vector => "a vector",
            Self::Classes => "classes",
            Self::Number => "a number",
        })
    }
}

/// A step that was checked.
enum Step {
    Softmax,
    Sigmoid,
    L2Normalize,
    Argmax(Labels),
    TopK(usize, Labels),
    Threshold(ThresholdStep),
    Regression(Option<String>),
}

/// Output steps that fit the model.
pub struct Output {
    /// Which output tensor they begin with.
    tensor: usize,
    steps: Vec<Step>,
}

/// What the checks know when a step's turn comes.
struct Checked<'a> {
    signature: &'a Signature,
    tensor: Option<usize>,
    form: Form,
}

impl Output {
    /// Checks steps in order.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(steps: &[PostprocessStep], target: &Target<'_>) -> Result<Self, String> {
        let mut checked = Checked { signature: target.signature, tensor: None, form: Form::Vector };
        let steps: Result<Vec<Step>, String> = steps.iter().map(|step| checked.step(step)).collect();
        Ok(Self { steps: steps?, tensor: checked.tensor.unwrap_or(0) })
    }

    /// The value of row `at` of `rows`.
    ///
    /// # Errors
    /// Outputs that aren't what the model promised.
    pub fn finish(&self, outputs: &[Tensor], at: usize, rows: &[Row]) -> Result<Value, Error> {
        let tensor = outputs.get(self.tensor).ok_or_else(unfit)?;
        let mut value = Value::Vector(scores::floats(&row(tensor, at, rows.len())?).ok_or_else(unfit)?);
        for step in &self.steps {
            value = step.apply(value)?;
        }
        Ok(value)
    }
}

/// The model broke its promise.
fn unfit() -> Error {
    Error::new(Kind::Engine, "the model's output isn't what its pipeline needs")
}

/// Elements of one row of a batch.
fn row(tensor: &Tensor, at: usize, rows: usize) -> Result<Data, Error> {
    if rows == 1 {
        return Ok(tensor.data.clone());
    }
    if tensor.shape.first() != Some(&rows) {
        return Err(unfit());
    }
    let size = tensor.data.len() / rows;
    Ok(tensor.data.slice(at * size, (at + 1) * size))
}

impl Step {
    fn apply(&self, value: Value) -> Result<Value, Error> {
        Ok(match (self, value) {
            (Self::Softmax, Value::Vector(v)) => Value::Vector(scores::softmax(v)),
            (Self::Sigmoid, Value::Vector(v)) => Value::Vector(scores::sigmoid(v)),
            (Self::L2Normalize, Value::Vector(v)) => Value::Vector(scores::l2_normalize(v)),
            (Self::Argmax(labels), Value::Vector(v)) => Value::Class(labels.argmax(&v).ok_or_else(unfit)?),
            (Self::TopK(k, labels), Value::Vector(v)) => Value::Classes(labels.top_k(&v, *k)),
            (Self::Threshold(step), Value::Class(class)) => Value::Class(step.decide(class)),
            (Self::Threshold(step), Value::Classes(classes)) => {
                Value::Classes(classes.into_iter().map(|class| step.decide(class)).collect())
            }
            (Self::Regression(unit), Value::Vector(v)) => {
                Value::Number { value: *v.first().ok_or_else(unfit)?, unit: unit.clone() }
            }
            _ => return Err(unfit()),
        })
    }
}

impl Checked<'_> {
    fn step(&mut self, step: &PostprocessStep) -> Result<Step, String> {
        use Form::{Classes as Named, Number, Vector};
        Ok(match step {
            PostprocessStep::Softmax(s) => {
                self.pass("softmax", Vector, Vector, s.output.as_ref())?;
                Step::Softmax
            }
            PostprocessStep::Sigmoid(s) => {
                self.pass("sigmoid", Vector, Vector, s.output.as_ref())?;
                Step::Sigmoid
            }
            PostprocessStep::L2Normalize(s) => {
                self.pass("l2Normalize", Vector, Vector, s.output.as_ref())?;
                Step::L2Normalize
            }
            PostprocessStep::Argmax(s) => {
                let width = self.pass("argmax", Vector, Named, s.output.as_ref())?;
                Step::Argmax(Classes::check(&s.labels, width)?)
            }
            PostprocessStep::TopK(s) => {
                let width = self.pass("topK", Vector, Named, s.output.as_ref())?;
                Step::TopK(usize::try_from(s.k).unwrap_or(1), Classes::check(&s.labels, width)?)
            }
            PostprocessStep::Threshold(s) => {
                self.pass("threshold", Named, Named, None)?;
                Step::Threshold(ThresholdStep::compile(s))
            }
            PostprocessStep::Regression(s) => {
                self.pass("regression", Vector, Number, s.output.as_ref())?;
                Step::Regression(s.unit.as_ref().map(ToString::to_string))
            }
            PostprocessStep::MeanPool(_) => return Err("postprocess: meanPool is not supported yet".to_owned()),
            PostprocessStep::NonMaxSuppression(_) => {
                return Err("postprocess: nonMaxSuppression is not supported yet".to_owned());
            }
        })
    }

    /// A step takes one form and gives another. The first step on numbers settles which output is meant; gives the last
    /// dimension of that output.
    fn pass(&mut self, step: &str, takes: Form, gives: Form, output: Option<&Token>) -> Result<Option<i64>, String> {
        if takes != self.form {
            return Err(format!("postprocess: {step} takes {takes}; what comes before it gives {}", self.form));
        }
        self.form = gives;
        if takes == Form::Vector && (self.tensor.is_none() || output.is_some()) {
            let found = find_output(output.map(Token::as_str), self.signature)?;
            if self.tensor.is_some_and(|earlier| earlier != found) {
                return Err("postprocess: its steps name different outputs".to_owned());
            }
            self.tensor = Some(found);
        }
        Ok(self.spec().and_then(|spec| spec.shape.last().copied()))
    }

    fn spec(&self) -> Option<&TensorSpec> {
        self.tensor.and_then(|at| self.signature.outputs.get(at))
    }
}

/// An output by name; without one, the only one. It must hold floats.
pub fn find_output(name: Option<&str>, signature: &Signature) -> Result<usize, String> {
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
