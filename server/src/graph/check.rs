//! A graph against its models: what each step takes must be what the steps before it give.

use super::{Combine, Field, Graph, Step, Work};
use crate::{
    error::StartError,
    pipeline::{Form, Pipeline, Target, image::Decode},
};
use millrace_crds::{self as crds, ColorOrder, DecodeImage, GraphStep, Infer, conditions::reason, graph_order};
use std::{fmt, sync::Arc};

/// What a step gives.
#[derive(Clone)]
struct Given {
    what: What,
    /// For each region that this step found; `None`: one thing.
    each: Option<usize>,
}

#[derive(Clone)]
enum What {
    Image(DecodeImage),
    /// A value, and the fields that it has.
    Value(Form, &'static [&'static str]),
}

/// What a step takes, in words, if it isn't what it gets.
type Unfit = &'static str;

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Image(_) => f.write_str("an image")?,
            What::Value(form, _) => form.fmt(f)?,
        }
        let is_regions = matches!(self.what, What::Value(Form::Boxes | Form::Regions, _));
        if self.each.is_some() && !is_regions { f.write_str(" for each region") } else { Ok(()) }
    }
}

/// Steps so far, and what they give.
struct Checked<'a> {
    models: &'a [(&'a str, Target<'a>)],
    steps: Vec<Step>,
    given: Vec<Given>,
}

