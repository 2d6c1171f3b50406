//! Runs on the processor by ONNX Runtime's own calls. The crate's safe way writes each name anew for each run and asks for all
//! that can be known of a value: for a quick model that adds four tenths to the run. Here what is the same for every run is
//! made once, and the session is shared: several threads run it at once, on one copy of the weights.
#![allow(unsafe_code)]

use super::{
    raw::{Owned, check},
    values,
};
use crate::{
    engine::EngineError,
    error::StartError,
    protocol::{
        data::{Data, Datatype},
        tensor::{Signature, Tensor, TensorSpec},
    },
    with_data,
};
use millrace_crds::conditions::reason;
use ort::{
    AsPointer as _,
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    session::{RunOptions, Session, SessionInputValue},
    sys::{ONNXTensorElementDataType, OrtValue},
    value::DynValue,
};
use std::{
    ffi::{CString, c_char},
    sync::Arc,
};

/// A session of the processor, and what all runs of one thread share.
pub struct Direct {
    session: Arc<Session>,
    inputs: Box<[Named]>,
    outputs: Box<[Named]>,
    memory: MemoryInfo<'static>,
    options: RunOptions,
}

/// A tensor of the model.
struct Named {
    name: CString,
    element: ONNXTensorElementDataType,
    spec: TensorSpec,
}

impl Named {
    fn new(spec: &TensorSpec) -> Result<Self, StartError> {
        let name = CString::new(spec.name.as_str()).map_err(|_| {
            StartError::new(reason::MODEL_INVALID, format!("tensor {:?} has a zero in its name", spec.name))
        })?;
        Ok(Self { name, element: values::element(spec.datatype).into(), spec: spec.clone() })
    }

    fn failed(&self, what: impl std::fmt::Display) -> EngineError {
        EngineError::Failed(format!("tensor {:?}: {what}", self.spec.name))
    }
}

/// A tensor that a run is given.
enum Given<'t> {
    /// Over the tensor's own elements.
    Borrowed(Owned),
    /// Texts, which the engine copies.
    Copied(SessionInputValue<'t>),
}

impl Given<'_> {
    fn ptr(&self) -> *const OrtValue {
        match self {
            Self::Borrowed(value) => value.ptr(),
            Self::Copied(value) => value.ptr(),
        }
    }
}

impl Direct {
    /// For a session of the processor.
    ///
    /// # Errors
    /// `ModelInvalid`: a tensor has a name that the engine can't be told.
    pub fn new(session: Arc<Session>, signature: &Signature) -> Result<Self, StartError> {
        let failed = |error: ort::Error| StartError::new(reason::PROVIDER_UNAVAILABLE, error.to_string());
        let named = |specs: &[TensorSpec]| specs.iter().map(Named::new).collect::<Result<_, _>>();
        let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default);
        Ok(Self {
            session,
            inputs: named(&signature.inputs)?,
            outputs: named(&signature.outputs)?,
            memory: memory.map_err(failed)?,
            options: RunOptions::new().map_err(failed)?,
        })
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Runs the session.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let given = inputs.iter().map(|tensor| self.given(tensor)).collect::<Result<Vec<_>, _>>()?;
        let given_names: Vec<*const c_char> = given.iter().map(|(named, _)| named.name.as_ptr()).collect();
        let given_values: Vec<*const OrtValue> = given.iter().map(|(_, value)| value.ptr()).collect();
        let made_names: Vec<*const c_char> = self.outputs.iter().map(|named| named.name.as_ptr()).collect();
        let mut made: Vec<Owned> = self.outputs.iter().map(|_| Owned::none()).collect();
        // SAFETY: the session and the options are alive. Several threads may run a session at once, says ONNX Runtime of its
        // own Run (inference_session.h); the crate forbids it for all providers, since those of devices break the promise.
        // Here there is the processor's alone, with neither threads, arena nor memory pattern to share. Each array has as
        // many elements as is said, each name ends with a zero, the inputs are values that live until the end of this
        // function, and the outputs are null: the engine makes them.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                self.options.ptr(),
                given_names.as_ptr(),
                given_values.as_ptr().cast(),
                given.len(),
                made_names.as_ptr(),
                made_names.len(),
                made.as_mut_ptr().cast(),
            )
        };
        check(status)?;
        self.outputs.iter().zip(made).map(|(named, value)| self.read(named, value)).collect()
    }

    /// A tensor as the engine takes it, and its name. It must be freed before the tensor is.
    fn given<'t>(&self, tensor: &'t Tensor) -> Result<(&Named, Given<'t>), EngineError> {
        let named = self.inputs.iter().find(|named| named.spec.name == tensor.name);
        let named = named.ok_or_else(|| EngineError::Unfit(format!("the model has no input {:?}", tensor.name)))?;
        if named.spec.datatype != tensor.data.datatype() {
            return Err(EngineError::Unfit(format!("input {:?} is of another type", tensor.name)));
        }
        if matches!(tensor.data, Data::Bytes(_)) {
            return Ok((named, Given::Copied(values::to_ort(tensor)?)));
        }
        let dims = tensor.shape.iter().map(|dim| i64::try_from(*dim)).collect::<Result<Vec<i64>, _>>();
        let dims = dims.map_err(|_| named.failed("its shape is too large"))?;
        let (data, bytes) =
            with_data!(&tensor.data, vector => (vector.as_ptr().cast_mut().cast(), size_of_val(vector.as_slice())));
        let mut value = Owned::none();
        // SAFETY: the elements are as many bytes as is said, of the type that is said (it was compared); the engine refuses a
        // shape that needs more. It never writes to an input.
        let status = unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                self.memory.ptr(),
                data,
                bytes,
                dims.as_ptr(),
                dims.len(),
                named.element,
                (&raw mut value).cast(),
            )
        };
        check(status)?;
        Ok((named, Given::Borrowed(value)))
    }

    /// Copies an output of the engine.
    fn read(&self, named: &Named, value: Owned) -> Result<Tensor, EngineError> {
        let (shape, element) = value.shape()?;
        if element != named.element {
            return Err(named.failed(format_args!("the engine made elements of the type {element:?}")));
        }
        let (name, datatype) = (&named.spec.name, named.spec.datatype);
        if datatype == Datatype::Bytes {
            let value = value.release().ok_or_else(|| named.failed("the engine made none"))?;
            // SAFETY: it is a tensor of this session, and nobody else frees it.
            let texts: DynValue = unsafe { DynValue::from_ptr(value, Some(self.session.allocator())) };
            return values::from_ort(name, &texts, datatype);
        }
        let count: usize = shape.iter().product();
        let mut data = datatype.empty();
        if count > 0 {
            let first = value.first()?;
            with_data!(&mut data, vector => {
                // SAFETY: the engine holds `count` elements of this type there (it was compared, and texts went above; BOOL is
                // written as 0 or 1), aligned for it, in the host's memory, and nothing writes to them while they are copied.
                vector.extend_from_slice(unsafe { std::slice::from_raw_parts(first.cast(), count) });
            });
        }
        Ok(Tensor { name: name.clone(), shape, data })
    }
}
