//! Audio to tensors: decode, mono, sample rate, frames; with state, frame after frame.

mod decode;
mod resample;
mod sequence;
pub mod speech;

pub use sequence::Sequence;

use super::{Batch, Note, Prepared, Row, Runs, Target};
use crate::{
    error::Error,
    protocol::{
        data::{Data, Datatype},
        tensor::{Signature, Tensor, TensorSpec},
    },
};
use millrace_crds::{self as crds, Token};
use std::sync::Arc;

/// An audio step that fits its model.
pub struct AudioStep {
    plan: Arc<Plan>,
    max_seconds: u32,
    max_rows: usize,
}

/// What the model takes of each frame.
#[derive(Debug)]
struct Plan {
    rate: u32,
    /// 0: the whole.
    frame: usize,
    context: usize,
    input: TensorSpec,
    rate_input: Option<TensorSpec>,
    state: Vec<Carried>,
}

/// A tensor that goes from frame to frame.
#[derive(Debug)]
struct Carried {
    input: TensorSpec,
    /// Place of the output.
    output: usize,
}

impl AudioStep {
    /// Checks the step against the model.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(spec: &crds::Audio, target: &Target<'_>) -> Result<Self, String> {
        let signature = target.signature;
        let takes = Signature::describe(&signature.inputs);
        let size = |number: u32| usize::try_from(number).map_err(|_| "preprocess: audio.frame is too large".to_owned());
        let (frame, context) = (size(spec.frame)?, size(spec.context)?);
        if frame == 0 && (context > 0 || !spec.state.is_empty()) {
            return Err("preprocess: audio.context and audio.state go from frame to frame: give audio.frame".to_owned());
        }
        let state: Result<Vec<Carried>, String> = spec.state.iter().map(|state| carried(state, signature)).collect();
        let state = state?;
        let rate_input = spec.rate_input.as_ref().map(|name| find(name, "rateInput", signature)).transpose()?;
        if let Some(rate) = &rate_input
            && !(matches!(rate.datatype, Datatype::Int64 | Datatype::Int32)
                && rate.shape.iter().all(|&dim| dim < 0 || dim == 1))
        {
            return Err(format!("preprocess: audio.rateInput is one whole number; the model takes {takes}"));
        }
        let named = |name: &str| {
            rate_input.as_ref().is_some_and(|rate| rate.name == name)
                || state.iter().any(|carried| carried.input.name == name)
        };
        let input = match &spec.input {
            Some(name) => find(name, "input", signature)?,
            None => match signature.inputs.iter().filter(|input| !named(&input.name)).collect::<Vec<_>>()[..] {
                [input] => input.clone(),
                _ => {
                    return Err(format!(
                        "preprocess: audio makes one tensor of samples; the model takes {takes}; name audio.input, audio.rateInput and audio.state"
                    ));
                }
            },
        };
        if let Some(other) = signature.inputs.iter().find(|other| other.name != input.name && !named(&other.name)) {
            return Err(format!("preprocess: audio makes nothing for {:?}; the model takes {takes}", other.name));
        }
        let length = if frame == 0 { -1 } else { i64::try_from(frame + context).unwrap_or(-1) };
        let fits = |dims: &[i64]| match dims {
            [batch, middle @ .., samples] if middle.len() < 2 => {
                *batch < 2 && middle.iter().all(|&dim| dim < 2) && (*samples < 0 || *samples == length)
            }
            _ => false,
        };
        if input.datatype != Datatype::Fp32 || !fits(&input.shape) {
            return Err(format!("preprocess: audio makes FP32[1, {length}] of samples; the model takes {takes}"));
        }
        let plan = Plan { rate: spec.sample_rate, frame, context, input, rate_input, state };
        Ok(Self { plan: Arc::new(plan), max_seconds: spec.max_seconds, max_rows: target.max_rows.max(1) })
    }

    /// Whether the answer is of a whole sequence.
    #[must_use]
    pub fn is_sequence(&self) -> bool {
        !self.plan.state.is_empty()
    }

    /// Places of outputs that are state.
    #[must_use]
    pub fn carried(&self) -> Vec<usize> {
        self.plan.state.iter().map(|carried| carried.output).collect()
    }

    /// What the model is run on for a frame of silence; `None`: it takes the whole, of whatever length that is.
    #[must_use]
    pub fn silence(&self) -> Option<Vec<Tensor>> {
        let Plan { frame, context, .. } = *self.plan;
        if frame == 0 {
            return None;
        }
        if self.is_sequence() {
            return Sequence::new(Arc::clone(&self.plan), &vec![0.0; frame]).inputs();
        }
        Some(self.plan.inputs(vec![0.0; context + frame], 1))
    }

    /// What the model is run on, for an audio file.
    ///
    /// # Errors
    /// 400: no audio, or broken audio. 422: too long, or of a kind that isn't taken.
    pub fn prepare(&self, body: &[u8]) -> Result<Prepared, Error> {
        let mono = decode::read(body, self.max_seconds)?;
        let samples = resample::resample(mono.samples, mono.rate, self.plan.rate);
        Ok(if self.is_sequence() {
            Prepared::Sequence(Sequence::new(Arc::clone(&self.plan), &samples))
        } else if self.plan.frame == 0 {
            Prepared::Runs(Runs::one(self.plan.inputs(samples, 1), Note::None))
        } else {
            Prepared::Runs(self.frames(&samples))
        })
    }

    /// Frames that don't depend on each other: as many in a run as the model takes.
    fn frames(&self, samples: &[f32]) -> Runs {
        let Plan { frame, context, .. } = *self.plan;
        let count = samples.len().div_ceil(frame);
        let mut padded = vec![0.0; context + count * frame];
        padded[context..context + samples.len()].copy_from_slice(samples);
        let all: Vec<usize> = (0..count).collect();
        let batches = all.chunks(self.max_rows).map(|places| {
            let rows = places.iter().map(|&at| Row { at, note: Note::None }).collect();
            let own = places.iter().flat_map(|at| &padded[at * frame..(at + 1) * frame + context]).copied().collect();
            Batch { inputs: self.plan.inputs(own, places.len()), rows }
        });
        Runs { batches: batches.collect(), single: false }
    }
}

