//! A raw input through the whole pipeline: input steps, runs of the model, output steps.

use crate::{
    admit::Permit,
    error::{Error, Kind},
    metrics::Times,
    pipeline::{Batch, Pipeline, Prepared, Raw, Runs, Value, audio::Sequence},
    protocol::{request::InferRequest, tensor::Tensor},
    replica::Replica,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{sync::Arc, time::Instant};

/// Runs of one request at a time. A request of thousands of items must not fill the queue, nor hold the outputs of all.
const SIDE_BY_SIDE: usize = 4;
/// Bytes of outputs from which on output steps are too long for a thread that carries the wire.
const LONG: usize = 1 << 20;

/// A raw input, processed.
pub struct Processed {
    /// The answer.
    pub value: Value,
    /// Where the time went.
    pub times: Times,
}

/// One request on its way through the pipeline.
struct Work {
    replica: Arc<Replica>,
    deadline: Instant,
}

/// Processes a raw input. The permit is held as long as the work goes on.
///
/// # Errors
/// An input that the pipeline can't process; the engine failed; 504.
pub async fn process(
    replica: &Arc<Replica>,
    raw: Raw,
    deadline: Instant,
    permit: Permit,
) -> Result<(Processed, Permit), Error> {
    process_by(replica, move |pipeline| pipeline.prepare(&raw), deadline, permit).await
}

/// The same, with input steps of the caller's choice; they run on a thread that may be busy for long.
///
/// # Errors
/// As [`process`].
pub async fn process_by(
    replica: &Arc<Replica>,
    prepare: impl FnOnce(&Pipeline) -> Result<Prepared, Error> + Send + 'static,
    deadline: Instant,
    permit: Permit,
) -> Result<(Processed, Permit), Error> {
    let begun = Instant::now();
    let own = Arc::clone(replica);
    let place = tokio::time::timeout_at(deadline.into(), Arc::clone(&replica.preparing).acquire_owned())
        .await
        .map_err(|_| Error::new(Kind::Deadline, "the deadline passed"))?;
    let task = tokio::task::spawn_blocking(move || {
        // Held to the end of the work, also if nobody waits for it any more.
        let _place = place;
        (prepare(&own.pipeline), permit)
    });
    let (prepared, permit) = task.await.map_err(|_| Error::new(Kind::Engine, "pre-processing failed"))?;
    let input = begun.elapsed();
    let work = Work { replica: Arc::clone(replica), deadline };
    let (value, times) = match prepared? {
        Prepared::Answer(value) => (value, Times { rows: 1, ..Times::default() }),
        Prepared::Runs(runs) => work.runs(runs).await?,
        Prepared::Sequence(sequence) => work.sequence(sequence).await?,
    };
    let times = Times { input, ..times };
    Ok((Processed { value, times }, permit))
}

impl Work {
    /// A few runs at once: the batcher puts them together with those of other requests.
    async fn runs(&self, runs: Runs) -> Result<(Value, Times), Error> {
        let mut done = stream::iter(runs.batches).map(|batch| self.batch(batch)).buffer_unordered(SIDE_BY_SIDE);
        let mut times = Times::default();
        let mut values = Vec::new();
        while let Some((part, spent)) = done.try_next().await? {
            values.extend(part);
            times = together(times, spent);
        }
        Ok((Runs::gather(runs.single, values), times))
    }

    /// One run after the other, each with the state that the one before it left.
    async fn sequence(&self, mut sequence: Sequence) -> Result<(Value, Times), Error> {
        let mut times = Times { rows: 1, ..Times::default() };
        while let Some(inputs) = sequence.inputs() {
            let (outputs, spent) = self.run(inputs).await?;
            times = Times { queue: times.queue + spent.queue, infer: times.infer + spent.infer, ..times };
            let score = self.replica.pipeline.score(&outputs)?;
            sequence.take(outputs, score)?;
        }
        Ok((self.replica.pipeline.finish_series(sequence.finish())?, times))
    }

    async fn batch(&self, batch: Batch) -> Result<(Vec<(usize, Value)>, Times), Error> {
        let (outputs, times) = self.run(batch.inputs).await?;
        let size: usize = outputs.iter().map(|tensor| tensor.data.heap_bytes()).sum();
        if size < LONG {
            return Ok((self.replica.pipeline.finish(&batch.rows, &outputs)?, times));
        }
        let replica = Arc::clone(&self.replica);
        let task = tokio::task::spawn_blocking(move || replica.pipeline.finish(&batch.rows, &outputs));
        let values = task.await.map_err(|_| Error::new(Kind::Engine, "post-processing failed"))?;
        Ok((values?, times))
    }

    async fn run(&self, inputs: Vec<Tensor>) -> Result<(Vec<Tensor>, Times), Error> {
        self.replica.infer_once(InferRequest { inputs, ..InferRequest::default() }, self.deadline).await
    }
}

/// Runs side by side took as long as the longest of them.
fn together(a: Times, b: Times) -> Times {
    Times { rows: a.rows + b.rows, queue: a.queue.max(b.queue), infer: a.infer.max(b.infer), ..a }
}
