//! What an engine runs before it serves, on the thread that it serves on: the first run of a shape allocates, compiles, and
//! on a GPU records a graph that only that thread can replay.

use crate::{
    engine::{Engine, EngineError},
    model,
    pipeline::Pipeline,
    protocol::tensor::{Signature, Tensor},
};

/// Shapes to run once each.
#[derive(Clone, Debug, Default)]
pub struct WarmUp {
    /// Batch sizes that batches are padded to, rising; empty: any.
    pub buckets: Vec<usize>,
    /// Lengths that inputs are padded to, rising.
    pub lengths: Vec<usize>,
    /// Inputs of a kind that zeros aren't.
    pub sample: Option<Vec<Tensor>>,
}

impl WarmUp {
    /// For a model behind a pipeline.
    #[must_use]
    pub fn of(pipeline: &Pipeline, signature: &Signature, buckets: Vec<usize>) -> Self {
        let lengths = pipeline.lengths().to_vec();
        // Zeros of each bucket and length are run anyway.
        let sample = if lengths.is_empty() { pipeline.sample(signature) } else { None };
        Self { buckets, lengths, sample: sample.filter(|_| signature.has_free_sizes()) }
    }

    /// Runs them.
    ///
    /// # Errors
    /// The engine fails.
    pub fn run(&self, engine: &mut dyn Engine) -> Result<(), EngineError> {
        model::warm_up(engine, &self.buckets, &self.lengths)?;
        self.sample.as_ref().map_or(Ok(()), |sample| engine.run(sample, &mut |_| {}))
    }
}
