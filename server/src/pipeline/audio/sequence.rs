//! Frames one after another, each with the state that the one before it left.

use super::Plan;
use crate::{
    error::{Error, Kind},
    pipeline::value::Series,
    protocol::{
        data::{Data, Datatype},
        shape,
        tensor::{Tensor, TensorSpec},
    },
};
use std::sync::Arc;

/// Frames of one request on their way through the model.
#[derive(Debug)]
pub struct Sequence {
    plan: Arc<Plan>,
    /// Context, then frames, the last one filled up.
    samples: Vec<f32>,
    /// Samples that were sent, at the model's rate.
    length: usize,
    /// Where the next frame begins.
    at: usize,
    state: Vec<Tensor>,
    scores: Vec<f32>,
}

impl Sequence {
    pub(super) fn new(plan: Arc<Plan>, samples: &[f32]) -> Self {
        let frames = samples.len().div_ceil(plan.frame);
        let mut padded = vec![0.0; plan.context + frames * plan.frame];
        padded[plan.context..plan.context + samples.len()].copy_from_slice(samples);
        let state = plan.state.iter().map(|carried| zeros(&carried.input)).collect();
        Self { plan, samples: padded, length: samples.len(), at: 0, state, scores: Vec::with_capacity(frames) }
    }

    /// Tensors of the next frame; `None`: there is none.
    #[must_use]
    pub fn inputs(&self) -> Option<Vec<Tensor>> {
        let frame = self.samples.get(self.at..self.at + self.plan.context + self.plan.frame)?;
        let mut inputs = self.plan.inputs(frame.to_vec(), 1);
        inputs.extend(self.state.iter().cloned());
        Some(inputs)
    }

    /// Takes what the model made of that frame; `score` is what output steps see of it.
    ///
    /// # Errors
    /// The model gave no such state.
    pub fn take(&mut self, mut outputs: Vec<Tensor>, score: f32) -> Result<(), Error> {
        for (state, carried) in self.state.iter_mut().zip(&self.plan.state) {
            let output = outputs
                .get_mut(carried.output)
                .filter(|output| carried.input.takes(&output.shape))
                .ok_or_else(|| Error::new(Kind::Engine, "the model's state isn't what its pipeline needs"))?;
            state.shape.clone_from(&output.shape);
            state.data = std::mem::replace(&mut output.data, Data::Bool(Vec::new()));
        }
        self.scores.push(score);
        self.at += self.plan.frame;
        Ok(())
    }

    /// What came of all frames.
    #[must_use]
    pub fn finish(self) -> Series {
        Series { scores: self.scores, frame: self.plan.frame, length: self.length, rate: self.plan.rate }
    }
}

/// A state before the first frame: free dimensions are the batch, which is one.
fn zeros(input: &TensorSpec) -> Tensor {
    let shape: Vec<usize> = input.shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(1)).collect();
    let mut data = input.datatype.empty();
    data.pad(shape::count(&shape).unwrap_or(0));
    Tensor { name: input.name.clone(), shape, data }
}

/// The sample rate as the model takes it.
pub(super) fn rate(input: &TensorSpec, rate: u32) -> Tensor {
    let shape: Vec<usize> = input.shape.iter().map(|_| 1).collect();
    let data = match input.datatype {
        Datatype::Int64 => Data::Int64(vec![rate.into()]),
        // Rates are below the sign bit.
        _ => Data::Int32(vec![i32::try_from(rate).unwrap_or(i32::MAX)]),
    };
    Tensor { name: input.name.clone(), shape, data }
}