impl Plan {
    /// The tensor of samples, and the one of the rate.
    fn inputs(&self, samples: Vec<f32>, rows: usize) -> Vec<Tensor> {
        let mut shape = vec![1; self.input.shape.len()];
        if let Some(last) = shape.last_mut() {
            *last = samples.len() / rows.max(1);
        }
        if let Some(first) = shape.first_mut().filter(|_| rows > 1) {
            *first = rows;
        }
        let mut inputs = vec![Tensor { name: self.input.name.clone(), shape, data: Data::Fp32(samples) }];
        inputs.extend(self.rate_input.as_ref().map(|input| sequence::rate(input, self.rate)));
        inputs
    }
}

fn find(name: &Token, field: &str, signature: &Signature) -> Result<TensorSpec, String> {
    let found = signature.inputs.iter().find(|input| input.name == name.as_str());
    found.cloned().ok_or_else(|| {
        format!("preprocess: audio.{field} is {name}; the model takes {}", Signature::describe(&signature.inputs))
    })
}

fn carried(state: &crds::CarriedState, signature: &Signature) -> Result<Carried, String> {
    let input = find(&state.input, "state.input", signature)?;
    let gives = Signature::describe(&signature.outputs);
    let output = signature
        .outputs
        .iter()
        .position(|output| output.name == state.output.as_str())
        .ok_or_else(|| format!("preprocess: audio.state.output is {}; the model gives {gives}", state.output))?;
    let given = &signature.outputs[output];
    let alike = given.datatype == input.datatype
        && given.shape.len() == input.shape.len()
        && given.shape.iter().zip(&input.shape).all(|(&a, &b)| a < 0 || b < 0 || a == b);
    if !alike {
        return Err(format!(
            "preprocess: audio.state carries {} {}{:?} to {} {}{:?}, which differ",
            given.name,
            given.datatype.name(),
            given.shape,
            input.name,
            input.datatype.name(),
            input.shape
        ));
    }
    Ok(Carried { input, output })
}

#[cfg(test)]
#[path = "audio_tests.rs"]
mod tests;
