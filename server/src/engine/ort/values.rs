//! Tensors of the server as values of ONNX Runtime, and back.

use crate::{
    engine::EngineError,
    error::StartError,
    protocol::{
        data::{Data, Datatype},
        tensor::{Tensor, TensorSpec},
    },
};
use bytes::Bytes;
use millrace_crds::conditions::reason;
use ort::{
    session::SessionInputValue,
    value::{DynValue, Outlet, Tensor as OrtTensor, TensorElementType, TensorRef},
};

/// Names, types and shapes of a model's inputs or outputs.
///
/// # Errors
/// `ModelInvalid`: one is no tensor, or of a type that isn't served.
pub fn specs(outlets: &[Outlet]) -> Result<Vec<TensorSpec>, StartError> {
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

/// The element types of both sides, each pair once.
const TYPES: [(TensorElementType, Datatype); 14] = [
    (TensorElementType::Bool, Datatype::Bool),
    (TensorElementType::Uint8, Datatype::Uint8),
    (TensorElementType::Uint16, Datatype::Uint16),
    (TensorElementType::Uint32, Datatype::Uint32),
    (TensorElementType::Uint64, Datatype::Uint64),
    (TensorElementType::Int8, Datatype::Int8),
    (TensorElementType::Int16, Datatype::Int16),
    (TensorElementType::Int32, Datatype::Int32),
    (TensorElementType::Int64, Datatype::Int64),
    (TensorElementType::Float16, Datatype::Fp16),
    (TensorElementType::Bfloat16, Datatype::Bf16),
    (TensorElementType::Float32, Datatype::Fp32),
    (TensorElementType::Float64, Datatype::Fp64),
    (TensorElementType::String, Datatype::Bytes),
];

fn datatype(element: TensorElementType) -> Option<Datatype> {
    TYPES.iter().find(|(known, _)| *known == element).map(|(_, datatype)| *datatype)
}

/// The engine's name of a type.
pub fn element(datatype: Datatype) -> TensorElementType {
    TYPES.iter().find(|(_, known)| *known == datatype).map_or(TensorElementType::Undefined, |(element, _)| *element)
}

/// A view over the elements, or a copy where there is none (strings; views can't be empty either).
pub fn to_ort(tensor: &Tensor) -> Result<SessionInputValue<'_>, EngineError> {
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
    value.map_err(|error| EngineError::Failed(error.to_string()))
}

/// The elements of an output, copied out of the engine.
pub fn from_ort(name: &str, value: &DynValue, datatype: Datatype) -> Result<Tensor, EngineError> {
    let failed = |error: ort::Error| EngineError::Failed(format!("output {name:?}: {error}"));
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
