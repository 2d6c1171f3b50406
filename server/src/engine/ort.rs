//! ONNX Runtime, loaded at run time. Nothing here falls back to the CPU unless the manifest names it.

use super::{Engine, EngineError};
use crate::{
    error::StartError,
    protocol::{
        data::{Data, Datatype},
        tensor::{Signature, Tensor, TensorSpec},
    },
};
use bytes::Bytes;
use millrace_crds::{ExecutionProvider, Precision, conditions::reason};
use ort::{
    environment::Environment,
    ep::{self, ExecutionProviderDispatch},
    session::{Session, SessionInputValue, builder::SessionBuilder},
    value::{DynValue, Outlet, Tensor as OrtTensor, TensorElementType, TensorRef},
};
use std::{borrow::Cow, path::Path, sync::OnceLock};

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

/// A session of ONNX Runtime.
pub struct OrtEngine {
    session: Session,
    signature: Signature,
}

impl OrtEngine {
    /// Loads a model from a file.
    ///
    /// # Errors
    /// `ProviderUnavailable`: the provider that was asked for can't be had. `ModelInvalid`: the file is no model for it.
    pub fn load(environment: &Environment, model: &Path, options: &OrtOptions) -> Result<Self, StartError> {
        let mut builder = session_builder(environment, options)
            .map_err(|error| StartError::new(reason::PROVIDER_UNAVAILABLE, error))?;
        let session = builder.commit_from_file(model).map_err(|error| {
            // The engine names the file it reads; its folder is nobody's business in a status.
            let text = error.to_string();
            let text = model.parent().map_or(text.clone(), |folder| text.replace(&*folder.to_string_lossy(), ""));
            StartError::new(
                reason::MODEL_INVALID,
                format!("the file is no ONNX model that the engine can load: {text}"),
            )
        })?;
        let signature = Signature { inputs: specs(session.inputs())?, outputs: specs(session.outputs())? };
        Ok(Self { session, signature })
    }
}

fn session_builder(environment: &Environment, options: &OrtOptions) -> Result<SessionBuilder, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let cpu_only = options.providers.iter().all(|provider| *provider == ExecutionProvider::CPU);
    let builder = Session::builder(environment).map_err(|e| text(&e))?;
    // No spinning: replicas share cores. No memory pattern and no arena on the CPU: an arena grows to the largest batch
    // that ever came and never shrinks.
    let builder = builder.with_intra_threads(options.threads).map_err(|e| text(&e))?;
    let builder = builder.with_inter_threads(1).map_err(|e| text(&e))?;
    let builder = builder.with_intra_op_spinning(false).map_err(|e| text(&e))?;
    let builder = builder.with_memory_pattern(!cpu_only).map_err(|e| text(&e))?;
    let providers: Vec<_> = options.providers.iter().map(|provider| dispatch(*provider, options.precision)).collect();
    builder.with_execution_providers(providers).map_err(|error| {
        format!(
            "the execution providers {:?} can't be had on this node: {error}; name another in runtime.executionProviders, or run where they are",
            options.providers
        )
    })
}

fn dispatch(provider: ExecutionProvider, precision: Option<Precision>) -> ExecutionProviderDispatch {
    match provider {
        ExecutionProvider::TensorRT => ep::TensorRT::default()
            .with_fp16(precision == Some(Precision::FP16))
            .with_bf16(precision == Some(Precision::BF16))
            .with_int8(precision == Some(Precision::INT8))
            .build()
            .error_on_failure(),
        ExecutionProvider::CUDA => ep::CUDA::default().build().error_on_failure(),
        ExecutionProvider::CPU => ep::CPU::default().with_arena_allocator(false).build().error_on_failure(),
    }
}

fn specs(outlets: &[Outlet]) -> Result<Vec<TensorSpec>, StartError> {
    outlets
        .iter()
        .map(|outlet| {
            let refused = || {
                StartError::new(
                    reason::MODEL_INVALID,
                    format!(
                        "tensor {:?} of the model has a type that isn't served: {:?}",
                        outlet.name(),
                        outlet.dtype()
                    ),
                )
            };
            let datatype = outlet.dtype().tensor_type().and_then(datatype).ok_or_else(refused)?;
            let shape = outlet.dtype().tensor_shape().ok_or_else(refused)?.to_vec();
            Ok(TensorSpec { name: outlet.name().to_owned(), datatype, shape })
        })
        .collect()
}

