//! JSON numbers straight into typed vectors, nested or flat, and back: no tree of values in between.

use super::{
    data::{Data, Datatype},
    json::{Fault, Number, Reader},
    json_number::Decimal,
};
use crate::{error::Error, with_data};
use base64::Engine as _;
use bytes::Bytes;
use half::{bf16, f16};

/// Most elements for which room is made before they are read.
const ROOM: usize = 256 << 10;
/// Deepest nesting that is followed.
const MAX_DEPTH: usize = super::shape::MAX_RANK;

const TOO_MANY: &str = "there are more elements than the shape says";
const UNFIT: &str = "an element doesn't fit the datatype";

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
    /// From the text of a number.
    #[inline]
    fn from_decimal(decimal: &Decimal<'_>) -> Option<Self> {
        match decimal.number()? {
            Number::Unsigned(value) => Self::from_u64(value),
            Number::Negative(value) => Self::from_i64(value),
            Number::Float(value) => Self::from_f64(value),
        }
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
floats!(f64: |value| value, f16: f16::from_f64, bf16: bf16::from_f64);

impl Element for f32 {
    #[inline]
    fn from_decimal(decimal: &Decimal<'_>) -> Option<Self> {
        decimal.single()
    }
}

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
    dims: Vec<usize>,
}

impl<T: Element> Collect<'_, T> {
    /// Reads an array, or one element, at a depth.
    fn read(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Fault> {
        if reader.peek() != b'[' {
            return self.element(reader, depth);
        }
        if depth >= MAX_DEPTH {
            return Err(reader.fault("the data is nested too deeply"));
        }
        // A dimension is known when its first array ends; until then the marker stands in its place.
        let first = self.dims.len() == depth;
        if first {
            if !self.into.is_empty() {
                return Err(reader.fault("the arrays of the data aren't all of one depth"));
            }
            self.dims.push(usize::MAX);
        }
        let mut length = 0;
        reader.array(|reader| {
            length += self.several(reader, depth + 1)?;
            Ok::<_, Fault>(())
        })?;
        if first {
            self.dims[depth] = length;
        } else if self.dims[depth] != length {
            return Err(reader.fault("the arrays of the data aren't all of one length"));
        }
        Ok(())
    }

    /// Reads the next element, and if it is a number, the numbers after it as well; gives how many. The reader is a copy
    /// meanwhile, that may live in registers.
    fn several(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<usize, Fault> {
        let is_number = |byte| matches!(byte, b'-' | b'0'..=b'9');
        if self.dims.len() != depth || !is_number(reader.peek()) {
            return self.read(reader, depth).map(|()| 1);
        }
        let (mut here, mut count) = (*reader, 0);
        loop {
            if self.into.len() >= self.limit {
                return Err(here.fault(TOO_MANY));
            }
            let element = T::from_decimal(&here.decimal()?);
            self.into.push(element.ok_or_else(|| here.fault(UNFIT))?);
            count += 1;
            let mut ahead = here;
            if !ahead.take(b',') || !is_number(ahead.peek()) {
                *reader = here;
                return Ok(count);
            }
            here = ahead;
        }
    }

    fn element(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Fault> {
        if self.dims.len() != depth {
            return Err(reader.fault("the arrays of the data aren't all of one depth"));
        }
        if self.into.len() >= self.limit {
            return Err(reader.fault(TOO_MANY));
        }
        let element = match reader.peek() {
            b'-' | b'0'..=b'9' => T::from_decimal(&reader.decimal()?),
            b'"' => T::from_str(&reader.string()?),
            b'{' => binary(reader)?,
            _ => reader.boolean().and_then(T::from_bool),
        };
        self.into.push(element.ok_or_else(|| reader.fault(UNFIT))?);
        Ok(())
    }
}

/// KServe v1 writes binary strings as {"b64": "..."}.
fn binary<T: Element>(reader: &mut Reader<'_>) -> Result<Option<T>, Fault> {
    let mut text = None;
    reader.object(|reader, key| {
        let value = reader.string()?;
        text = (key == "b64").then(|| value.into_owned());
        Ok::<_, Fault>(())
    })?;
    let raw = text.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    Ok(raw.and_then(|raw| T::from_str(std::str::from_utf8(&raw).ok()?)))
}

/// Reads at most `limit` elements; gives them with the lengths of the arrays around them.
///
/// # Errors
/// Ragged arrays, too many elements, or one that doesn't fit the datatype.
pub fn parse(
    name: &str,
    datatype: Datatype,
    reader: &mut Reader<'_>,
    limit: usize,
) -> Result<(Data, Vec<usize>), Error> {
    let mut data = datatype.empty();
    // An element takes two bytes at least; room for more than came, or for very many, comes as they do.
    let likely = limit.min(reader.left() / 2).min(ROOM);
    let read = with_data!(&mut data, vector => {
        vector.reserve(likely);
        let mut collect = Collect { into: vector, limit, dims: Vec::new() };
        collect.read(reader, 0).map(|()| collect.dims)
    });
    let dims =
        read.map_err(|fault| Error::invalid(format!("data of input {name:?} ({}): {fault}", datatype.name())))?;
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
        parse("x", datatype, &mut Reader::new(json.as_bytes()), limit).map_err(|error| error.message)
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
