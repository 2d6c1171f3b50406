//! `engine_loop`: sessions side by side that do nothing but run, at a batch size. No server is faster on this model.

use crate::{bare::Bare, case::Body, tensor::Tensor};
use anyhow::{Context, Result};
use serde::Serialize;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// What a loop did.
#[derive(Clone, Debug, Serialize)]
pub struct Looped {
    /// Rows in a run.
    pub batch: usize,
    /// Sessions side by side, each on a thread.
    pub sessions: usize,
    /// Rows a second, over all of them.
    pub rows_per_second: f64,
    /// Wall-clock time of a run in microseconds, the mean.
    pub run_us: f64,
}

/// Runs each session for so long.
pub fn run(library: &Path, model: &Path, bodies: &[Body], batch: usize, time: Duration) -> Result<Looped> {
    let sessions = std::thread::available_parallelism()?.get();
    let inputs: Vec<Vec<Tensor>> =
        bodies.iter().take(64).map(|body| body.inputs.iter().map(|tensor| tensor.repeat(batch)).collect()).collect();
    let one = |_| -> Result<u64> {
        let mut bare = Bare::load(library, model, 1)?;
        bare.run(inputs.first().context("no body")?)?;
        let begun = Instant::now();
        let mut runs = 0;
        for inputs in inputs.iter().cycle() {
            bare.run(inputs)?;
            runs += 1;
            if begun.elapsed() >= time {
                break;
            }
        }
        Ok(runs)
    };
    let counts: Vec<Result<u64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..sessions).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Ok(0))).collect()
    });
    let runs: u64 = counts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().sum();
    let seconds = time.as_secs_f64();
    Ok(Looped {
        batch,
        sessions,
        rows_per_second: runs as f64 * batch as f64 / seconds,
        run_us: seconds * 1e6 * sessions as f64 / runs as f64,
    })
}
