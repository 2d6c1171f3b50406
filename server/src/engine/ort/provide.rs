//! Engines for a manifest: what serves at once, and what is built meanwhile.

use super::{
    OrtEngine, OrtOptions, native, session, signature,
    store::{self, Place},
    tensorrt::{EngineKey, Sizes, TensorRt, profiles},
    unloadable,
};
use crate::{
    engine::{
        Engine, EngineError,
        better::{Better, BuildState, Meanwhile},
        replaceable::{Maker, Replaceable},
    },
    error::StartError,
    gpu::Gpu,
    model::Fetched,
    protocol::tensor::Signature,
    warm_up,
};
use millrace_crds::{ExecutionProvider, conditions::reason, report::EngineBuild};
use ort::environment::Environment;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What engines are asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Providers, precision and threads of each session.
    pub options: OrtOptions,
    /// Batches that run at once.
    pub instances: usize,
    /// Batch sizes that batches are padded to.
    pub buckets: Vec<usize>,
    /// Most rows in a batch.
    pub max_rows: usize,
    /// Folder for built engines.
    pub cache: Option<PathBuf>,
    /// Most bytes in it.
    pub cache_limit: u64,
}

/// Engines, and how the build of better ones fares, where there is one.
pub struct Provided {
    /// One for each instance.
    pub engines: Vec<Box<dyn Engine>>,
    /// Of TensorRT's engines, while others serve.
    pub build: Option<Arc<BuildState>>,
}

impl From<Vec<Box<dyn Engine>>> for Provided {
    fn from(engines: Vec<Box<dyn Engine>>) -> Self {
        Self { engines, build: None }
    }
}

type Load = Arc<dyn Fn(&OrtOptions) -> Result<Box<dyn Engine>, StartError> + Send + Sync>;

/// Makes the engines. `lengths` tells, for a model's inputs and outputs, the lengths that the pipeline pads to.
///
/// # Errors
/// The providers can't be had, or the model can't be loaded.
pub fn provide(
    environment: &'static Environment,
    model: &Arc<Fetched>,
    order: &Order,
    lengths: impl Fn(&Signature) -> Result<Vec<usize>, StartError>,
) -> Result<Provided, StartError> {
    // Holds the model's file for as long as another engine may have to be made of it.
    let held = Arc::clone(model);
    let load: Load = Arc::new(move |options| {
        OrtEngine::load(environment, &held.path, options).map(|engine| Box::new(engine) as Box<dyn Engine>)
    });
    let mut options = order.options.clone();
    let mut padded = Vec::new();
    if options.providers.first() == Some(&ExecutionProvider::TensorRT) {
        // It is asked for before anything is loaded: where it can't be had, others must not serve in its place.
        drop(super::builder(environment, &options)?);
        let signature = probe(environment, &model.path)?;
        padded = lengths(&signature)?;
        options.tensorrt = Some(prepare(order, &model.digest, &signature, &padded)?);
    }
    let Some(meanwhile) = meanwhile(&options) else {
        let options = whole(&load, &options, &order.buckets, &padded).map_err(unbuilt)?;
        let engines = abreast(&load, &options, order.instances)?;
        let engines = engines.into_iter().map(|engine| replaceable(engine, remake(&load, &options)));
        return Ok(Provided { engines: engines.collect(), build: None });
    };
    let slots: Vec<Arc<Better>> = (0..order.instances).map(|_| Arc::default()).collect();
    let mut engines = Vec::with_capacity(order.instances);
    for slot in &slots {
        let (load, options, slot) = (Arc::clone(&load), meanwhile.clone(), Arc::clone(slot));
        let make = move || Ok(Box::new(Meanwhile::new(load(&options)?, Arc::clone(&slot))) as Box<dyn Engine>);
        engines.push(replaceable(make()?, Arc::new(move || make().map_err(told))));
    }
    let state = Arc::new(BuildState::default());
    let building = Building { load, options, slots, state: Arc::clone(&state), buckets: order.buckets.clone(), padded };
    std::thread::Builder::new()
        .name("build".to_owned())
        .spawn(move || building.run())
        .map_err(|error| StartError::new(reason::INVALID, error.to_string()))?;
    Ok(Provided { engines, build: Some(state) })
}

fn unbuilt(error: EngineError) -> StartError {
    tracing::error!(%error, "TensorRT can't build its engine");
    StartError::new(reason::MODEL_INVALID, "TensorRT can't build an engine of the model: the log says why")
}

