//! A raw input through the whole pipeline: input steps, runs of the model, output steps.

use crate::{
    admit::Permit,
    error::{Error, Kind},
    metrics::Times,
    pipeline::{Batch, Prepared, Raw, Runs, Value, audio::Sequence},
    protocol::{request::InferRequest, tensor::Tensor},
    replica::Replica,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{sync::Arc, time::Instant};

/// Runs of one request at a time: more of them than the engine is busy with would only fill the queue.
const AT_ONCE: usize = 4;

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
    let begun = Instant::now();
    let own = Arc::clone(replica);
    let task = tokio::task::spawn_blocking(move || (own.pipeline.prepare(&raw), permit));
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
    /// Several runs at once: the batcher puts them together with those of other requests.
    async fn runs(&self, runs: Runs) -> Result<(Value, Times), Error> {
        let begun = stream::iter(runs.batches).map(|batch| self.batch(batch)).buffered(AT_ONCE);
        let done: Vec<_> = begun.try_collect().await?;
        let mut times = Times::default();
        let mut values = Vec::new();
        for (part, spent) in done {
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
        Ok((self.replica.pipeline.finish(&batch.rows, &outputs)?, times))
    }

    async fn run(&self, inputs: Vec<Tensor>) -> Result<(Vec<Tensor>, Times), Error> {
        self.replica.infer_once(InferRequest { inputs, ..InferRequest::default() }, self.deadline).await
    }
}

/// Runs side by side took as long as the longest of them.
fn together(a: Times, b: Times) -> Times {
    Times { rows: a.rows + b.rows, queue: a.queue.max(b.queue), infer: a.infer.max(b.infer), ..a }
}
