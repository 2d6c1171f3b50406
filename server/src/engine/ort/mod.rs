//! ONNX Runtime, loaded at run time. Nothing here falls back to the CPU unless the manifest names it.

mod direct;
mod graphs;
mod library;
mod native;
pub mod provide;
mod raw;
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
pub use library::{load_library, version};
use millrace_crds::{ExecutionProvider, Precision, conditions::reason};
pub use ort::environment::Environment;
use ort::{
    ErrorCode,
    session::{RunOptions, Session, builder::SessionBuilder},
};
use std::{borrow::Cow, collections::BTreeMap, path::Path, sync::Arc};
use tensorrt::TensorRt;

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

/// A session of ONNX Runtime.
pub struct OrtEngine {
    signature: Signature,
    way: Way,
}

/// How it is run.
enum Way {
    /// On the processor. `shared`: several threads may run the session at once; one that has threads of its own is run by one.
    Direct { direct: Direct, shared: bool },
    /// On a device.
    Device { session: Session, graphs: Option<Graphs> },
}

impl OrtEngine {
    /// Loads a model from a file.
    ///
    /// # Errors
    /// `ProviderUnavailable`: the provider that was asked for can't be had. `ModelInvalid`: the file is no model for it.
    pub fn load(environment: &Environment, model: &Path, options: &OrtOptions) -> Result<Self, StartError> {
        if options.graphs > 0 && options.providers.first() == Some(&ExecutionProvider::CUDA) {
            match session(environment, model, options) {
                Ok(session) => {
                    let (signature, graphs) = (signature(&session)?, Some(Graphs::new(options.graphs)));
                    return Ok(Self { signature, way: Way::Device { session, graphs } });
                }
                Err(error) => tracing::info!(%error, "no CUDA graphs for this model: it is launched node by node"),
            }
        }
        let session = session(environment, model, &OrtOptions { graphs: 0, ..options.clone() })?;
        let signature = signature(&session)?;
        let way = if options.cpu_only() {
            Way::Direct { direct: Direct::new(Arc::new(session), &signature)?, shared: options.threads == 1 }
        } else {
            Way::Device { session, graphs: None }
        };
        Ok(Self { signature, way })
    }

    /// Shapes for which a CUDA graph is recorded.
    #[must_use]
    pub fn graphs(&self) -> usize {
        match &self.way {
            Way::Device { graphs: Some(graphs), .. } => graphs.len(),
            _ => 0,
        }
    }

    fn session(&self) -> &Session {
        match &self.way {
            Way::Direct { direct, .. } => direct.session(),
            Way::Device { session, .. } => session,
        }
    }
}

fn session(environment: &Environment, model: &Path, options: &OrtOptions) -> Result<Session, StartError> {
    builder(environment, options)?.commit_from_file(model).map_err(|error| unloadable(model, &error))
}

fn builder(environment: &Environment, options: &OrtOptions) -> Result<SessionBuilder, StartError> {
    session::builder(environment, options).map_err(|error| StartError::new(reason::PROVIDER_UNAVAILABLE, error))
}

fn unloadable(model: &Path, error: &dyn std::fmt::Display) -> StartError {
    // The engine names the file it reads; its folder is nobody's business in a status.
    let text = error.to_string();
    let text = model.parent().map_or(text.clone(), |folder| text.replace(&*folder.to_string_lossy(), ""));
    StartError::new(
        reason::MODEL_INVALID,
        format!("the file is no ONNX model, or none that these providers can run: {text}"),
    )
}

fn signature(session: &Session) -> Result<Signature, StartError> {
    Ok(Signature { inputs: values::specs(session.inputs())?, outputs: values::specs(session.outputs())? })
}

impl Engine for OrtEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let Ok(metadata) = self.session().metadata() else { return BTreeMap::new() };
        let keys = metadata.custom_keys().unwrap_or_default();
        keys.into_iter().filter_map(|key| Some((key.clone(), metadata.custom(&key)?))).collect()
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        let outputs = match &mut self.way {
            Way::Direct { direct, .. } => direct.run(inputs),
            Way::Device { session, graphs: Some(graphs) } => graphs.run(session, &self.signature, inputs),
            Way::Device { session, graphs: None } => run(session, &self.signature, inputs, None),
        };
        answer(outputs?);
        Ok(())
    }

    fn share(&self) -> Option<Box<dyn Engine>> {
        let Way::Direct { direct, shared: true } = &self.way else { return None };
        let direct = Direct::new(Arc::clone(direct.session()), &self.signature).ok()?;
        Some(Box::new(Self { signature: self.signature.clone(), way: Way::Direct { direct, shared: true } }))
    }
}

/// Runs a session of a device on tensors of the host.
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
