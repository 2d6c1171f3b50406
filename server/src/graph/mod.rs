//! Several models in one service: an acyclic graph of steps. One request fans out to the regions of an image, whose runs
//! the batcher of each model puts together with those of other requests, and in again to one answer.

pub mod build;
mod check;
mod run;

use crate::{
    node::rising,
    openapi::Content,
    pipeline::{
        Pipeline,
        image::{Decode, Pixels},
        schema,
    },
    protocol::{
        data::Datatype,
        tensor::{Signature, TensorSpec},
    },
};
use millrace_crds::{Crop, Rotate};
use schemars::SchemaGenerator;
use std::sync::Arc;

/// Bytes of a pixel.
const CHANNELS: u64 = 3;

/// A graph that was checked against its models.
pub struct Graph {
    /// In an order in which each comes after those that it takes; the last one is the answer.
    steps: Vec<Step>,
    /// For each step, those that take it.
    takers: Vec<Vec<usize>>,
}

/// A step.
struct Step {
    name: String,
    /// Steps whose outputs it takes; none: the request.
    from: Vec<usize>,
    /// Whether it gives something for each region.
    each: bool,
    work: Work,
}

/// What a step does.
enum Work {
    Decode(Decode),
    Infer { model: usize, pipeline: Arc<Pipeline> },
    Crop(Crop),
    Rotate(Rotate),
    Combine(Combine),
}

/// A combine step, with what its fields are taken from.
struct Combine {
    fields: Vec<Field>,
    /// The place of a field, and its least value.
    keep: Option<(usize, f64)>,
}

/// A field of a combined object.
struct Field {
    name: String,
    /// Which of the step's inputs.
    input: usize,
    /// Which field of it; `None`: all of it.
    field: Option<String>,
}

impl Graph {
    /// Whether a body is read as JSON, given whether its content type is.
    #[must_use]
    pub fn reads_json(&self, json: bool) -> bool {
        self.on_request().any(|pipeline| pipeline.reads_json(json))
    }

    /// The forms of a request by their media types.
    #[must_use]
    pub fn forms(&self, generator: &mut SchemaGenerator) -> Content {
        let first = self.steps.iter().filter(|step| step.from.is_empty());
        let forms = first.flat_map(|step| match &step.work {
            Work::Infer { pipeline, .. } => pipeline.forms(generator),
            _ => schema::bytes(&schema::IMAGES),
        });
        forms.collect()
    }

    /// Sizes that a model's dimensions have, if they are free besides the batch; rising.
    #[must_use]
    pub fn lengths(&self, model: usize) -> Vec<usize> {
        let of_model = |step: &Step| match &step.work {
            Work::Infer { model: own, pipeline } if *own == model => pipeline.lengths().to_vec(),
            _ => Vec::new(),
        };
        rising(self.steps.iter().flat_map(of_model).collect())
    }

    /// Bytes of images that one request may hold at a time.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        let sum = |of: &dyn Fn(&Step) -> u64| self.steps.iter().map(of).fold(0, u64::saturating_add);
        let made = |each: bool| {
            sum(&|step| match &step.work {
                Work::Decode(decode) if !each => decode.max_pixels,
                Work::Crop(spec) if each => spec.max_pixels,
                _ => 0,
            })
        };
        // At the most, each of them is turned.
        let turned = sum(&|step| if matches!(step.work, Work::Rotate(_)) { made(step.each) } else { 0 });
        (made(false).saturating_add(made(true)).saturating_add(turned)).saturating_mul(CHANNELS)
    }

    /// What clients see of it: the request goes in as bytes, and JSON comes out.
    #[must_use]
    pub fn signature(&self) -> Signature {
        let bytes = |name: &str| TensorSpec { name: name.to_owned(), datatype: Datatype::Bytes, shape: vec![1] };
        let answer = self.steps.last().map_or("answer", |step| step.name.as_str());
        Signature { inputs: vec![bytes("request")], outputs: vec![bytes(answer)] }
    }

    /// Steps that take the request, and a model's.
    fn on_request(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.steps.iter().filter(|step| step.from.is_empty()).filter_map(|step| match &step.work {
            Work::Infer { pipeline, .. } => Some(pipeline),
            _ => None,
        })
    }
}

/// Bytes of an image.
fn bytes_of(image: &Pixels) -> usize {
    image.data.len()
}
