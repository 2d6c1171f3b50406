//! The elements of a tensor: one typed vector, so that the engine, the batcher and the codecs need no casts.

use crate::error::Error;
use bytes::Bytes;
use half::{bf16, f16};

/// Calls a body with the vector of whatever type the data has.
#[macro_export]
macro_rules! with_data {
    ($data:expr, $vector:ident => $body:expr) => {
        match $data {
            $crate::protocol::data::Data::Bool($vector) => $body,
            $crate::protocol::data::Data::Uint8($vector) => $body,
            $crate::protocol::data::Data::Uint16($vector) => $body,
            $crate::protocol::data::Data::Uint32($vector) => $body,
            $crate::protocol::data::Data::Uint64($vector) => $body,
            $crate::protocol::data::Data::Int8($vector) => $body,
            $crate::protocol::data::Data::Int16($vector) => $body,
            $crate::protocol::data::Data::Int32($vector) => $body,
            $crate::protocol::data::Data::Int64($vector) => $body,
            $crate::protocol::data::Data::Fp16($vector) => $body,
            $crate::protocol::data::Data::Bf16($vector) => $body,
            $crate::protocol::data::Data::Fp32($vector) => $body,
            $crate::protocol::data::Data::Fp64($vector) => $body,
            $crate::protocol::data::Data::Bytes($vector) => $body,
        }
    };
}

macro_rules! datatypes {
    ($($variant:ident, $type:ty, $name:literal, $size:expr, $code:literal;)*) => {
        /// Element types of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Datatype {
            $(#[doc = $name] $variant,)*
        }

        /// The elements.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Data {
            $(#[doc = $name] $variant(Vec<$type>),)*
        }

        impl Datatype {
            /// By its name on the wire.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Its name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Bytes of one element; `None`: it varies.
            #[must_use]
            pub fn size(self) -> Option<usize> {
                match self { $(Self::$variant => $size,)* }
            }

            /// Its number in Triton's model configuration.
            #[must_use]
            pub fn code(self) -> i32 {
                match self { $(Self::$variant => $code,)* }
            }

            /// No elements of this type.
            #[must_use]
            pub fn empty(self) -> Data {
                match self { $(Self::$variant => Data::$variant(Vec::new()),)* }
            }
        }

        impl Data {
            /// Its element type.
            #[must_use]
            pub fn datatype(&self) -> Datatype {
                match self { $(Self::$variant(_) => Datatype::$variant,)* }
            }

            /// Appends elements `from..to` of data of the same type; `false`: the types differ.
            pub fn append(&mut self, other: &Data, from: usize, to: usize) -> bool {
                match (self, other) {
                    $((Self::$variant(own), Self::$variant(other)) => own.extend_from_slice(&other[from..to]),)*
                    _ => return false,
                }
                true
            }

            /// Makes room for so many more elements.
            pub fn reserve(&mut self, more: usize) {
                match self { $(Self::$variant(own) => own.reserve_exact(more),)* }
            }

            /// Elements `from..to` as data of their own.
            #[must_use]
            pub fn slice(&self, from: usize, to: usize) -> Data {
                match self { $(Self::$variant(own) => Self::$variant(own[from..to].to_vec()),)* }
            }
        }
    };
}

datatypes! {
    Bool, bool, "BOOL", Some(1), 1;
    Uint8, u8, "UINT8", Some(1), 2;
    Uint16, u16, "UINT16", Some(2), 3;
    Uint32, u32, "UINT32", Some(4), 4;
    Uint64, u64, "UINT64", Some(8), 5;
    Int8, i8, "INT8", Some(1), 6;
    Int16, i16, "INT16", Some(2), 7;
    Int32, i32, "INT32", Some(4), 8;
    Int64, i64, "INT64", Some(8), 9;
    Fp16, f16, "FP16", Some(2), 10;
    Bf16, bf16, "BF16", Some(2), 14;
    Fp32, f32, "FP32", Some(4), 11;
    Fp64, f64, "FP64", Some(8), 12;
    Bytes, Bytes, "BYTES", None, 13;
}

