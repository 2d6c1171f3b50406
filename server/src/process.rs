//! A raw input through the whole service: one model with its steps, or a graph of several.

use crate::{
    admit::Permit,
    error::{Error, Kind},
    metrics::Times,
    pipeline::{Pipeline, Prepared, Raw, Value},
    replica::{Replica, Served},
    stage::Stage,
    unit::Turn,
};
use std::{sync::Arc, time::Instant};

/// A raw input, processed.
pub struct Processed {
    /// The answer.
    pub value: Value,
    /// Where the time went.
    pub times: Times,
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
    match &replica.served {
        Served::Model(_) => process_by(replica, move |pipeline| pipeline.prepare(&raw), deadline, permit).await,
        Served::Graph(graph) => {
            let turn = Turn { lane: replica.lane(0), deadline };
            let (value, times) = graph.run(&replica.units, &replica.door, raw, turn).await?;
            Ok((Processed { value, times }, permit))
        }
    }
}

/// The same for a service of one model, with input steps of the caller's choice; they run on a thread that may be busy
/// for long.
///
/// # Errors
/// As [`process`]; 501 for a graph.
pub async fn process_by(
    replica: &Arc<Replica>,
    prepare: impl FnOnce(&Pipeline) -> Result<Prepared, Error> + Send + 'static,
    deadline: Instant,
    permit: Permit,
) -> Result<(Processed, Permit), Error> {
    let (Served::Model(pipeline), [unit]) = (&replica.served, &replica.units[..]) else {
        return Err(Error::new(Kind::Unsupported, "this service is a graph of models: send its input to /process"));
    };
    let stage = Stage { unit: Arc::clone(unit), pipeline: Arc::clone(pipeline) };
    let begun = Instant::now();
    let own = Arc::clone(pipeline);
    let place = tokio::time::timeout_at(deadline.into(), Arc::clone(&replica.preparing).acquire_owned())
        .await
        .map_err(|_| Error::new(Kind::Deadline, "the deadline passed"))?;
    let task = tokio::task::spawn_blocking(move || {
        // Held to the end of the work, also if nobody waits for it any more.
        let _place = place;
        (prepare(&own), permit)
    });
    let (prepared, permit) = task.await.map_err(|_| Error::new(Kind::Engine, "pre-processing failed"))?;
    let input = begun.elapsed();
    let (value, times) = stage.run(prepared?, Turn { lane: replica.lane(0), deadline }).await?;
    Ok((Processed { value, times: Times { input, ..times } }, permit))
}
