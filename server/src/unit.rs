//! A model with its queue, its batcher and its engines: what a service runs, or one of several that it runs.

use crate::{
    answers::{Answer, Answers},
    engine::{better::BuildState, ort::provide::Provided, replaceable::EngineState},
    error::{Error, Kind, StartError},
    load::Threads,
    metrics::{Runs, Times},
    protocol::{
        request,
        tensor::{Signature, Tensor},
    },
    worker::{Unstarted, WorkOptions, Workers},
};
use millrace_crds::conditions::reason;
use std::{sync::Arc, time::Instant};

/// How urgent work is, and when it is of no use any more.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// 0 is the most urgent lane.
    pub lane: usize,
    /// When its answer must be there.
    pub deadline: Instant,
}

/// A model.
pub struct Unit {
    /// Inputs and outputs.
    pub signature: Signature,
    /// Rows in a request at most.
    pub max_rows: usize,
    /// Its engine threads.
    pub workers: Arc<Workers>,
    /// How its engines fare, as far as they tell.
    pub engines: Vec<Arc<EngineState>>,
    /// How the build of better engines fares, if there is one.
    pub build: Option<Arc<BuildState>>,
}

impl Unit {
    /// A model whose engines have run once on each shape, and its engine threads.
    ///
    /// # Errors
    /// The model fails on zeros, or the system gives no thread.
    pub fn start(
        signature: Signature,
        provided: Provided,
        options: WorkOptions,
        counted: Runs,
    ) -> Result<(Arc<Self>, Threads), StartError> {
        let Provided { engines, build } = provided;
        let max_rows = options.bounds.rows;
        let spares = engines.iter().filter_map(|engine| engine.spare());
        let states = spares.map(|spare| Arc::clone(spare.state())).collect();
        let (workers, threads) = Workers::start(engines, options, counted).map_err(|error| match error {
            Unstarted::Thread(_) => StartError::new(reason::INVALID, error.to_string()),
            Unstarted::WarmUp(ref why) => {
                tracing::error!(error = %why, "warm-up");
                StartError::new(reason::MODEL_INVALID, error.to_string())
            }
        })?;
        Ok((Arc::new(Self { signature, max_rows, workers, engines: states, build }), threads))
    }

    /// Whether an engine is up.
    #[must_use]
    pub fn has_engine(&self) -> bool {
        self.engines.is_empty() || self.engines.iter().any(|engine| engine.is_up())
    }

    /// Whether it can still come back by itself.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let lost = !self.engines.is_empty() && self.engines.iter().all(|engine| engine.is_lost());
        !lost && !self.workers.is_stuck()
    }

    /// Runs that one request has in the queue and the engine at a time: two batches, so that the next one is full as well.
    #[must_use]
    pub fn side_by_side(&self) -> usize {
        Self::most_side_by_side(self.max_rows)
    }

    /// The same for a model that takes so many rows.
    #[must_use]
    pub fn most_side_by_side(max_rows: usize) -> usize {
        max_rows.saturating_mul(2).clamp(4, 64)
    }

    /// Checks tensors and sends them to the engine; answers come one by one. Gives the number of rows as well.
    ///
    /// # Errors
    /// Tensors that don't fit the model, or a full queue.
    pub fn submit(&self, inputs: Vec<Tensor>, turn: Turn) -> Result<(Answers, usize), Error> {
        let (inputs, rows) = request::fit(inputs, &self.signature, self.max_rows)?;
        for (spec, tensor) in self.signature.inputs.iter().zip(&inputs) {
            spec.check_texts(&tensor.data)?;
        }
        Ok((self.workers.submit(inputs, rows, turn.lane, turn.deadline)?, rows))
    }

    /// The first answer.
    ///
    /// # Errors
    /// As [`Self::submit`]; the engine failed; 504.
    pub async fn infer(&self, inputs: Vec<Tensor>, turn: Turn) -> Result<(Vec<Tensor>, Times), Error> {
        let (mut answers, rows) = self.submit(inputs, turn)?;
        first_answer(&mut answers, rows, turn.deadline).await
    }
}

/// The first answer of several, and its times.
///
/// # Errors
/// The engine failed, or 504.
pub async fn first_answer(
    answers: &mut Answers,
    rows: usize,
    deadline: Instant,
) -> Result<(Vec<Tensor>, Times), Error> {
    let answer =
        next_answer(answers, deadline).await?.ok_or_else(|| Error::new(Kind::Engine, "the model gave no answer"))?;
    Ok((answer.outputs, Times { rows, queue: answer.queued, infer: answer.computed, ..Times::default() }))
}

/// The next answer before the deadline; `None`: there are no more.
///
/// # Errors
/// The engine failed, or 504.
pub async fn next_answer(answers: &mut Answers, deadline: Instant) -> Result<Option<Answer>, Error> {
    if let Answers::Here(answers) = answers {
        return answers.pop_front().transpose();
    }
    tokio::time::timeout_at(deadline.into(), answers.recv())
        .await
        .map_err(|_| Error::new(Kind::Deadline, "the deadline passed"))?
        .transpose()
}
