//! Runs on the processor by ONNX Runtime's own calls. The crate's safe way writes each name anew for each run and asks for all
//! that can be known of a value: for a quick model that adds four tenths to the run. Here what is the same for every run is
//! made once. What it doesn't take (texts, tensors without elements) runs the safe way.
#![allow(unsafe_code)]

use super::values;
use crate::{
    engine::EngineError,
    protocol::tensor::{Signature, Tensor, TensorSpec},
    with_data,
};
use ort::{
    AsPointer as _,
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    session::{RunOptions, Session},
    sys::{ONNXTensorElementDataType, OrtErrorCode, OrtStatusPtr, OrtValue},
};
use std::{
    ffi::{CStr, CString, c_char},
    ptr,
};

/// Dimensions of a tensor at most; those that have more run the safe way.
const DIMENSIONS: usize = 8;

/// What all runs of a session share.
pub struct Direct {
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
    /// `None`: what the engine's call can't take as it is.
    fn new(spec: &TensorSpec) -> Option<Self> {
        spec.datatype.size()?;
        let name = CString::new(spec.name.as_str()).ok()?;
        Some(Self { name, element: values::element(spec.datatype).into(), spec: spec.clone() })
    }

    fn failed(&self, what: impl std::fmt::Display) -> EngineError {
        EngineError::Failed(format!("tensor {:?}: {what}", self.spec.name))
    }
}

/// Values of the engine, which are freed with this.
struct Values(Vec<*mut OrtValue>);

impl Drop for Values {
    fn drop(&mut self) {
        for value in self.0.iter().filter(|value| !value.is_null()) {
            // SAFETY: the engine made it, nobody else frees it, and nothing borrows it any more.
            unsafe { (ort::api().ReleaseValue)(*value) }
        }
    }
}

impl Direct {
    /// For a session of the processor; `None`: its tensors are of a kind that isn't taken.
    #[must_use]
    pub fn new(signature: &Signature) -> Option<Self> {
        let named = |specs: &[TensorSpec]| specs.iter().map(Named::new).collect::<Option<_>>();
        let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default).ok()?;
        let options = RunOptions::new().ok()?;
        Some(Self { inputs: named(&signature.inputs)?, outputs: named(&signature.outputs)?, memory, options })
    }

    /// Runs a session; `None`: the safe way takes these.
    ///
    /// # Errors
    /// Whatever the engine says.
    pub fn run(&self, session: &mut Session, inputs: &[Tensor]) -> Option<Result<Vec<Tensor>, EngineError>> {
        let plain = |(named, tensor): (&Named, &Tensor)| {
            named.spec.name == tensor.name
                && named.spec.datatype == tensor.data.datatype()
                && !tensor.data.is_empty()
                && tensor.shape.len() <= DIMENSIONS
        };
        (inputs.len() == self.inputs.len() && self.inputs.iter().zip(inputs).all(plain))
            .then(|| self.run_plain(session, inputs))
    }

    fn run_plain(&self, session: &mut Session, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let mut given = Values(Vec::with_capacity(inputs.len()));
        for (named, tensor) in self.inputs.iter().zip(inputs) {
            given.0.push(self.borrow(named, tensor)?);
        }
        let mut made = Values(vec![ptr::null_mut(); self.outputs.len()]);
        let names = |named: &[Named]| named.iter().map(|named| named.name.as_ptr()).collect::<Vec<*const c_char>>();
        let (input_names, output_names) = (names(&self.inputs), names(&self.outputs));
        // SAFETY: the session and the options are alive, and the session is borrowed by this call alone. Each array has as
        // many elements as is said, each name ends with a zero, the inputs are values that live until the end of this
        // function, and the outputs are null: the engine makes them.
        let status = unsafe {
            (ort::api().Run)(
                session.ptr_mut(),
                self.options.ptr(),
                input_names.as_ptr(),
                given.0.as_ptr().cast(),
                given.0.len(),
                output_names.as_ptr(),
                output_names.len(),
                made.0.as_mut_ptr(),
            )
        };
        check(status)?;
        self.outputs.iter().zip(&made.0).map(|(named, value)| read(named, *value)).collect()
    }

    /// A value over a tensor's own elements. It must be freed before the tensor is.
    fn borrow(&self, named: &Named, tensor: &Tensor) -> Result<*mut OrtValue, EngineError> {
        let mut dims = [0_i64; DIMENSIONS];
        let dims = &mut dims[..tensor.shape.len()];
        for (to, from) in dims.iter_mut().zip(&tensor.shape) {
            *to = i64::try_from(*from).map_err(|_| named.failed("its shape is too large"))?;
        }
        let (data, bytes) =
            with_data!(&tensor.data, vector => (vector.as_ptr().cast_mut().cast(), size_of_val(vector.as_slice())));
        let mut value = ptr::null_mut();
        // SAFETY: the elements are as many bytes as is said, of the type that is said (`plain`); the engine refuses a shape
        // that needs more. It never writes to an input.
        let status = unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                self.memory.ptr(),
                data,
                bytes,
                dims.as_ptr(),
                dims.len(),
                named.element,
                &raw mut value,
            )
        };
        check(status).map(|()| value)
    }
}

