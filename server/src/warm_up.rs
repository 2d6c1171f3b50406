//! What an engine runs before it serves, on the thread that it serves on: the first run of a shape allocates, compiles, and
//! on a GPU records a graph that only that thread can replay.

use crate::{
    engine::{Engine, EngineError},
    pipeline::Pipeline,
    protocol::{
        data::Datatype,
        shape,
        tensor::{Signature, Tensor, TensorSpec},
    },
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
        run_zeros(engine, &self.buckets, &self.lengths)?;
        self.sample.as_ref().map_or(Ok(()), |sample| engine.run(sample, &mut |_| {}))
    }
}

/// Runs the model on zeros, once for each bucket of rows and each length: the first run allocates and compiles.
/// `lengths` are those that the pipeline gives the dimensions that are free besides the batch.
///
/// # Errors
/// The engine fails.
pub fn run_zeros(engine: &mut dyn Engine, buckets: &[usize], lengths: &[usize]) -> Result<(), EngineError> {
    let signature = engine.signature().clone();
    let rows: Vec<usize> = if buckets.is_empty() || !signature.batches() { vec![1] } else { buckets.to_vec() };
    // A free dimension has no size that fits every model: without one from the pipeline, such a model isn't run.
    // Nor is one that takes texts: an empty one may be none of its categories.
    if signature.inputs.iter().any(|spec| spec.datatype == Datatype::Bytes) {
        return Ok(());
    }
    let lengths = if signature.has_free_sizes() { lengths } else { &[1] };
    for (&rows, &length) in rows.iter().flat_map(|rows| lengths.iter().map(move |length| (rows, length))) {
        engine.run(&zeros(&signature, rows, length), &mut |_| {})?;
    }
    Ok(())
}

/// Inputs full of zeros: `rows` of them, with `length` for whatever else is free.
#[must_use]
pub fn zeros(signature: &Signature, rows: usize, length: usize) -> Vec<Tensor> {
    let tensor = |spec: &TensorSpec| {
        let size = |(at, &dim): (usize, &i64)| {
            usize::try_from(dim).unwrap_or(if at == 0 && signature.batches() { rows } else { length })
        };
        let shape: Vec<usize> = spec.shape.iter().enumerate().map(size).collect();
        let mut data = spec.datatype.empty();
        data.pad(shape::count(&shape).unwrap_or(0));
        Tensor { name: spec.name.clone(), shape, data }
    };
    signature.inputs.iter().map(tensor).collect()
}
