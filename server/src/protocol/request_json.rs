//! Inference requests of the Open Inference Protocol over HTTP: JSON, with raw tensors after it.

use super::{
    data::{Data, Datatype},
    json::{Fault, Number, Reader},
    json_data,
    parameters::Parameters,
    request::{InferRequest, Wanted},
    shape,
    tensor::Tensor,
};
use crate::error::Error;
use bytes::Bytes;
use std::{borrow::Cow, time::Duration};

/// What is wrong with a request: its JSON, or what it says.
#[derive(Debug)]
pub enum Wrong {
    /// It isn't JSON, or not the JSON that it should be.
    Json(Fault),
    /// It doesn't fit the protocol.
    Said(Error),
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Self::Json(fault)
    }
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl Wrong {
    /// For the caller; `what` heads what is wrong with the JSON.
    #[must_use]
    pub fn told(self, what: &str) -> Error {
        match self {
            Self::Json(fault) => Error::invalid(format!("{what}: {fault}")),
            Self::Said(error) => error,
        }
    }
}

/// Reads the JSON part and the raw tensors after it, each byte once: numbers go straight into their tensor.
///
/// # Errors
/// What doesn't fit the protocol, in a sentence.
pub fn parse(json: &[u8], binary: Bytes) -> Result<InferRequest, Error> {
    read(json, binary).map_err(|wrong| wrong.told("the body is no inference request"))
}

fn read(json: &[u8], mut binary: Bytes) -> Result<InferRequest, Wrong> {
    let mut reader = Reader::new(json);
    let (mut id, mut parameters, mut outputs) = (None, None, None);
    let mut inputs: Option<Vec<Tensor>> = None;
    reader.object(|reader, key| {
        match key {
            "id" if reader.null() => {}
            "id" => once(reader, &mut id, |reader| Ok(reader.string()?.into_owned()))?,
            "parameters" => once(reader, &mut parameters, |reader| Ok(Parameters::read(reader)?))?,
            "inputs" => once(reader, &mut inputs, |reader| {
                let mut inputs = Vec::new();
                reader.array(|reader| {
                    inputs.push(Given::read(reader)?.tensor(&mut binary)?);
                    Ok::<_, Wrong>(())
                })?;
                Ok(inputs)
            })?,
            "outputs" => once(reader, &mut outputs, read_outputs)?,
            _ => drop(reader.skip()?),
        }
        Ok::<_, Wrong>(())
    })?;
    reader.end()?;
    let inputs = inputs.ok_or_else(|| reader.fault("there are no inputs"))?;
    let parameters = parameters.unwrap_or_default();
    parameters.check()?;
    if !binary.is_empty() {
        return Err(Error::invalid(format!("{} bytes follow the last tensor", binary.len())).into());
    }
    Ok(InferRequest {
        id,
        inputs,
        outputs: outputs.unwrap_or_default(),
        binary_outputs: parameters.binary_data_output.unwrap_or(false),
        priority: parameters.priority.unwrap_or(0),
        timeout: parameters.timeout.filter(|&micros| micros > 0).map(Duration::from_micros),
    })
}

/// Reads what may be there once: of two that differ, another reader might take the other.
fn once<'a, T>(
    reader: &mut Reader<'a>,
    into: &mut Option<T>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Wrong>,
) -> Result<(), Wrong> {
    if into.is_some() {
        return Err(reader.fault("a key that was there already").into());
    }
    *into = Some(read(reader)?);
    Ok(())
}

fn read_outputs(reader: &mut Reader<'_>) -> Result<Vec<Wanted>, Wrong> {
    let mut outputs = Vec::new();
    reader.array(|reader| {
        let (mut name, mut parameters) = (None, None);
        reader.object(|reader, key| match key {
            "name" => once(reader, &mut name, |reader| Ok(reader.string()?.into_owned())),
            "parameters" => once(reader, &mut parameters, |reader| Ok(Parameters::read(reader)?)),
            _ => Ok(reader.skip().map(drop)?),
        })?;
        let parameters = parameters.unwrap_or_default();
        parameters.check()?;
        let name = name.ok_or_else(|| reader.fault("an output without a name"))?;
        outputs.push(Wanted { name, binary: parameters.binary_data });
        Ok::<_, Wrong>(())
    })?;
    Ok(outputs)
}

/// An input as it is read. Elements that come before the type and shape that they have are read when those are known.
#[derive(Default)]
struct Given<'a> {
    name: Option<String>,
    datatype: Option<Cow<'a, str>>,
    shape: Option<Vec<i64>>,
    parameters: Option<Parameters>,
    data: Option<Elements<'a>>,
}