/// Copies an output of the engine.
fn read(named: &Named, value: *mut OrtValue) -> Result<Tensor, EngineError> {
    if value.is_null() {
        return Err(named.failed("the engine made none"));
    }
    let (shape, element) = shape(value)?;
    if element != named.element {
        return Err(named.failed(format_args!("the engine made elements of the type {element:?}")));
    }
    let count: usize = shape.iter().product();
    let mut first = ptr::null_mut();
    // SAFETY: it is a tensor that lives until the caller frees it; on the processor its elements are in the host's memory.
    check(unsafe { (ort::api().GetTensorMutableData)(value, &raw mut first) })?;
    let mut data = named.spec.datatype.empty();
    if count > 0 {
        with_data!(&mut data, vector => {
            // SAFETY: the engine holds `count` elements of this type there (it was compared, and texts are never asked for;
            // BOOL is written as 0 or 1), aligned for it, and nothing writes to them while they are copied.
            vector.extend_from_slice(unsafe { std::slice::from_raw_parts(first.cast_const().cast(), count) });
        });
    }
    Ok(Tensor { name: named.spec.name.clone(), shape, data })
}

/// Shape and type of a tensor.
fn shape(value: *const OrtValue) -> Result<(Vec<usize>, ONNXTensorElementDataType), EngineError> {
    let mut element = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    let (mut dims, mut count) = (ptr::null(), 0);
    // SAFETY: the value is a tensor that lives until the caller frees it.
    check(unsafe {
        (ort::api().GetTensorElementTypeAndShapeDataReference)(value, &raw mut element, &raw mut dims, &raw mut count)
    })?;
    if count == 0 {
        return Ok((Vec::new(), element));
    }
    // SAFETY: these are the value's own dimensions, as many as it says, and it lives.
    let dims = unsafe { std::slice::from_raw_parts(dims, count) };
    Ok((dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect(), element))
}

/// What a call says; frees it.
fn check(status: OrtStatusPtr) -> Result<(), EngineError> {
    if status.0.is_null() {
        return Ok(());
    }
    let api = ort::api();
    // SAFETY: a status that isn't null lives until it is freed here, once; its text ends with a zero and is copied before.
    let (code, text) = unsafe {
        let code = (api.GetErrorCode)(status.0);
        let text = CStr::from_ptr((api.GetErrorMessage)(status.0)).to_string_lossy().into_owned();
        (api.ReleaseStatus)(status.0);
        (code, text)
    };
    Err(match code {
        // What kernels say of an index or a shape that they can't take.
        OrtErrorCode::ORT_INVALID_ARGUMENT => EngineError::Unfit(text),
        _ => EngineError::Failed(text),
    })
}
