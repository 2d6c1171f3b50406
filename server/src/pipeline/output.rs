//! Output steps: output tensors of one row to a value. What each takes must be what the one before it gives.

use super::{
    Note, Row, Series, Target, Value,
    audio::speech::SpeechStep,
    boxes::NonMaxStep,
    classes::{Classes, Labels, ThresholdStep},
    ctc::CtcStep,
    pool,
    regions::RegionsStep,
    scores,
};
use crate::{
    error::{Error, Kind},
    protocol::{
        data::Data,
        tensor::{Signature, Tensor, TensorSpec},
    },
};
use millrace_crds::{LabelMap, PostprocessStep, Token};
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
    /// Boxes in an image.
    Boxes,
    /// Regions of an image.
    Regions,
    /// A text.
    Text,
    /// Parts of other forms.
    Object,
    /// A score for each frame.
    Series,
    /// Stretches of audio.
    Segments,
}

/// What output steps begin with, as the input steps make it.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Scores of a sequence of frames, rather than the outputs of one run.
    pub series: bool,
    /// Outputs that are state: no step means them unless it names them.
    pub carried: Vec<usize>,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vector => "a vector",
            Self::Classes => "classes",
            Self::Number => "a number",
            Self::Boxes => "boxes",
            Self::Regions => "regions",
            Self::Text => "a text",
            Self::Object => "an object",
            Self::Series => "a series of frames",
            Self::Segments => "segments",
        })
    }
}

impl Form {
    /// Whether it is made of several vectors.
    fn is_of_several(self) -> bool {
        matches!(self, Self::Boxes | Self::Regions | Self::Text)
    }
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

/// What the checks know when a step's turn comes.
struct Checked<'a> {
    target: &'a Target<'a>,
    signature: &'a Signature,
    start: &'a Start,
    first: bool,
    tensor: Option<usize>,
    pooled: bool,
    form: Form,
}

impl Output {
    /// Checks steps in order.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(steps: &[PostprocessStep], start: &Start, target: &Target<'_>) -> Result<Self, String> {
        let form = if start.series { Form::Series } else { Form::Vector };
        let mut checked =
            Checked { target, signature: target.signature, start, first: true, tensor: None, pooled: false, form };
        let steps: Result<Vec<Step>, String> = steps
            .iter()
            .map(|step| {
                let step = checked.step(step)?;
                checked.first = false;
                Ok(step)
            })
            .collect();
        if start.series && checked.tensor.is_none() {
            checked.tensor = Some(checked.find(None)?);
        }
        Ok(Self { steps: steps?, tensor: checked.tensor.unwrap_or(0), form: checked.form })
    }

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