macro_rules! little_endian {
    ($raw:expr, $type:ty) => {
        $raw.as_chunks::<{ size_of::<$type>() }>().0.iter().map(|chunk| <$type>::from_le_bytes(*chunk)).collect()
    };
}

/// Room first and then each element in its place: that is one copy, where the machine has the wire's order.
macro_rules! write_le {
    ($out:expr, $values:expr, $type:ty) => {{
        let from = $out.len();
        $out.resize(from + size_of_val($values.as_slice()), 0);
        let places = $out[from..].as_chunks_mut::<{ size_of::<$type>() }>().0;
        for (place, value) in places.iter_mut().zip($values) {
            *place = value.to_le_bytes();
        }
    }};
}

impl Data {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        with_data!(self, vector => vector.len())
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills up with zeros (or empty strings) to `count` elements.
    pub fn pad(&mut self, count: usize) {
        with_data!(self, vector => vector.resize(count.max(vector.len()), Default::default()));
    }

    /// Bytes that the elements hold in memory.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Bytes(strings) => strings.iter().map(|string| string.len() + size_of::<Bytes>()).sum(),
            other => other.len() * other.datatype().size().unwrap_or(1),
        }
    }

    /// Reads `count` little-endian elements; strings each with their length of 4 bytes before them.
    ///
    /// # Errors
    /// The bytes aren't just so many elements.
    pub fn from_le(name: &str, datatype: Datatype, raw: &Bytes, count: usize) -> Result<Self, Error> {
        let Some(size) = datatype.size() else {
            return strings_from_le(name, raw, count).map(Self::Bytes);
        };
        let needed = count
            .checked_mul(size)
            .ok_or_else(|| Error::invalid(format!("the shape of input {name:?} is too large")))?;
        if raw.len() != needed {
            return Err(Error::invalid(format!(
                "input {name:?} has {} bytes; its shape and {} need {needed}",
                raw.len(),
                datatype.name()
            )));
        }
        Ok(match datatype {
            Datatype::Bool => Self::Bool(raw.iter().map(|&byte| byte != 0).collect()),
            Datatype::Uint8 => Self::Uint8(raw.to_vec()),
            Datatype::Uint16 => Self::Uint16(little_endian!(raw, u16)),
            Datatype::Uint32 => Self::Uint32(little_endian!(raw, u32)),
            Datatype::Uint64 => Self::Uint64(little_endian!(raw, u64)),
            Datatype::Int8 => Self::Int8(little_endian!(raw, i8)),
            Datatype::Int16 => Self::Int16(little_endian!(raw, i16)),
            Datatype::Int32 => Self::Int32(little_endian!(raw, i32)),
            Datatype::Int64 => Self::Int64(little_endian!(raw, i64)),
            Datatype::Fp16 => Self::Fp16(little_endian!(raw, f16)),
            Datatype::Bf16 => Self::Bf16(little_endian!(raw, bf16)),
            Datatype::Fp32 => Self::Fp32(little_endian!(raw, f32)),
            Datatype::Fp64 => Self::Fp64(little_endian!(raw, f64)),
            Datatype::Bytes => Self::Bytes(Vec::new()),
        })
    }

    /// Bytes that the elements take as the binary extension writes them.
    #[must_use]
    pub fn le_bytes(&self) -> usize {
        match self {
            Self::Bytes(strings) => strings.iter().map(|string| string.len() + 4).sum(),
            other => other.len() * other.datatype().size().unwrap_or(1),
        }
    }

    /// Appends the elements as the binary extension writes them.
    pub fn write_le(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(v) => out.extend(v.iter().map(|&b| u8::from(b))),
            Self::Uint8(v) => out.extend_from_slice(v),
            Self::Uint16(v) => write_le!(out, v, u16),
            Self::Uint32(v) => write_le!(out, v, u32),
            Self::Uint64(v) => write_le!(out, v, u64),
            Self::Int8(v) => write_le!(out, v, i8),
            Self::Int16(v) => write_le!(out, v, i16),
            Self::Int32(v) => write_le!(out, v, i32),
            Self::Int64(v) => write_le!(out, v, i64),
            Self::Fp16(v) => write_le!(out, v, f16),
            Self::Bf16(v) => write_le!(out, v, bf16),
            Self::Fp32(v) => write_le!(out, v, f32),
            Self::Fp64(v) => write_le!(out, v, f64),
            Self::Bytes(v) => {
                for string in v {
                    out.extend_from_slice(&u32::try_from(string.len()).unwrap_or(u32::MAX).to_le_bytes());
                    out.extend_from_slice(string);
                }
            }
        }
    }

    /// The elements as the binary extension writes them.
    #[must_use]
    pub fn to_le(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.le_bytes());
        self.write_le(&mut out);
        out
    }
}

