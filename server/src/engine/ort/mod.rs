//! ONNX Runtime, loaded at run time. Nothing here falls back to the CPU unless the manifest names it.

mod direct;
mod graphs;
mod native;
pub mod provide;
mod session;
mod store;
mod tensorrt;
mod values;

use super::{Engine, EngineError};
use crate::{
    error::StartError,
    protocol::tensor::{Signature, Tensor, TensorSpec},
};
use direct::Direct;
use graphs::Graphs;
use millrace_crds::{ExecutionProvider, Precision, conditions::reason};
pub use ort::environment::Environment;
use ort::{
    ErrorCode,
    session::{RunOptions, Session, builder::SessionBuilder},
};
use std::{borrow::Cow, collections::BTreeMap, path::Path, sync::OnceLock};
use tensorrt::TensorRt;

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();

/// How sessions are made.
#[derive(Clone, Debug)]
pub struct OrtOptions {
    /// Providers of the manifest; the first one must be had.
    pub providers: Vec<ExecutionProvider>,
    /// Precision for providers that choose one.
    pub precision: Option<Precision>,
    /// Threads of a session.
    pub threads: usize,
    /// Shapes that CUDA graphs are recorded for at most, where CUDA is the first provider; 0: none are.
    pub graphs: usize,
    /// How TensorRT builds its engine, where it is asked for.
    pub tensorrt: Option<TensorRt>,
}

impl OrtOptions {
    /// These providers, and nothing special.
    #[must_use]
    pub fn new(providers: Vec<ExecutionProvider>, threads: usize) -> Self {
        Self { providers, precision: None, threads, graphs: 0, tensorrt: None }
    }

    fn cpu_only(&self) -> bool {
        self.providers.iter().all(|provider| *provider == ExecutionProvider::CPU)
    }
}

/// Loads the library, once in a process: a failed lazy load would panic.
///
/// # Errors
/// It isn't there, or isn't ONNX Runtime of the version this server is built for.
pub fn load_library(path: &Path) -> Result<&'static Environment, StartError> {
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let failed = |error: String| {
        StartError::new(
            reason::PROVIDER_UNAVAILABLE,
            format!("ONNX Runtime can't be loaded: {error}; name its library by --ort-library"),
        )
    };
    let environment = ort::init_from(path)
        .map_err(|error| failed(error.to_string()))?
        .with_name("millrace")
        .with_telemetry(false)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    environment.set_log_level(ort::logging::LogLevel::Warning);
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// The library's version and how it was built.
#[must_use]
pub fn version() -> &'static str {
    ort::info()
}

/// A session of ONNX Runtime.
pub struct OrtEngine {
    session: Session,
    signature: Signature,
    graphs: Option<Graphs>,
    direct: Option<Direct>,
}

impl OrtEngine {
    /// Loads a model from a file.
    ///
    /// # Errors
    /// `ProviderUnavailable`: the provider that was asked for can't be had. `ModelInvalid`: the file is no model for it.
    pub fn load(environment: &Environment, model: &Path, options: &OrtOptions) -> Result<Self, StartError> {
        if options.graphs > 0 && options.providers.first() == Some(&ExecutionProvider::CUDA) {
            match Self::with(builder(environment, options)?, model) {
                Ok(engine) => return Ok(Self { graphs: Some(Graphs::new(options.graphs)), ..engine }),
                Err(error) => tracing::info!(%error, "no CUDA graphs for this model: it is launched node by node"),
            }
        }
        let engine = Self::with(builder(environment, &OrtOptions { graphs: 0, ..options.clone() })?, model)?;
        let direct = if options.cpu_only() { Direct::new(&engine.signature) } else { None };
        Ok(Self { direct, ..engine })
    }

    /// Shapes for which a CUDA graph is recorded.
    #[must_use]
    pub fn graphs(&self) -> usize {
        self.graphs.as_ref().map_or(0, Graphs::len)
    }

    fn with(mut builder: SessionBuilder, model: &Path) -> Result<Self, StartError> {
        let session = builder.commit_from_file(model).map_err(|error| unloadable(model, &error))?;
        let signature = signature(&session)?;
        Ok(Self { session, signature, graphs: None, direct: None })
    }
}

fn builder(environment: &Environment, options: &OrtOptions) -> Result<SessionBuilder, StartError> {
    session::builder(environment, options).map_err(|error| StartError::new(reason::PROVIDER_UNAVAILABLE, error))
}

fn unloadable(model: &Path, error: &dyn std::fmt::Display) -> StartError {
    // The engine names the file it reads; its folder is nobody's business in a status.
    let text = error.to_string();
    let text = model.parent().map_or(text.clone(), |folder| text.replace(&*folder.to_string_lossy(), ""));
    StartError::new(reason::MODEL_INVALID, format!("the file is no ONNX model that the engine can load: {text}"))
}

fn signature(session: &Session) -> Result<Signature, StartError> {
    Ok(Signature { inputs: values::specs(session.inputs())?, outputs: values::specs(session.outputs())? })
}

impl Engine for OrtEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let Ok(metadata) = self.session.metadata() else { return BTreeMap::new() };
        let keys = metadata.custom_keys().unwrap_or_default();
        keys.into_iter().filter_map(|key| Some((key.clone(), metadata.custom(&key)?))).collect()
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        let direct = self.direct.as_ref().and_then(|direct| direct.run(&mut self.session, inputs));
        let outputs = match (direct, &mut self.graphs) {
            (Some(outputs), _) => outputs,
            (None, Some(graphs)) => graphs.run(&mut self.session, &self.signature, inputs),
            (None, None) => run(&mut self.session, &self.signature, inputs, None),
        };
        answer(outputs?);
        Ok(())
    }
}

/// Runs a session on tensors of the host.
fn run(
    session: &mut Session,
    signature: &Signature,
    inputs: &[Tensor],
    options: Option<&RunOptions>,
) -> Result<Vec<Tensor>, EngineError> {
    let mut values = Vec::with_capacity(inputs.len());
    for tensor in inputs {
        values.push((Cow::Borrowed(tensor.name.as_str()), values::to_ort(tensor)?));
    }
    let outputs = match options {
        Some(options) => session.run_with_options(values, options),
        None => session.run(values),
    };
    let outputs = outputs.map_err(|error| match error.code() {
        // What kernels say of an index or a shape that they can't take; a device or memory that fails is told otherwise.
        ErrorCode::InvalidArgument => EngineError::Unfit(error.to_string()),
        _ => EngineError::Failed(error.to_string()),
    })?;
    let output = |spec: &TensorSpec| {
        let value = outputs.get(&spec.name).ok_or_else(|| EngineError::Failed(format!("no output {:?}", spec.name)))?;
        values::from_ort(&spec.name, value, spec.datatype)
    };
    signature.outputs.iter().map(output).collect()
}
