//! A model with the steps around it: input steps, runs of the model, output steps.

use crate::{
    error::{Error, Kind},
    metrics::Times,
    pipeline::{Batch, Pipeline, Prepared, Runs, Value, audio::Sequence},
    protocol::tensor::Tensor,
    unit::{Turn, Unit},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::sync::Arc;

/// Runs of one request at a time. A request of thousands of items must not fill the queue, nor hold the outputs of all.
const SIDE_BY_SIDE: usize = 4;
/// Bytes of outputs from which on output steps are too long for a thread that carries the wire.
const LONG: usize = 1 << 20;

/// A model and its steps.
#[derive(Clone)]
pub struct Stage {
    /// The model.
    pub unit: Arc<Unit>,
    /// The steps.
    pub pipeline: Arc<Pipeline>,
}

/// Does what may take long on a thread that may be busy for long.
///
/// # Errors
/// Its own, or 500: it panicked.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::new(Kind::Engine, "a step of the pipeline failed"))?
}

impl Stage {
    /// What input steps made, through the model and its output steps.
    ///
    /// # Errors
    /// The engine failed; a full queue; 504.
    pub async fn run(&self, prepared: Prepared, turn: Turn) -> Result<(Value, Times), Error> {
        match prepared {
            Prepared::Answer(value) => Ok((value, Times { rows: 1, ..Times::default() })),
            Prepared::Runs(runs) => self.runs(runs, turn).await,
            Prepared::Sequence(sequence) => self.sequence(sequence, turn).await,
        }
    }

    /// A few runs at once: the batcher puts them together with those of other requests.
    async fn runs(&self, runs: Runs, turn: Turn) -> Result<(Value, Times), Error> {
        let mut done = stream::iter(runs.batches).map(|batch| self.batch(batch, turn)).buffer_unordered(SIDE_BY_SIDE);
        let mut times = Times::default();
        let mut values = Vec::new();
        while let Some((part, spent)) = done.try_next().await? {
            values.extend(part);
            times = times.beside(spent);
        }
        Ok((Runs::gather(runs.single, values), times))
    }

    /// One run after the other, each with the state that the one before it left.
    async fn sequence(&self, mut sequence: Sequence, turn: Turn) -> Result<(Value, Times), Error> {
        let mut times = Times { rows: 1, ..Times::default() };
        while let Some(inputs) = sequence.inputs() {
            let (outputs, spent) = self.infer(inputs, turn).await?;
            times = Times { rows: 1, ..times.after(spent) };
            let score = self.pipeline.score(&outputs)?;
            sequence.take(outputs, score)?;
        }
        Ok((self.pipeline.finish_series(sequence.finish())?, times))
    }

    async fn batch(&self, batch: Batch, turn: Turn) -> Result<(Vec<(usize, Value)>, Times), Error> {
        let (outputs, times) = self.infer(batch.inputs, turn).await?;
        let size: usize = outputs.iter().map(|tensor| tensor.data.heap_bytes()).sum();
        if size < LONG {
            return Ok((self.pipeline.finish(&batch.rows, &outputs)?, times));
        }
        let pipeline = Arc::clone(&self.pipeline);
        Ok((aside(move || pipeline.finish(&batch.rows, &outputs)).await?, times))
    }

    async fn infer(&self, inputs: Vec<Tensor>, turn: Turn) -> Result<(Vec<Tensor>, Times), Error> {
        self.unit.infer(inputs, turn).await
    }
}