impl Graph {
    /// Checks steps against models, which have a name each.
    ///
    /// # Errors
    /// `Invalid`: no acyclic graph. `PipelineMismatch`, naming the step and both sides.
    pub fn compile(steps: &[GraphStep], models: &[(&str, Target<'_>)]) -> Result<Self, StartError> {
        let invalid = |message: String| StartError::new(reason::INVALID, message);
        let order = graph_order(steps).map_err(|error| invalid(format!("pipeline.steps: {error}")))?;
        let mut checked = Checked { models, steps: Vec::new(), given: Vec::new() };
        for at in order {
            let step = &steps[at];
            checked.add(step).map_err(|error| {
                StartError::new(reason::PIPELINE_MISMATCH, format!("pipeline.steps: step {}: {error}", step.name))
            })?;
        }
        if let (Some(given @ Given { what: What::Image(_), .. }), Some(step)) =
            (checked.given.last(), checked.steps.last())
        {
            return Err(StartError::new(
                reason::PIPELINE_MISMATCH,
                format!("pipeline.steps: step {} is the answer, which is a value; it gives {given}", step.name),
            ));
        }
        let used =
            |at: usize| checked.steps.iter().any(|step| matches!(step.work, Work::Infer { model, .. } if model == at));
        if let Some(at) = (0..models.len()).find(|at| !used(*at)) {
            return Err(invalid(format!("no step runs the model {}", models[at].0)));
        }
        let takers = (0..checked.steps.len())
            .map(|at| (0..checked.steps.len()).filter(|next| checked.steps[*next].from.contains(&at)).collect())
            .collect();
        Ok(Self { steps: checked.steps, takers })
    }
}

impl Checked<'_> {
    fn add(&mut self, step: &GraphStep) -> Result<(), String> {
        let place = |name: &crds::Name| self.steps.iter().position(|earlier| earlier.name == name.as_str());
        // The order has them all earlier.
        let from: Vec<usize> = step.from.iter().filter_map(place).collect();
        let (work, given) = self.work(step, &from)?;
        self.steps.push(Step { name: step.name.to_string(), from, each: given.each.is_some(), work });
        self.given.push(given);
        Ok(())
    }

    fn work(&self, step: &GraphStep, from: &[usize]) -> Result<(Work, Given), String> {
        let GraphStep { name: _, from: _, decode_image, infer, crop, rotate, combine } = step;
        match (decode_image, infer, crop, rotate, combine) {
            (Some(spec), None, None, None, None) => {
                let &[] = from else { return Err(self.unfit("decodeImage", "the request", from)) };
                let decode = Decode { gray: spec.color == ColorOrder::Gray, max_pixels: spec.max_pixels };
                Ok((Work::Decode(decode), Given { what: What::Image(spec.clone()), each: None }))
            }
            (None, Some(spec), None, None, None) => self.infer(spec, from),
            (None, None, Some(spec), None, None) => {
                let given = self.crop(from).map_err(|takes| self.unfit("crop", takes, from))?;
                Ok((Work::Crop(spec.clone()), given))
            }
            (None, None, None, Some(spec), None) => {
                let given = self.rotate(from).map_err(|takes| self.unfit("rotate", takes, from))?;
                self.check_label(spec, from)?;
                Ok((Work::Rotate(spec.clone()), given))
            }
            (None, None, None, None, Some(spec)) => self.combine(spec, from),
            _ => Err("a step is exactly one of decodeImage, infer, crop, rotate, combine".to_owned()),
        }
    }

    fn infer(&self, spec: &Infer, from: &[usize]) -> Result<(Work, Given), String> {
        let found = self.models.iter().position(|(name, _)| *name == spec.model.as_str());
        let model = found.ok_or_else(|| format!("there is no model {}", spec.model))?;
        let (image, each) = match from {
            [] => (None, None),
            [one] => match &self.given[*one] {
                Given { what: What::Image(decode), each } => (Some(decode), *each),
                _ => return Err(self.unfit("infer", "the request, or an image", from)),
            },
            _ => return Err(self.unfit("infer", "the request, or an image", from)),
        };
        let of_model = |error: String| format!("model {}: {error}", spec.model);
        let pipeline =
            Pipeline::of(&spec.preprocess, &spec.postprocess, image, &self.models[model].1).map_err(of_model)?;
        if !pipeline.takes_raw() {
            return Err(of_model("it takes the request: begin its preprocess with a step that reads one".to_owned()));
        }
        let (form, fields) = pipeline.gives();
        let each = match (form, each) {
            (Form::Boxes | Form::Regions, None) => Some(self.steps.len()),
            (Form::Boxes | Form::Regions, Some(_)) => {
                return Err("it finds regions in each region; find them in the whole image".to_owned());
            }
            (_, each) => each,
        };
        let given = Given { what: What::Value(form, fields), each };
        Ok((Work::Infer { model, pipeline: Arc::new(pipeline) }, given))
    }

    fn crop(&self, from: &[usize]) -> Result<Given, Unfit> {
        const TAKES: Unfit = "an image, and the regions that were found in it";
        let &[image, regions] = from else { return Err(TAKES) };
        let (
            Given { what: What::Image(decode), each: None },
            Given { what: What::Value(Form::Boxes | Form::Regions, _), each: Some(finder) },
        ) = (&self.given[image], &self.given[regions])
        else {
            return Err(TAKES);
        };
        // A model that decodes the request itself looks at the same image as a step that does.
        let sought = &self.steps[*finder].from;
        let same = sought[..] == [image] || (sought.is_empty() && matches!(self.steps[image].work, Work::Decode(_)));
        if !same || *finder != regions {
            return Err(TAKES);
        }
        Ok(Given { what: What::Image(decode.clone()), each: Some(regions) })
    }

    fn rotate(&self, from: &[usize]) -> Result<Given, Unfit> {
        const TAKES: Unfit = "images, and a class with its score (argmax) for each";
        let &[images, classes] = from else { return Err(TAKES) };
        match (&self.given[images], &self.given[classes]) {
            (
                given @ Given { what: What::Image(_), each },
                Given { what: What::Value(Form::Classes, fields), each: other },
            ) if each == other && fields.contains(&"score") => Ok(given.clone()),
            _ => Err(TAKES),
        }
    }

    /// A class that the model doesn't have would never turn an image.
    fn check_label(&self, spec: &crds::Rotate, from: &[usize]) -> Result<(), String> {
        let Some(Work::Infer { pipeline, .. }) = from.get(1).map(|at| &self.steps[*at].work) else { return Ok(()) };
        if pipeline.may_give(spec.label.as_str()) {
            return Ok(());
        }
        Err(format!("rotate.label is {:?}; step {} gives no such class", spec.label.as_str(), self.steps[from[1]].name))
    }

    fn combine(&self, spec: &crds::Combine, from: &[usize]) -> Result<(Work, Given), String> {
        let &[first, ..] = from else { return Err(self.unfit("combine", "steps", from)) };
        let each = self.given[first].each;
        if from.iter().any(|at| matches!(self.given[*at].what, What::Image(_))) {
            return Err(self.unfit("combine", "values", from));
        }
        if from.iter().any(|at| self.given[*at].each != each) {
            return Err(self.unfit("combine", "values for the same regions", from));
        }
        let mut fields = Vec::new();
        for field in &spec.fields {
            let input = from.iter().position(|at| self.steps[*at].name == field.step.as_str()).ok_or_else(|| {
                format!("combine.fields: {} is of step {}, which isn't among from", field.name, field.step)
            })?;
            let given = &self.given[from[input]];
            let has = match given.what {
                What::Value(_, fields) => fields,
                What::Image(_) => &[],
            };
            if let Some(part) = &field.field
                && !has.contains(&part.as_str())
            {
                let has =
                    if has.is_empty() { "no fields".to_owned() } else { format!("the fields {}", has.join(", ")) };
                return Err(format!("combine.fields: {} takes {part}; step {} has {has}", field.name, field.step));
            }
            let part = field.field.as_ref().map(ToString::to_string);
            fields.push(Field { name: field.name.to_string(), input, field: part });
        }
        let keep = spec.keep.as_ref().map(|keep| {
            let score = |field: &Field| matches!(field.field.as_deref(), Some("score" | "value"));
            let place = fields.iter().position(|field| field.name == keep.field.as_str() && score(field));
            let place = place.ok_or_else(|| format!("combine.keep: {} is no field that is a score", keep.field))?;
            each.map(|_| (place, keep.at_least))
                .ok_or("combine.keep chooses among regions, and there are none")
                .map_err(str::to_owned)
        });
        let combine = Combine { fields, keep: keep.transpose()? };
        Ok((Work::Combine(combine), Given { what: What::Value(Form::Object, &[]), each }))
    }

    /// What a step takes, and what it gets instead.
    fn unfit(&self, step: &str, takes: &str, from: &[usize]) -> String {
        let gets = from.iter().map(|at| format!("step {} gives {}", self.steps[*at].name, self.given[*at]));
        let gets = gets.collect::<Vec<_>>().join(", ");
        let gets = if gets.is_empty() { "from names no step, which is the request".to_owned() } else { gets };
        format!("{step} takes {takes}; {gets}")
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