/// Builds an engine that is new, running it on each shape, and gives the options to load it by.
fn whole(load: &Load, options: &OrtOptions, buckets: &[usize], padded: &[usize]) -> Result<OrtOptions, EngineError> {
    let Some(TensorRt { profiles, place: Some(Place::New(own, folder)) }) = &options.tensorrt else {
        return Ok(options.clone());
    };
    let mut engine = load(options).map_err(told)?;
    warm_up::run_zeros(&mut *engine, buckets, padded)?;
    // It has written all of it by the time that it is gone.
    drop(engine);
    store::finish(own, folder).map_err(|error| EngineError::Failed(error.to_string()))?;
    let tensorrt = TensorRt { profiles: profiles.clone(), place: Some(Place::Whole(folder.clone())) };
    Ok(OrtOptions { tensorrt: Some(tensorrt), ..options.clone() })
}

fn told(error: StartError) -> EngineError {
    EngineError::Failed(error.message)
}

fn replaceable(engine: Box<dyn Engine>, make: Maker) -> Box<dyn Engine> {
    Box::new(Replaceable::new(engine, make))
}

/// An engine for each instance, all on one copy of the weights where threads can share it. One that is replaced later has its
/// own: what broke may be what they share.
fn abreast(load: &Load, options: &OrtOptions, instances: usize) -> Result<Vec<Box<dyn Engine>>, StartError> {
    let mut engines: Vec<Box<dyn Engine>> = Vec::with_capacity(instances);
    for _ in 0..instances {
        let shared = engines.first().and_then(|first| first.share());
        engines.push(shared.map_or_else(|| load(options), Ok)?);
    }
    Ok(engines)
}

fn remake(load: &Load, options: &OrtOptions) -> Maker {
    let (load, options) = (Arc::clone(load), options.clone());
    Arc::new(move || load(&options).map_err(told))
}

/// What serves while TensorRT builds: the providers after it, if CUDA is the next one. The processor doesn't stand in.
fn meanwhile(options: &OrtOptions) -> Option<OrtOptions> {
    let is_new = options.tensorrt.as_ref().is_some_and(|tensorrt| !tensorrt.is_built());
    let rest = options.providers.get(1..).filter(|rest| rest.first() == Some(&ExecutionProvider::CUDA))?;
    is_new.then(|| OrtOptions { providers: rest.to_vec(), tensorrt: None, ..options.clone() })
}

/// The inputs and outputs of a model, before its engine is built.
fn probe(environment: &Environment, model: &Path) -> Result<Signature, StartError> {
    let mut builder =
        session::probe(environment).map_err(|error| StartError::new(reason::PROVIDER_UNAVAILABLE, error))?;
    signature(&builder.commit_from_file(model).map_err(|error| unloadable(model, &error))?)
}

fn prepare(order: &Order, digest: &str, signature: &Signature, lengths: &[usize]) -> Result<TensorRt, StartError> {
    let sizes = Sizes { buckets: &order.buckets, max_rows: order.max_rows, lengths };
    let profiles =
        profiles(signature, sizes).map_err(|error| StartError::new(reason::MODEL_INVALID, error.to_string()))?;
    // Without knowing what it is built for, an engine must not be found again.
    let known = order.cache.as_ref().zip(native::tensorrt_version()).zip(Gpu::first());
    let Some(((cache, tensorrt), gpu)) = known else {
        tracing::info!(
            "built engines aren't kept: there is no folder for them, or GPU or TensorRT don't say what they are"
        );
        return Ok(TensorRt { profiles, place: None });
    };
    let key = EngineKey {
        model: digest,
        runtime: super::version(),
        tensorrt: &tensorrt,
        gpu: &gpu.kind(),
        precision: order.options.precision,
        profiles: profiles.as_ref(),
    };
    let place = store::open(cache, &key.digest(), order.cache_limit).map_err(|error| {
        StartError::new(reason::INVALID, format!("the folder for built engines can't be written: {error}"))
    })?;
    Ok(TensorRt { profiles, place: Some(place) })
}

/// A build in the background.
struct Building {
    load: Load,
    options: OrtOptions,
    slots: Vec<Arc<Better>>,
    state: Arc<BuildState>,
    buckets: Vec<usize>,
    padded: Vec<usize>,
}

impl Building {
    fn run(self) {
        tracing::info!("TensorRT builds its engine; CUDA serves meanwhile");
        let outcome = match self.build() {
            Ok(()) => EngineBuild::Built,
            Err(error) => {
                tracing::error!(%error, "TensorRT can't build its engine: CUDA goes on serving");
                EngineBuild::Failed
            }
        };
        self.state.set(outcome);
    }

    /// The engine is built once, and each instance loads it; where it is kept nowhere, each builds its own.
    fn build(&self) -> Result<(), EngineError> {
        let options = whole(&self.load, &self.options, &self.buckets, &self.padded)?;
        for slot in &self.slots {
            let mut engine = (self.load)(&options).map_err(told)?;
            warm_up::run_zeros(&mut *engine, &self.buckets, &self.padded)?;
            slot.put(engine);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "provide_tests.rs"]
mod tests;