enum Elements<'a> {
    Read(Tensor),
    Later(&'a [u8]),
}

impl<'a> Given<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Wrong> {
        let mut given = Self::default();
        reader.object(|reader, key| match key {
            "name" => once(reader, &mut given.name, |reader| Ok(reader.string()?.into_owned())),
            "datatype" => once(reader, &mut given.datatype, |reader| Ok(reader.string()?)),
            "shape" => once(reader, &mut given.shape, read_shape),
            "parameters" => once(reader, &mut given.parameters, |reader| Ok(Parameters::read(reader)?)),
            "data" if reader.null() => Ok(()),
            "data" if given.data.is_some() => Err(reader.fault("a key that was there already").into()),
            "data" => {
                let known = given.name.is_some() && given.datatype.is_some() && given.shape.is_some();
                given.data =
                    Some(if known { Elements::Read(given.elements(reader)?) } else { Elements::Later(reader.pass()?) });
                Ok(())
            }
            _ => Ok(reader.skip().map(drop)?),
        })?;
        for (missing, what) in [
            (given.name.is_none(), "an input without a name"),
            (given.datatype.is_none(), "an input without a datatype"),
            (given.shape.is_none(), "an input without a shape"),
        ] {
            if missing {
                return Err(reader.fault(what).into());
            }
        }
        Ok(given)
    }

    /// What was said of the elements: type, shape, and how many there must be.
    fn kind(&mut self) -> Result<(String, Datatype, Vec<usize>, usize), Error> {
        let name = self.name.take().unwrap_or_default();
        let word = self.datatype.as_deref().unwrap_or_default();
        let datatype = Datatype::parse(word)
            .ok_or_else(|| Error::invalid(format!("input {name:?} has the unknown datatype {word:?}")))?;
        let (shape, count) = shape::check(&name, self.shape.as_deref().unwrap_or_default())?;
        Ok((name, datatype, shape, count))
    }

    fn elements(&mut self, reader: &mut Reader<'_>) -> Result<Tensor, Error> {
        let (name, datatype, shape, count) = self.kind()?;
        let (data, dims) = json_data::parse(&name, datatype, reader, count)?;
        let nested = dims.len() > 1;
        if data.len() != count || (nested && dims != shape) {
            return Err(Error::invalid(format!(
                "data of input {name:?} has the shape {dims:?} and {} elements; it should have {shape:?}",
                data.len()
            )));
        }
        // It stays known that there was a name.
        self.name = Some(String::new());
        Ok(Tensor { name, shape, data })
    }

    /// The tensor, its raw bytes taken from the rest of the body if they are there.
    fn tensor(mut self, binary: &mut Bytes) -> Result<Tensor, Error> {
        let parameters = self.parameters.unwrap_or_default();
        parameters.check()?;
        let both = |name: &str| Error::invalid(format!("input {name:?} has both data and binary_data_size"));
        match (self.data.take(), parameters.binary_data_size) {
            (Some(Elements::Read(tensor)), None) => Ok(tensor),
            (Some(Elements::Read(tensor)), Some(_)) => Err(both(&tensor.name)),
            (Some(Elements::Later(_)), Some(_)) => Err(both(&self.name.unwrap_or_default())),
            (Some(Elements::Later(text)), None) => self.elements(&mut Reader::new(text)),
            (None, None) => Err(Error::invalid(format!("input {:?} has no data", self.name.unwrap_or_default()))),
            (None, Some(size)) => {
                let (name, datatype, shape, count) = self.kind()?;
                let size = size.ok().filter(|&size| size <= binary.len()).ok_or_else(|| {
                    Error::invalid(format!("binary_data_size of input {name:?} isn't what the body holds"))
                })?;
                let data = Data::from_le(&name, datatype, &binary.split_to(size), count)?;
                Ok(Tensor { name, shape, data })
            }
        }
    }
}

fn read_shape(reader: &mut Reader<'_>) -> Result<Vec<i64>, Wrong> {
    let mut shape = Vec::with_capacity(4);
    reader.array(|reader| {
        let dim = match reader.number()? {
            Number::Unsigned(value) => i64::try_from(value).ok(),
            Number::Negative(value) => Some(value),
            Number::Float(_) => None,
        };
        shape.push(dim.ok_or_else(|| reader.fault("a dimension that is no integer"))?);
        Ok::<_, Fault>(())
    })?;
    Ok(shape)
}
