//! JSON numbers straight into typed vectors, nested or flat, and back: no tree of values in between.

use super::data::{Data, Datatype};
use crate::{error::Error, with_data};
use base64::Engine as _;
use bytes::Bytes;
use half::{bf16, f16};
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = super::shape::MAX_RANK;

/// An element that JSON can hold. Each way in is refused unless the type overrides it.
pub trait Element: Sized {
    /// From a JSON integer of 0 or more.
    fn from_u64(_: u64) -> Option<Self> {
        None
    }
    /// From a negative JSON integer.
    fn from_i64(_: i64) -> Option<Self> {
        None
    }
    /// From a JSON number with a fraction or an exponent.
    fn from_f64(_: f64) -> Option<Self> {
        None
    }
    /// From true or false.
    fn from_bool(_: bool) -> Option<Self> {
        None
    }
    /// From a string.
    fn from_str(_: &str) -> Option<Self> {
        None
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Element for $type {
            fn from_u64(value: u64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_i64(value: i64) -> Option<Self> {
                value.try_into().ok()
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($type:ty: $from:expr),*) => {$(
        impl Element for $type {
            #[allow(clippy::cast_precision_loss)]
            fn from_u64(value: u64) -> Option<Self> {
                <Self as Element>::from_f64(value as f64)
            }
            #[allow(clippy::cast_precision_loss)]
            fn from_i64(value: i64) -> Option<Self> {
                <Self as Element>::from_f64(value as f64)
            }
            /// What the type can't hold is refused: it would become infinite in silence.
            fn from_f64(value: f64) -> Option<Self> {
                Some($from(value)).filter(|number: &Self| number.is_finite())
            }
        }
    )*};
}
floats!(f32: |value: f64| value as f32, f64: |value| value, f16: f16::from_f64, bf16: bf16::from_f64);

impl Element for bool {
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
    fn from_u64(value: u64) -> Option<Self> {
        match value {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Element for Bytes {
    fn from_str(value: &str) -> Option<Self> {
        Some(Bytes::copy_from_slice(value.as_bytes()))
    }
}

/// Collects elements; remembers the lengths of nested arrays, and refuses ragged ones.
struct Collect<'a, T> {
    into: &'a mut Vec<T>,
    limit: usize,
    dims: &'a mut Vec<usize>,
    depth: usize,
}

impl<'de, T: Element> DeserializeSeed<'de> for Collect<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: Element> Collect<'_, T> {
    fn add<E: serde::de::Error>(self, element: Option<T>) -> Result<(), E> {
        if self.dims.len() != self.depth {
            return Err(E::custom("the arrays of the data aren't all of one depth"));
        }
        if self.into.len() >= self.limit {
            return Err(E::custom("there are more elements than the shape says"));
        }
        self.into.push(element.ok_or_else(|| E::custom("an element doesn't fit the datatype"))?);
        Ok(())
    }
}

impl<'de, T: Element> Visitor<'de> for Collect<'_, T> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of elements of the datatype")
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.add(T::from_u64(value))
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.add(T::from_i64(value))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.add(T::from_f64(value))
    }
    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.add(T::from_bool(value))
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.add(T::from_str(value))
    }
    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // KServe v1 writes binary strings as {"b64": "..."}.
        let entry: Option<(String, String)> = map.next_entry()?;
        let decoded = entry
            .filter(|(key, _)| key == "b64")
            .and_then(|(_, text)| base64::engine::general_purpose::STANDARD.decode(text).ok())
            .and_then(|raw| T::from_str(std::str::from_utf8(&raw).ok()?));
        self.add(decoded)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        if self.depth >= MAX_DEPTH {
            return Err(A::Error::custom("the data is nested too deeply"));
        }
        // A dimension is known when its first array ends; until then the marker stands in its place.
        let first = self.dims.len() == self.depth;
        if first {
            if !self.into.is_empty() {
                return Err(A::Error::custom("the arrays of the data aren't all of one depth"));
            }
            self.dims.push(usize::MAX);
        }
        let mut length = 0;
        while sequence
            .next_element_seed(Collect {
                into: &mut *self.into,
                limit: self.limit,
                dims: &mut *self.dims,
                depth: self.depth + 1,
            })?
            .is_some()
        {
            length += 1;
        }
        if first {
            self.dims[self.depth] = length;
        } else if self.dims[self.depth] != length {
            return Err(A::Error::custom("the arrays of the data aren't all of one length"));
        }
        Ok(())
    }
}

