//! The two calls of NVIDIA's libraries that ONNX Runtime has no door to. The libraries are looked up at run time, in what the
//! process has loaded or the system finds: without them, both are errors.
#![allow(unsafe_code)]

use crate::{engine::EngineError, protocol::data::Data, with_data};
use libloading::Library;
use std::{
    ffi::{c_int, c_void},
    sync::OnceLock,
};

/// Of `cudaMemcpyKind`: it is told from the pointers (unified virtual addressing).
const DEFAULT: c_int = 4;

type Copy = unsafe extern "C" fn(*mut c_void, *const c_void, usize, c_int) -> c_int;

/// `cudaMemcpy`, of the runtime that ONNX Runtime's provider runs on.
pub struct Memory {
    copy: Copy,
}

impl Memory {
    /// The runtime's, once in a process.
    ///
    /// # Errors
    /// The library isn't loaded.
    pub fn get() -> Result<&'static Self, EngineError> {
        static LIBRARY: OnceLock<Result<(Memory, Library), String>> = OnceLock::new();
        let loaded = LIBRARY.get_or_init(|| {
            // SAFETY: the provider for CUDA has loaded this very library: opening it once more runs no initialisers. The
            // type is that of its documentation, and the library is kept beside the pointer for the life of the process.
            unsafe {
                let library = Library::new("libcudart.so.13").map_err(|error| error.to_string())?;
                let copy = *library.get::<Copy>(b"cudaMemcpy\0").map_err(|error| error.to_string())?;
                Ok((Memory { copy }, library))
            }
        });
        loaded
            .as_ref()
            .map(|(memory, _)| memory)
            .map_err(|error| EngineError::Failed(format!("CUDA's runtime: {error}")))
    }

    /// Copies elements to a buffer of `bytes` on the device. Waits for the copy.
    ///
    /// # Errors
    /// The sizes differ, or CUDA refuses.
    pub fn upload(&self, data: &Data, device: *mut c_void, bytes: usize) -> Result<(), EngineError> {
        check(data, bytes)?;
        self.copy(device, with_data!(data, vector => vector.as_ptr().cast()), bytes)
    }

    /// Copies elements from a buffer of `bytes` on the device. Waits for the copy.
    ///
    /// # Errors
    /// The sizes differ, or CUDA refuses.
    pub fn download(&self, data: &mut Data, device: *const c_void, bytes: usize) -> Result<(), EngineError> {
        check(data, bytes)?;
        self.copy(with_data!(data, vector => vector.as_mut_ptr().cast()), device, bytes)
    }

    /// Copies `bytes` that both sides have.
    fn copy(&self, to: *mut c_void, from: *const c_void, bytes: usize) -> Result<(), EngineError> {
        // SAFETY: both buffers hold `bytes`, by `check`: one is the vector's, the other the tensor's on the device, which the
        // caller borrows for this call; they can't overlap. The call ends when the bytes are there. Every bit pattern that
        // a tensor of the engine holds is a value of its type (BOOL is written as 0 or 1).
        match unsafe { (self.copy)(to, from, bytes, DEFAULT) } {
            0 => Ok(()),
            error => Err(EngineError::Failed(format!("cudaMemcpy: error {error}"))),
        }
    }
}

/// Strings are pointers on the host: they have no size on the device.
fn check(data: &Data, bytes: usize) -> Result<(), EngineError> {
    let datatype = data.datatype();
    let host = datatype.size().map(|size| size * data.len());
    if host == Some(bytes) {
        return Ok(());
    }
    Err(EngineError::Failed(format!(
        "{} elements of {} don't fill {bytes} bytes on the device",
        data.len(),
        datatype.name()
    )))
}

/// The version of TensorRT that ONNX Runtime's provider would load, such as `101302`; `None`: there is none.
#[must_use]
pub fn tensorrt_version() -> Option<String> {
    // SAFETY: loading it runs its initialisers, as the provider would a moment later; the function takes and changes
    // nothing, and its type is that of NvInferRuntime.h.
    unsafe {
        let library = Library::new("libnvinfer.so.10").ok()?;
        let version = library.get::<unsafe extern "C" fn() -> c_int>(b"getInferLibVersion\0").ok()?;
        Some(version().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, size: usize, kind: c_int) -> c_int {
        assert_eq!(kind, DEFAULT);
        // SAFETY: as the caller promises.
        unsafe { std::ptr::copy(from.cast::<u8>(), to.cast::<u8>(), size) };
        0
    }

    #[test]
    fn elements_go_there_and_back_and_sizes_must_agree() {
        let memory = Memory { copy: memmove };
        let mut device = [0u8; 12];
        memory.upload(&Data::Fp32(vec![1.0, -2.0, 3.5]), device.as_mut_ptr().cast(), 12).unwrap();
        let mut back = Data::Fp32(vec![0.0; 3]);
        memory.download(&mut back, device.as_ptr().cast(), 12).unwrap();
        assert_eq!(back, Data::Fp32(vec![1.0, -2.0, 3.5]));
        let error = memory.upload(&Data::Fp32(vec![1.0]), device.as_mut_ptr().cast(), 12).unwrap_err();
        assert!(error.to_string().contains("1 elements of FP32 don't fill 12 bytes"), "{error}");
        memory
            .upload(&Data::Bytes(vec!["a".into()]), device.as_mut_ptr().cast(), size_of::<bytes::Bytes>())
            .unwrap_err();
    }
}