fn datatype(element: TensorElementType) -> Option<Datatype> {
    Some(match element {
        TensorElementType::Bool => Datatype::Bool,
        TensorElementType::Uint8 => Datatype::Uint8,
        TensorElementType::Uint16 => Datatype::Uint16,
        TensorElementType::Uint32 => Datatype::Uint32,
        TensorElementType::Uint64 => Datatype::Uint64,
        TensorElementType::Int8 => Datatype::Int8,
        TensorElementType::Int16 => Datatype::Int16,
        TensorElementType::Int32 => Datatype::Int32,
        TensorElementType::Int64 => Datatype::Int64,
        TensorElementType::Float16 => Datatype::Fp16,
        TensorElementType::Bfloat16 => Datatype::Bf16,
        TensorElementType::Float32 => Datatype::Fp32,
        TensorElementType::Float64 => Datatype::Fp64,
        TensorElementType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// A view over the elements, or a copy where there is none (strings; views can't be empty either).
fn to_ort(tensor: &Tensor) -> Result<SessionInputValue<'_>, EngineError> {
    macro_rules! view {
        ($vector:expr) => {
            TensorRef::from_array_view((tensor.shape.clone(), $vector.as_slice())).map(SessionInputValue::from)
        };
    }
    let value = match &tensor.data {
        Data::Bool(v) => view!(v),
        Data::Uint8(v) => view!(v),
        Data::Uint16(v) => view!(v),
        Data::Uint32(v) => view!(v),
        Data::Uint64(v) => view!(v),
        Data::Int8(v) => view!(v),
        Data::Int16(v) => view!(v),
        Data::Int32(v) => view!(v),
        Data::Int64(v) => view!(v),
        Data::Fp16(v) => view!(v),
        Data::Bf16(v) => view!(v),
        Data::Fp32(v) => view!(v),
        Data::Fp64(v) => view!(v),
        Data::Bytes(v) => {
            let strings: Vec<String> = v.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect();
            OrtTensor::from_string_array((tensor.shape.clone(), strings.as_slice())).map(SessionInputValue::from)
        }
    };
    value.map_err(|error| EngineError(error.to_string()))
}

fn from_ort(name: &str, value: &DynValue, datatype: Datatype) -> Result<Tensor, EngineError> {
    let failed = |error: ort::Error| EngineError(format!("output {name:?}: {error}"));
    macro_rules! copy {
        ($variant:ident, $type:ty) => {{
            let (shape, values) = value.try_extract_tensor::<$type>().map_err(failed)?;
            (shape.to_vec(), Data::$variant(values.to_vec()))
        }};
    }
    let (shape, data) = match datatype {
        Datatype::Bool => copy!(Bool, bool),
        Datatype::Uint8 => copy!(Uint8, u8),
        Datatype::Uint16 => copy!(Uint16, u16),
        Datatype::Uint32 => copy!(Uint32, u32),
        Datatype::Uint64 => copy!(Uint64, u64),
        Datatype::Int8 => copy!(Int8, i8),
        Datatype::Int16 => copy!(Int16, i16),
        Datatype::Int32 => copy!(Int32, i32),
        Datatype::Int64 => copy!(Int64, i64),
        Datatype::Fp16 => copy!(Fp16, half::f16),
        Datatype::Bf16 => copy!(Bf16, half::bf16),
        Datatype::Fp32 => copy!(Fp32, f32),
        Datatype::Fp64 => copy!(Fp64, f64),
        Datatype::Bytes => {
            let (shape, strings) = value.try_extract_strings().map_err(failed)?;
            (shape.to_vec(), Data::Bytes(strings.into_iter().map(Bytes::from).collect()))
        }
    };
    let shape = shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
    Ok(Tensor { name: name.to_owned(), shape, data })
}

impl Engine for OrtEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        let mut values = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            values.push((Cow::Borrowed(tensor.name.as_str()), to_ort(tensor)?));
        }
        let outputs = self.session.run(values).map_err(|error| EngineError(error.to_string()))?;
        let tensors: Result<Vec<_>, _> = self
            .signature
            .outputs
            .iter()
            .map(|spec| {
                let value = outputs.get(&spec.name).ok_or_else(|| EngineError(format!("no output {:?}", spec.name)))?;
                from_ort(&spec.name, value, spec.datatype)
            })
            .collect();
        answer(tensors?);
        Ok(())
    }
}