/// What a step takes, and what the model gives instead.
fn unlike(step: &str, takes: &str, spec: &TensorSpec) -> String {
    format!("postprocess: {step} takes {takes}; the model gives {}", Signature::describe(std::slice::from_ref(spec)))
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

impl<'a> Checked<'a> {
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
                Step::Argmax(Classes::check(&s.labels, width, self.target)?)
            }
            PostprocessStep::TopK(s) => {
                let width = self.pass("topK", Vector, Named, s.output.as_ref())?;
                Step::TopK(usize::try_from(s.k).unwrap_or(1), Classes::check(&s.labels, width, self.target)?)
            }
            PostprocessStep::Threshold(s) => {
                self.pass("threshold", Named, Named, None)?;
                Step::Threshold(ThresholdStep::compile(s))
            }
            PostprocessStep::Regression(s) => {
                self.pass("regression", Vector, Number, s.output.as_ref())?;
                Step::Regression(s.unit.as_ref().map(ToString::to_string))
            }
            PostprocessStep::MeanPool(s) => {
                if !self.first || self.form != Vector {
                    return Err("postprocess: meanPool takes what the model gives: it is the first step".to_owned());
                }
                let found = self.find(s.output.as_ref().map(Token::as_str))?;
                let spec = &self.signature.outputs[found];
                if spec.shape.len() != 3 {
                    return Err(unlike("meanPool", "[batch, tokens, width]", spec));
                }
                self.tensor = Some(found);
                self.pooled = true;
                Step::MeanPool
            }
            PostprocessStep::LabelMap(s) => self.label_map(s)?,
            PostprocessStep::Regions(s) => {
                let spec = self.whole("regions", Form::Regions, s.output.as_ref())?;
                Step::Regions(RegionsStep::compile(s, spec).map_err(|takes| unlike("regions", &takes, spec))?)
            }
            PostprocessStep::CtcDecode(s) => {
                let spec = self.whole("ctcDecode", Form::Text, s.output.as_ref())?;
                let [_, _, classes] = spec.shape[..] else {
                    return Err(unlike("ctcDecode", "[batch, steps, classes]", spec));
                };
                Step::Ctc(CtcStep::compile(s, Some(classes), self.target)?)
            }
            PostprocessStep::NonMaxSuppression(s) => {
                if !self.first {
                    return Err(
                        "postprocess: nonMaxSuppression takes the model's output; no step comes before it".to_owned()
                    );
                }
                self.pass("nonMaxSuppression", Vector, Form::Boxes, s.output.as_ref())?;
                let scores = s.scores.as_ref().map(|name| self.find(Some(name.as_str()))).transpose()?;
                Step::NonMax(NonMaxStep::compile(s, self.tensor.unwrap_or(0), scores, self.target)?)
            }
            PostprocessStep::SpeechSegments(s) => {
                self.pass("speechSegments", Form::Series, Form::Segments, s.output.as_ref())?;
                Step::Speech(SpeechStep::compile(s)?)
            }
        })
    }

    /// Scores with names; or the name of a class, where the model gives its number.
    fn label_map(&mut self, spec: &LabelMap) -> Result<Step, String> {
        let name = spec.output.as_ref().map(Token::as_str);
        let classes = |one: &&TensorSpec| scores::whole(one.datatype) && name.is_none_or(|name| name == one.name);
        let at = self.signature.outputs.iter().position(|one| classes(&one));
        let alone = name.is_some() || self.signature.outputs.len() == 1;
        if let (Some(at), None, true) = (at, self.tensor, alone) {
            self.tensor = Some(at);
            self.form = Form::Classes;
            return Classes::check(&spec.labels, None, self.target).map(Step::Name);
        }
        let width = self.pass("labelMap", Form::Vector, Form::Classes, spec.output.as_ref())?;
        Classes::check(&spec.labels, width, self.target).map(Step::Scores)
    }

    /// A step on all that an output holds of a row; no other comes before or after it. Gives that output.
    fn whole(&mut self, step: &str, gives: Form, output: Option<&Token>) -> Result<&'a TensorSpec, String> {
        if !self.first {
            return Err(format!("postprocess: {step} takes the model's output; no step comes before it"));
        }
        self.pass(step, Form::Vector, gives, output)?;
        Ok(&self.signature.outputs[self.tensor.unwrap_or(0)])
    }

    /// A step takes one form and gives another. The first step on numbers settles which output is meant; gives the last
    /// dimension of that output.
    fn pass(&mut self, step: &str, takes: Form, gives: Form, output: Option<&Token>) -> Result<Option<i64>, String> {
        if takes != self.form {
            return Err(format!("postprocess: {step} takes {takes}; what comes before it gives {}", self.form));
        }
        self.form = gives;
        if matches!(takes, Form::Vector | Form::Series) && (self.tensor.is_none() || output.is_some()) {
            let found = self.find(output.map(Token::as_str))?;
            if self.tensor.is_some_and(|earlier| earlier != found) {
                return Err("postprocess: its steps name different outputs".to_owned());
            }
            self.tensor = Some(found);
        }
        // Vectors of tokens or boxes aren't one vector: how many there are is known from the input alone.
        let several = |spec: &TensorSpec| spec.shape.iter().skip(1).rev().skip(1).any(|&dim| dim < 0);
        if let Some(spec) =
            self.spec().filter(|spec| takes == Form::Vector && !gives.is_of_several() && !self.pooled && several(spec))
        {
            return Err(format!(
                "postprocess: {step} takes a vector; the model gives {}: begin with meanPool",
                Signature::describe(std::slice::from_ref(spec))
            ));
        }
        Ok(self.spec().and_then(|spec| spec.shape.last().copied()))
    }

    fn spec(&self) -> Option<&TensorSpec> {
        self.tensor.and_then(|at| self.signature.outputs.get(at))
    }

    /// An output by name; without one, the only one. It must hold floats.
    fn find(&self, name: Option<&str>) -> Result<usize, String> {
        let outputs = &self.signature.outputs;
        let gives = Signature::describe(outputs);
        let at = match name {
            Some(name) => outputs
                .iter()
                .position(|spec| spec.name == name)
                .ok_or_else(|| format!("postprocess takes the output {name:?}; the model gives {gives}"))?,
            None => match (0..outputs.len()).filter(|at| !self.start.carried.contains(at)).collect::<Vec<_>>()[..] {
                [only] => only,
                _ => return Err(format!("postprocess names no output, and the model gives several: {gives}")),
            },
        };
        if !scores::numeric(outputs[at].datatype) {
            return Err(format!("postprocess takes numbers; the model gives {gives}"));
        }
        Ok(at)
    }
}
