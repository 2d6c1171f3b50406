//! `raw_loop`: raw inputs through the server's own input steps and its engine, a loop with a session for each core and nothing
//! else: no wire, no queue, no output steps. Only a server whose threads share a session can do with less.

use super::abreast;
use crate::case::Body;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
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
    time::Duration,
};

/// What a loop does with an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// Prepares it, and runs the engine on it.
    Whole,
    /// Runs the engine on what was prepared before.
    Engine,
}

/// A body, and what the model is run on for it.
type Input = (Bytes, Vec<Tensor>);

/// A service as its server's arguments have it.
pub struct Service {
    options: ServeOptions,
    model: PathBuf,
    replica: Arc<Replica>,
    /// The bodies, and what the model is run on for each, by shape.
    inputs: BTreeMap<Vec<usize>, Vec<Input>>,
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
    /// Loads it in this process, and prepares the bodies; `model` is the model's own file.
    pub fn load(arguments: &[OsString], model: &Path, bodies: &[Body]) -> Result<Self> {
        let arguments = std::iter::once(OsString::from("millrace-server")).chain(arguments.iter().cloned());
        let Command::Serve(options) = Args::try_parse_from(arguments)?.command else { bail!("a service is served") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (replica, threads) = runtime.block_on(load::load(&options))?;
        let mut service = Self { options, model: model.to_owned(), replica, inputs: BTreeMap::new(), threads };
        for body in bodies {
            let tensors = prepare(service.pipeline()?, &body.raw)?;
            service.inputs.entry(tensors[0].shape.clone()).or_default().push((body.raw.clone(), tensors));
        }
        Ok(service)
    }

    fn pipeline(&self) -> Result<&Pipeline> {
        let Served::Model(pipeline) = &self.replica.served else { bail!("a service of one model") };
        Ok(pipeline)
    }

    /// Rows a second with batches of these sizes, again and again, for so long.
    pub fn run(&self, part: Part, sizes: &[usize], time: Duration) -> Result<f64> {
        let pipeline = self.pipeline()?;
        let together = |inputs: Vec<Vec<Tensor>>| {
            let rows = inputs.len();
            batch::concat(inputs, rows).context("inputs of one shape")
        };
        // What is prepared before is put together before: a limit that copies would flatter.
        let batches: Vec<(&[Input], Vec<Tensor>)> = self
            .alike(sizes)
            .into_iter()
            .map(|batch| Ok((batch, together(batch.iter().map(|(_, tensors)| tensors.clone()).collect())?)))
            .collect::<Result<_>>()?;
        ensure!(!batches.is_empty(), "there are too few bodies for a batch of {sizes:?}");
        let make = || {
            let library = load_library(&ort_library(&self.options.model))?;
            let cpu = OrtOptions::new(vec![millrace_crds::ExecutionProvider::CPU], 1);
            Ok(OrtEngine::load(library, &self.model, &cpu)?)
        };
        abreast::run(time, make, |engine, turn| {
            let (inputs, prepared) = &batches[turn % batches.len()];
            match part {
                Part::Engine => engine.run(prepared, &mut |_| {})?,
                Part::Whole => {
                    let anew = inputs.iter().map(|(raw, _)| prepare(pipeline, raw)).collect::<Result<Vec<_>>>()?;
                    engine.run(&together(anew)?, &mut |_| {})?;
                }
            }
            Ok(inputs.len())
        })
    }

    /// Batches of these sizes, each of inputs of one shape: every input once, as far as whole batches go. Shapes come mixed, for
    /// a loop may end before all had a turn.
    fn alike(&self, sizes: &[usize]) -> Vec<&[Input]> {
        let mut sizes = sizes.iter().cycle();
        let mut batches = Vec::new();
        for inputs in self.inputs.values() {
            let mut rest = inputs.as_slice();
            while let Some((batch, others)) = sizes.next().and_then(|size| rest.split_at_checked(*size)) {
                batches.push(batch);
                rest = others;
            }
        }
        let mut order: Vec<usize> = (0..batches.len()).collect();
        order.sort_by_key(|at| (*at as u32).wrapping_mul(0x9E37_79B9));
        order.into_iter().map(|at| batches[at]).collect()
    }
}

/// What the model is run on for a body.
fn prepare(pipeline: &Pipeline, raw: &Bytes) -> Result<Vec<Tensor>> {
    let Prepared::Runs(runs) = pipeline.prepare(&Raw::from(raw.clone()))? else { bail!("a body is one run") };
    Ok(runs.batches.into_iter().next().context("a run")?.inputs)
}
