//! Values and answers of ONNX Runtime's own calls.
#![allow(unsafe_code)]

use crate::engine::EngineError;
use ort::sys::{ONNXTensorElementDataType, OrtErrorCode, OrtStatusPtr, OrtValue};
use std::{
    ffi::{CStr, c_void},
    ptr::{self, NonNull},
};

/// A value of the engine, which is freed with this; or none yet.
#[repr(transparent)]
pub struct Owned(*mut OrtValue);

impl Drop for Owned {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the engine made it, nobody else frees it, and nothing borrows it any more.
            unsafe { (ort::api().ReleaseValue)(self.0) }
        }
    }
}

impl Owned {
    /// The place of a value that the engine makes.
    #[must_use]
    pub fn none() -> Self {
        Self(ptr::null_mut())
    }

    /// The value, which lives as long as this.
    #[must_use]
    pub fn ptr(&self) -> *const OrtValue {
        self.0
    }

    /// The value, which the caller frees.
    #[must_use]
    pub fn release(self) -> Option<NonNull<OrtValue>> {
        NonNull::new(std::mem::ManuallyDrop::new(self).0)
    }

    /// Shape and type of a tensor.
    ///
    /// # Errors
    /// The engine made none.
    pub fn shape(&self) -> Result<(Vec<usize>, ONNXTensorElementDataType), EngineError> {
        let mut element = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        let (mut dims, mut count) = (ptr::null(), 0);
        if self.0.is_null() {
            return Err(EngineError::Failed("the engine left out an output".to_owned()));
        }
        // SAFETY: the value is a tensor that lives as long as this.
        check(unsafe {
            (ort::api().GetTensorElementTypeAndShapeDataReference)(
                self.0,
                &raw mut element,
                &raw mut dims,
                &raw mut count,
            )
        })?;
        if count == 0 {
            return Ok((Vec::new(), element));
        }
        // SAFETY: these are the value's own dimensions, as many as it says, and it lives.
        let dims = unsafe { std::slice::from_raw_parts(dims, count) };
        Ok((dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect(), element))
    }

    /// Where a tensor's elements lie, which live as long as this.
    ///
    /// # Errors
    /// The engine says that there are none.
    pub fn first(&self) -> Result<*const c_void, EngineError> {
        let mut first = ptr::null_mut();
        // SAFETY: it is a tensor that lives as long as this.
        check(unsafe { (ort::api().GetTensorMutableData)(self.0, &raw mut first) })?;
        Ok(first.cast_const())
    }
}

/// What a call says; frees it.
///
/// # Errors
/// It failed.
pub fn check(status: OrtStatusPtr) -> Result<(), EngineError> {
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
