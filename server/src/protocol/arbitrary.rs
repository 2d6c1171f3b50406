//! Tensors of every type and shape, for property tests.

use super::{
    data::{Data, Datatype},
    tensor::Tensor,
};
use half::{bf16, f16};
use proptest::{collection::vec, prelude::*, sample::select};

const DATATYPES: [Datatype; 14] = [
    Datatype::Bool,
    Datatype::Uint8,
    Datatype::Uint16,
    Datatype::Uint32,
    Datatype::Uint64,
    Datatype::Int8,
    Datatype::Int16,
    Datatype::Int32,
    Datatype::Int64,
    Datatype::Fp16,
    Datatype::Bf16,
    Datatype::Fp32,
    Datatype::Fp64,
    Datatype::Bytes,
];

/// Any type.
pub fn datatype() -> impl Strategy<Value = Datatype> {
    select(DATATYPES.to_vec())
}

/// So many elements of any bits, what is no number included.
pub fn data(datatype: Datatype, count: usize) -> BoxedStrategy<Data> {
    macro_rules! any_of {
        ($($type:ident, $element:expr;)*) => {
            match datatype {
                $(Datatype::$type => vec($element, count).prop_map(Data::$type).boxed(),)*
            }
        };
    }
    any_of! {
        Bool, any::<bool>();
        Uint8, any::<u8>();
        Uint16, any::<u16>();
        Uint32, any::<u32>();
        Uint64, any::<u64>();
        Int8, any::<i8>();
        Int16, any::<i16>();
        Int32, any::<i32>();
        Int64, any::<i64>();
        Fp16, any::<u16>().prop_map(f16::from_bits);
        Bf16, any::<u16>().prop_map(bf16::from_bits);
        Fp32, any::<u32>().prop_map(f32::from_bits);
        Fp64, any::<u64>().prop_map(f64::from_bits);
        Bytes, vec(any::<u8>(), 0..12).prop_map(bytes::Bytes::from);
    }
}

/// A tensor of this shape.
pub fn tensor(name: String, datatype: Datatype, shape: Vec<usize>) -> impl Strategy<Value = Tensor> {
    let elements = data(datatype, shape.iter().product());
    elements.prop_map(move |data| Tensor { name: name.clone(), shape: shape.clone(), data })
}

/// Any tensor whose dimensions are of this range.
pub fn any_tensor(dims: std::ops::Range<usize>, ranks: std::ops::Range<usize>) -> impl Strategy<Value = Tensor> {
    ("\\PC{0,6}", datatype(), vec(dims, ranks)).prop_flat_map(|(name, datatype, shape)| tensor(name, datatype, shape))
}

/// The same as far as JSON can say it: numbers that are finite, strings that are texts.
pub fn in_json(tensor: Tensor) -> Tensor {
    let data = match tensor.data {
        Data::Fp16(v) => Data::Fp16(v.into_iter().map(|x| if x.is_finite() { x } else { f16::ONE }).collect()),
        Data::Bf16(v) => Data::Bf16(v.into_iter().map(|x| if x.is_finite() { x } else { bf16::ONE }).collect()),
        Data::Fp32(v) => Data::Fp32(v.into_iter().map(|x| if x.is_finite() { x } else { 1.0 }).collect()),
        Data::Fp64(v) => Data::Fp64(v.into_iter().map(|x| if x.is_finite() { x } else { 1.0 }).collect()),
        Data::Bytes(v) => Data::Bytes(v.into_iter().map(|x| String::from_utf8_lossy(&x).into_owned().into()).collect()),
        other => other,
    };
    Tensor { data, ..tensor }
}

/// Whether they are the same, bit by bit: what is no number never equals itself.
pub fn same(a: &[Tensor], b: &[Tensor]) -> bool {
    let one = |a: &Tensor, b: &Tensor| {
        (&a.name, &a.shape, a.data.datatype()) == (&b.name, &b.shape, b.data.datatype())
            && a.data.to_le() == b.data.to_le()
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| one(a, b))
}
