//! The loop, and what comes of it.

use anyhow::Result;
use millrace_bench::median::median;
use millrace_crds::ExecutionProvider;
use millrace_server::{
    engine::{
        Engine as _,
        ort::{Environment, OrtEngine, OrtOptions},
    },
    gpu::Gpu,
    warm_up,
};
use serde::Serialize;
use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

/// One model at one batch size.
#[derive(Serialize)]
pub struct Figure {
    /// The model's file.
    model: String,
    /// Rows in a batch.
    rows: usize,
    /// Whether each run replays a CUDA graph.
    graph: bool,
    /// Microseconds of a run, with the copies to the GPU and back: the median of each of the runs.
    micros: Vec<f64>,
    /// Their median.
    median_micros: f64,
    /// Rows in a second.
    rows_per_second: f64,
    /// Watts at the end of the last run.
    watts: Option<f64>,
    /// Bytes of the GPU's memory that are in use.
    memory: u64,
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, rows, graph, median_micros, rows_per_second, .. } = self;
        let way = if *graph { "graph" } else { "nodes" };
        write!(out, "{model:24} {rows:4} rows, {way}: {median_micros:9.1} us, {rows_per_second:9.0} rows/s")
    }
}

/// How long, and how often.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Time of one run.
    pub time: Duration,
    /// Runs, of which the median counts.
    pub runs: usize,
}

/// A session.
pub struct Loop {
    engine: OrtEngine,
    model: String,
}

impl Loop {
    /// Loads a model on CUDA; `graphs`: shapes to record.
    pub fn new(environment: &Environment, model: &Path, graphs: Option<usize>) -> Result<Self> {
        let options = OrtOptions { graphs: graphs.unwrap_or(0), ..OrtOptions::new(vec![ExecutionProvider::CUDA], 1) };
        let engine = OrtEngine::load(environment, model, &options)?;
        let model = model.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { engine, model })
    }

    /// Runs batches of zeros, one after the other.
    pub fn measure(&mut self, rows: usize, length: usize, effort: Effort, gpu: &Gpu) -> Result<Figure> {
        let inputs = warm_up::zeros(self.engine.signature(), rows, length);
        for _ in 0..5 {
            self.engine.run(&inputs, &mut |_| {})?;
        }
        let mut micros = Vec::with_capacity(effort.runs);
        for _ in 0..effort.runs {
            let (mut times, begun) = (Vec::new(), Instant::now());
            while begun.elapsed() < effort.time {
                let one = Instant::now();
                self.engine.run(&inputs, &mut |_| {})?;
                times.push(one.elapsed().as_secs_f64() * 1e6);
            }
            micros.push(median(times));
        }
        let load = gpu.load();
        let median_micros = median(micros.clone());
        #[allow(clippy::cast_precision_loss)]
        Ok(Figure {
            model: self.model.clone(),
            rows,
            graph: self.engine.graphs() > 0,
            micros,
            median_micros,
            rows_per_second: rows as f64 * 1e6 / median_micros,
            watts: load.and_then(|load| load.power),
            memory: load.map_or(0, |load| load.memory_used),
        })
    }
}