/// Reads at most `limit` elements; gives them with the lengths of the arrays around them.
///
/// # Errors
/// Ragged arrays, too many elements, or one that doesn't fit the datatype.
pub fn parse(name: &str, datatype: Datatype, raw: &RawValue, limit: usize) -> Result<(Data, Vec<usize>), Error> {
    let mut data = datatype.empty();
    let mut dims = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    with_data!(&mut data, vector => Collect { into: vector, limit, dims: &mut dims, depth: 0 }.deserialize(&mut deserializer))
        .map_err(|error| Error::invalid(format!("data of input {name:?} ({}): {error}", datatype.name())))?;
    Ok((data, dims))
}

/// Appends elements `from..to` as a flat JSON array.
///
/// # Errors
/// Strings that aren't UTF-8 can't be JSON.
pub fn write(out: &mut Vec<u8>, name: &str, data: &Data, from: usize, to: usize) -> Result<(), Error> {
    let unwritable = |_| Error::new(crate::error::Kind::Engine, format!("output {name:?} can't be written as JSON"));
    match data {
        Data::Bool(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Uint8(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Uint16(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Uint32(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Uint64(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Int8(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Int16(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Int32(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Int64(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Fp16(v) => serde_json::to_writer(out, &v[from..to].iter().map(|x| x.to_f32()).collect::<Vec<_>>()),
        Data::Bf16(v) => serde_json::to_writer(out, &v[from..to].iter().map(|x| x.to_f32()).collect::<Vec<_>>()),
        Data::Fp32(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Fp64(v) => serde_json::to_writer(out, &v[from..to]),
        Data::Bytes(v) => {
            let texts: Result<Vec<&str>, _> = v[from..to].iter().map(|text| std::str::from_utf8(text)).collect();
            let texts = texts.map_err(|_| {
                Error::invalid(format!("output {name:?} holds strings that aren't UTF-8; ask for it as binary data"))
            })?;
            serde_json::to_writer(out, &texts)
        }
    }
    .map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(datatype: Datatype, json: &str, limit: usize) -> Result<(Data, Vec<usize>), String> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        parse("x", datatype, &raw, limit).map_err(|error| error.message)
    }

    #[test]
    fn nested_and_flat() {
        let flat = Data::Fp32(vec![1.0, 2.5, -3.0, 4e2]);
        assert_eq!(check(Datatype::Fp32, "[1, 2.5, -3, 4e2]", 4), Ok((flat.clone(), vec![4])));
        assert_eq!(check(Datatype::Fp32, "[[1, 2.5], [-3, 4e2]]", 4), Ok((flat, vec![2, 2])));
        assert_eq!(
            check(Datatype::Bytes, r#"["a", {"b64": "Yg=="}]"#, 2),
            Ok((Data::Bytes(vec!["a".into(), "b".into()]), vec![2]))
        );
        assert_eq!(check(Datatype::Bool, "[true, 0]", 2), Ok((Data::Bool(vec![true, false]), vec![2])));
        assert_eq!(check(Datatype::Fp16, "[0.5]", 2), Ok((Data::Fp16(vec![f16::from_f32(0.5)]), vec![1])));
    }

    #[test]
    fn refusals() {
        for (datatype, json) in [
            (Datatype::Uint8, "[256]"),
            (Datatype::Uint8, "[-1]"),
            (Datatype::Int32, "[1.5]"),
            (Datatype::Int64, "[9223372036854775808]"),
            (Datatype::Fp32, "[\"1\"]"),
            (Datatype::Fp32, "[null]"),
            (Datatype::Fp32, "[1e39]"),
            (Datatype::Fp16, "[65520]"),
            (Datatype::Fp32, "[1,2,3]"),
            (Datatype::Fp32, "[[1],[2,2]]"),
            (Datatype::Fp32, "[[1],2]"),
            (Datatype::Fp32, "[1,[2]]"),
            (Datatype::Fp32, "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]"),
        ] {
            assert!(check(datatype, json, 2).is_err(), "{json}");
        }
    }
}
