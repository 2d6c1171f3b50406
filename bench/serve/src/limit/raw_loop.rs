//! `raw_loop`: raw inputs through the server's own input steps and its engine, a loop for each core and nothing else: no wire,
//! no queue, no output steps. No server with these steps is faster.

use crate::case::Body;
use anyhow::{Context, Result, bail};
use clap::Parser as _;
use millrace_server::{
    batch,
    config::{Args, Command, ServeOptions, ort_library},
    engine::{
        Engine as _,
        ort::{OrtEngine, OrtOptions, load_library},
    },
    load,
    pipeline::{Pipeline, Prepared, Raw},
    protocol::tensor::Tensor,
    replica::{Replica, Served},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// What a loop does with an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// Prepares it, and runs the engine on it.
    Whole,
    /// Runs the engine on what was prepared before.
    Engine,
}

/// A service as its server's arguments have it.
pub struct Service {
    options: ServeOptions,
    model: PathBuf,
    replica: Arc<Replica>,
    threads: load::Threads,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.replica.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Service {
    /// Loads it in this process; `model` is the model's own file.
    pub fn load(arguments: &[OsString], model: &Path) -> Result<Self> {
        let arguments = std::iter::once(OsString::from("millrace-server")).chain(arguments.iter().cloned());
        let Command::Serve(options) = Args::try_parse_from(arguments)?.command else { bail!("a service is served") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (replica, threads) = runtime.block_on(load::load(&options))?;
        Ok(Self { options, model: model.to_owned(), replica, threads })
    }

    /// Rows a second, over loops side by side.
    pub fn run(&self, part: Part, bodies: &[Body], size: usize, time: Duration) -> Result<f64> {
        let Served::Model(pipeline) = &self.replica.served else { bail!("a service of one model") };
        let mut by_shape: BTreeMap<Vec<usize>, Vec<(&Body, Vec<Tensor>)>> = BTreeMap::new();
        for body in bodies {
            let tensors = prepare(pipeline, body)?;
            by_shape.entry(tensors[0].shape.clone()).or_default().push((body, tensors));
        }
        let together = |inputs| batch::concat(inputs, size).context("inputs of one shape");
        // What is prepared before is put together before: a limit that copies would flatter.
        let batches: Vec<(Vec<&Body>, Vec<Tensor>)> = by_shape
            .values()
            .flat_map(|alike| alike.chunks_exact(size))
            .map(|alike| {
                let (bodies, inputs) = alike.iter().cloned().unzip::<_, _, _, Vec<_>>();
                Ok((bodies, together(inputs)?))
            })
            .collect::<Result<_>>()?;
        let one = || -> Result<usize> {
            let library = load_library(&ort_library(&self.options.model))?;
            let cpu = OrtOptions::new(vec![millrace_crds::ExecutionProvider::CPU], 1);
            let mut engine = OrtEngine::load(library, &self.model, &cpu)?;
            let (begun, mut rows) = (Instant::now(), 0);
            for (bodies, prepared) in batches.iter().cycle() {
                match part {
                    Part::Engine => engine.run(prepared, &mut |_| {})?,
                    Part::Whole => {
                        let inputs = bodies.iter().map(|body| prepare(pipeline, body)).collect::<Result<Vec<_>>>()?;
                        engine.run(&together(inputs)?, &mut |_| {})?;
                    }
                }
                rows += size;
                if begun.elapsed() >= time {
                    break;
                }
            }
            Ok(rows)
        };
        let sessions = std::thread::available_parallelism()?.get();
        let rows: Result<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..sessions).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a loop panicked"))).sum()
        });
        Ok(rows? as f64 / time.as_secs_f64())
    }
}

/// What the model is run on for a body.
fn prepare(pipeline: &Pipeline, body: &Body) -> Result<Vec<Tensor>> {
    let Prepared::Runs(runs) = pipeline.prepare(&Raw::from(body.raw.clone()))? else { bail!("a body is one run") };
    Ok(runs.batches.into_iter().next().context("a run")?.inputs)
}
