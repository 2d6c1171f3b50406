//! The loop, and what comes of it.

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use millrace_bench::median::median;
use millrace_crds::{
    ExecutionProvider::{CUDA, TensorRT},
    Precision,
    report::EngineBuild,
};
use millrace_server::{
    engine::{
        Engine,
        ort::{
            Environment, OrtEngine, OrtOptions,
            provide::{Order, provide},
        },
    },
    gpu::Gpu,
    model::Fetched,
    warm_up,
};
use serde::Serialize;
use std::{
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// On CUDA, launched node by node.
    Nodes,
    /// On CUDA, each shape replayed as a graph.
    Graph,
    /// On TensorRT, in the model's own precision.
    Tensorrt,
    /// On TensorRT, in 16 bits where it deems that faster.
    TensorrtFp16,
}

impl fmt::Display for Way {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// One model at one batch size.
#[derive(Serialize)]
pub struct Figure {
    /// The model's file.
    model: String,
    /// Rows in a batch.
    rows: usize,
    /// How it is run.
    way: Way,
    /// Seconds until the session was there: TensorRT builds an engine first.
    load_seconds: f64,
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
        let Self { model, rows, way, median_micros, rows_per_second, .. } = self;
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
    engine: Box<dyn Engine>,
    model: String,
    way: Way,
    loaded: Duration,
}

impl Loop {
    /// Loads a model. Graphs are recorded, and TensorRT's engine is built, for batches of these sizes.
    pub fn new(
        environment: &'static Environment,
        path: &Path,
        way: Way,
        rows: &[usize],
        length: usize,
    ) -> Result<Self> {
        let begun = Instant::now();
        let engine: Box<dyn Engine> = match way {
            Way::Nodes | Way::Graph => {
                let graphs = if way == Way::Graph { rows.len() } else { 0 };
                let options = OrtOptions { graphs, ..OrtOptions::new(vec![CUDA], 1) };
                let mut engine = OrtEngine::load(environment, path, &options)?;
                warm_up::run_zeros(&mut engine, rows, &[length])?;
                ensure!(engine.graphs() == graphs, "no graph can be made of it");
                Box::new(engine)
            }
            Way::Tensorrt | Way::TensorrtFp16 => built(environment, path, way, rows, length)?,
        };
        let model = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { engine, model, way, loaded: begun.elapsed() })
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
            way: self.way,
            load_seconds: self.loaded.as_secs_f64(),
            micros,
            median_micros,
            rows_per_second: rows as f64 * 1e6 / median_micros,
            watts: load.and_then(|load| load.power),
            memory: load.map_or(0, |load| load.memory_used),
        })
    }
}

/// The engine that TensorRT builds, in its own time: CUDA is there for what TensorRT can't run, and isn't measured.
fn built(
    environment: &'static Environment,
    path: &Path,
    way: Way,
    rows: &[usize],
    length: usize,
) -> Result<Box<dyn Engine>> {
    let cache = tempfile::tempdir()?;
    let precision = (way == Way::TensorrtFp16).then_some(Precision::FP16);
    let order = Order {
        options: OrtOptions { precision, ..OrtOptions::new(vec![TensorRT, CUDA], 1) },
        instances: 1,
        buckets: rows.to_vec(),
        max_rows: rows.iter().copied().max().unwrap_or(1),
        cache: Some(cache.path().to_owned()),
        cache_limit: u64::MAX,
    };
    let model = Arc::new(Fetched { path: path.to_owned(), digest: path.display().to_string(), ..Fetched::nowhere() });
    let mut provided = provide(environment, &model, &order, |_| Ok(vec![length]))?;
    if let Some(build) = &provided.build {
        ensure!(build.ended() == EngineBuild::Built, "TensorRT can't build it");
    }
    provided.engines.pop().context("one engine was asked for")
}