/// Strings with their lengths before them. Each needs 4 bytes at least, which bounds what is allocated.
fn strings_from_le(name: &str, raw: &Bytes, count: usize) -> Result<Vec<Bytes>, Error> {
    let wrong =
        || Error::invalid(format!("input {name:?} isn't {count} strings, each with its length of 4 bytes before it"));
    if count.checked_mul(4).is_none_or(|least| least > raw.len()) {
        return Err(wrong());
    }
    let mut strings = Vec::with_capacity(count);
    let mut rest = raw.clone();
    for _ in 0..count {
        let head: [u8; 4] = rest.get(..4).and_then(|head| head.try_into().ok()).ok_or_else(wrong)?;
        let length = usize::try_from(u32::from_le_bytes(head)).map_err(|_| wrong())?;
        let _ = rest.split_to(4);
        if length > rest.len() {
            return Err(wrong());
        }
        strings.push(rest.split_to(length));
    }
    if rest.is_empty() { Ok(strings) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_exact() {
        for (datatype, raw, count, fits) in [
            (Datatype::Fp32, vec![0u8; 8], 2, true),
            (Datatype::Fp32, vec![0u8; 7], 2, false),
            (Datatype::Bool, vec![0u8; 2], 2, true),
            (Datatype::Fp16, vec![0u8; 8], 2, false),
            (Datatype::Bytes, vec![1, 0, 0, 0, 65], 1, true),
            (Datatype::Bytes, vec![2, 0, 0, 0, 65], 1, false),
            (Datatype::Bytes, vec![1, 0, 0, 0, 65, 66], 1, false),
            (Datatype::Bytes, vec![255, 255, 255, 255], 1, false),
            (Datatype::Bytes, vec![], 1 << 40, false),
        ] {
            assert_eq!(Data::from_le("x", datatype, &raw.clone().into(), count).is_ok(), fits, "{datatype:?} {raw:?}");
        }
    }

    proptest! {
        #[test]
        fn binary_there_and_back(values in proptest::collection::vec(any::<i64>(), 0..20), strings in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9)) {
            let data = Data::Int64(values.clone());
            prop_assert_eq!(Data::from_le("x", Datatype::Int64, &data.to_le().into(), values.len()).ok(), Some(data));
            let data = Data::Bytes(strings.iter().cloned().map(Bytes::from).collect());
            prop_assert_eq!(Data::from_le("x", Datatype::Bytes, &data.to_le().into(), strings.len()).ok(), Some(data));
        }

        #[test]
        fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..64), count in 0..usize::MAX) {
            let raw = Bytes::from(raw);
            for datatype in [Datatype::Bytes, Datatype::Fp64, Datatype::Bool] {
                if let Ok(data) = Data::from_le("x", datatype, &raw, count) {
                    prop_assert_eq!(data.len(), count);
                }
            }
        }
    }
}
