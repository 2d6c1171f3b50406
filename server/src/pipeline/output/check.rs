//! Output steps against the model: what each takes must be what the one before it gives.

use super::{Form, Output, Start, Step};
use crate::{
    pipeline::{
        Target,
        audio::speech::SpeechStep,
        boxes::NonMaxStep,
        classes::{Classes, ThresholdStep},
        ctc::CtcStep,
        regions::RegionsStep,
        scores,
    },
    protocol::tensor::{Signature, TensorSpec},
};
use millrace_crds::{LabelMap, PostprocessStep, Token};

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
}

/// What a step takes, and what the model gives instead.
fn unlike(step: &str, takes: &str, spec: &TensorSpec) -> String {
    format!("postprocess: {step} takes {takes}; the model gives {}", Signature::describe(std::slice::from_ref(spec)))
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
