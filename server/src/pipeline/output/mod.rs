//! Output steps: output tensors of one row to a value.

mod check;
mod form;

pub use form::Form;

use super::{
    Note, Row, Series, Value,
    audio::speech::SpeechStep,
    boxes::NonMaxStep,
    classes::{Labels, ThresholdStep},
    ctc::CtcStep,
    pool,
    regions::RegionsStep,
    scores,
};
use crate::{
    error::{Error, Kind},
    protocol::{data::Data, tensor::Tensor},
};

/// What output steps begin with, as the input steps make it.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Scores of a sequence of frames, rather than the outputs of one run.
    pub series: bool,
    /// Outputs that are state: no step means them unless it names them.
    pub carried: Vec<usize>,
}

/// A step that was checked.
pub(super) enum Step {
    MeanPool,
    Softmax,
    Sigmoid,
    L2Normalize,
    Argmax(Labels),
    TopK(usize, Labels),
    Threshold(ThresholdStep),
    Regression(Option<String>),
    NonMax(NonMaxStep),
    Regions(RegionsStep),
    Ctc(CtcStep),
    Speech(SpeechStep),
    Scores(Labels),
    Name(Labels),
}

/// Output steps that fit the model.
pub struct Output {
    /// Which output tensor they begin with.
    tensor: usize,
    pub(super) steps: Vec<Step>,
    pub(super) form: Form,
}

impl Output {
    /// Whether it begins with the mean over tokens.
    #[must_use]
    pub fn pools(&self) -> bool {
        matches!(self.steps.first(), Some(Step::MeanPool))
    }

    /// Whether the answer is one vector for each item.
    #[must_use]
    pub fn gives_vector(&self) -> bool {
        self.form == Form::Vector && !self.steps.is_empty()
    }

    /// What the answer is, and the fields of its JSON object, if it is one.
    #[must_use]
    pub fn gives(&self) -> (Form, &'static [&'static str]) {
        let fields: &[&str] = match self.form {
            Form::Boxes => &["label", "score", "box"],
            Form::Regions => &["score", "box"],
            Form::Text => &["text", "score"],
            Form::Number => &["value"],
            Form::Classes if self.steps.iter().any(|step| matches!(step, Step::Argmax(_))) => &["label", "score"],
            Form::Classes if self.steps.iter().any(|step| matches!(step, Step::Name(_))) => &["label"],
            _ => &[],
        };
        (self.form, fields)
    }

    /// Whether a class of this name can be the answer, as far as is known.
    #[must_use]
    pub fn may_give(&self, label: &str) -> bool {
        match self.steps.last() {
            Some(Step::Argmax(labels)) => labels.has(label),
            _ => true,
        }
    }

    /// The value of row `at` of `rows`.
    ///
    /// # Errors
    /// Outputs that aren't what the model promised.
    pub fn finish(&self, outputs: &[Tensor], at: usize, rows: &[Row]) -> Result<Value, Error> {
        let numbers = |tensor: usize| {
            let tensor = outputs.get(tensor).ok_or_else(unfit)?;
            scores::floats(&row(tensor, at, rows.len())?).ok_or_else(unfit)
        };
        let geometry = match rows.get(at).map(|row| &row.note) {
            Some(Note::Image(geometry)) => Some(geometry),
            _ => None,
        };
        // Two sizes after the batch: those of a map, or of a line's steps and classes.
        let sizes = || match outputs.get(self.tensor)?.shape[..] {
            [.., rows, columns] => Some((rows, columns)),
            _ => None,
        };
        if let [Step::Regions(step)] = self.steps.as_slice() {
            let (height, width) = sizes().ok_or_else(unfit)?;
            return step
                .regions(&numbers(self.tensor)?, (width, height), geometry)
                .map(Value::Regions)
                .ok_or_else(unfit);
        }
        if let [Step::Ctc(step)] = self.steps.as_slice() {
            let (_, classes) = sizes().ok_or_else(unfit)?;
            return step.text(&numbers(self.tensor)?, classes).map(Value::Text).ok_or_else(unfit);
        }
        if let [Step::NonMax(step)] = self.steps.as_slice() {
            let separate = step.scores().map(numbers).transpose()?;
            return step
                .detections(&numbers(self.tensor)?, separate.as_deref(), geometry)
                .map(Value::Boxes)
                .ok_or_else(unfit);
        }
        if let [Step::MeanPool, rest @ ..] = self.steps.as_slice() {
            let tensor = outputs.get(self.tensor).ok_or_else(unfit)?;
            let pooled = Value::Vector(mean_pool(tensor, at, rows)?);
            return rest.iter().try_fold(pooled, |value, step| step.apply(value));
        }
        self.steps.iter().try_fold(Value::Vector(numbers(self.tensor)?), |value, step| step.apply(value))
    }

    /// The one number that a frame of a sequence gives.
    ///
    /// # Errors
    /// Outputs that aren't what the model promised.
    pub fn score(&self, outputs: &[Tensor]) -> Result<f32, Error> {
        let tensor = outputs.get(self.tensor).ok_or_else(unfit)?;
        match scores::floats(&tensor.data).as_deref() {
            Some(&[score]) => Ok(score),
            _ => Err(unfit()),
        }
    }

    /// Scores of a whole sequence to the answer.
    ///
    /// # Errors
    /// Steps that don't fit, which can't be.
    pub fn finish_series(&self, series: Series) -> Result<Value, Error> {
        self.steps.iter().try_fold(Value::Series(series), |value, step| step.apply(value))
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

/// The mean over the tokens of one row. Its numbers are many, so they aren't copied where they are floats already.
fn mean_pool(tensor: &Tensor, at: usize, rows: &[Row]) -> Result<Vec<f32>, Error> {
    let (Some(row), [batch, tokens, width]) = (rows.get(at), tensor.shape.as_slice()) else { return Err(unfit()) };
    let Note::Tokens(span) = &row.note else { return Err(unfit()) };
    let size = tokens * width;
    if *batch != rows.len() || span.end > *tokens || tensor.data.len() != batch * size {
        return Err(unfit());
    }
    let (from, to) = (at * size, (at + 1) * size);
    Ok(match &tensor.data {
        Data::Fp32(all) => pool::mean(&all[from..to], *width, span.clone()),
        other => pool::mean(&scores::floats(&other.slice(from, to)).ok_or_else(unfit)?, *width, span.clone()),
    })
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
            (Self::Speech(step), Value::Series(series)) => Value::Segments(step.segments(&series)),
            (Self::Scores(labels), Value::Vector(v)) => Value::Scores(labels.all(&v)),
            (Self::Name(labels), Value::Vector(v)) => {
                let class = *v.first().ok_or_else(unfit)?;
                Value::Label { label: labels.named(class).ok_or_else(unfit)? }
            }
            _ => return Err(unfit()),
        })
    }
}
