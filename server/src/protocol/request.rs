//! Inference requests of the Open Inference Protocol, and whether they fit the model.

use super::{
    data::Data,
    shape,
    tensor::{Signature, Tensor},
};
use crate::error::Error;
use bytes::Bytes;
use std::time::Duration;

pub use super::request_json::{Wrong, parse};

/// An output that the caller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// As raw bytes after the JSON; `None`: as the request says for all.
    pub binary: Option<bool>,
}

/// A request, whatever the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InferRequest {
    /// Echoed in the answer.
    pub id: Option<String>,
    /// Tensors, as they came.
    pub inputs: Vec<Tensor>,
    /// Outputs that are wanted; none: all.
    pub outputs: Vec<Wanted>,
    /// Outputs as raw bytes unless they say otherwise.
    pub binary_outputs: bool,
    /// 1 is the most urgent, 0: the service's own.
    pub priority: u64,
    /// Longest time for an answer.
    pub timeout: Option<Duration>,
}

/// A body that is the raw single input itself, of batch 1 (`Inference-Header-Content-Length: 0`).
///
/// # Errors
/// A model with several inputs, or a length that fits no shape.
pub fn parse_raw(body: &Bytes, signature: &Signature) -> Result<InferRequest, Error> {
    let [spec] = signature.inputs.as_slice() else {
        return Err(Error::invalid("a raw body needs a model with one input"));
    };
    let unfit = || {
        Error::invalid(format!("the body doesn't fit the input {} {}{:?}", spec.name, spec.datatype.name(), spec.shape))
    };
    let mut shape: Vec<usize> = Vec::new();
    let mut free = None;
    for (at, &dim) in spec.shape.iter().enumerate() {
        let known = usize::try_from(dim).ok();
        if known.is_none() && !(at == 0 && signature.batches()) && free.replace(at).is_some() {
            return Err(unfit());
        }
        shape.push(known.unwrap_or(1));
    }
    let data = if let Some(size) = spec.datatype.size() {
        let row =
            shape::count(&shape).and_then(|count| count.checked_mul(size)).filter(|&row| row > 0).ok_or_else(unfit)?;
        if let Some(free) = free {
            shape[free] = body.len() / row;
        }
        let count = shape::count(&shape).ok_or_else(unfit)?;
        Data::from_le(&spec.name, spec.datatype, body, count)?
    } else if shape.iter().all(|&dim| dim == 1) {
        Data::Bytes(vec![body.clone()])
    } else {
        return Err(unfit());
    };
    let inputs = vec![Tensor { name: spec.name.clone(), shape, data }];
    Ok(InferRequest { inputs, binary_outputs: true, ..InferRequest::default() })
}

/// Orders the tensors as the model wants them, and checks each; gives the number of rows as well.
///
/// # Errors
/// A tensor that is missing, doubled, unknown, or of another type or shape; rows that differ or are too many.
pub fn fit(inputs: Vec<Tensor>, signature: &Signature, max_rows: usize) -> Result<(Vec<Tensor>, usize), Error> {
    let mut given: Vec<Option<Tensor>> = inputs.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(signature.inputs.len());
    for spec in &signature.inputs {
        let mut same = given.iter_mut().filter(|slot| slot.as_ref().is_some_and(|tensor| tensor.name == spec.name));
        let found = same.next().and_then(Option::take);
        if same.next().is_some() {
            return Err(Error::invalid(format!("input {:?} is given more than once", spec.name)));
        }
        let tensor = found.ok_or_else(|| {
            Error::invalid(format!(
                "input {:?} is missing; the model takes {}",
                spec.name,
                Signature::describe(&signature.inputs)
            ))
        })?;
        if tensor.data.datatype() != spec.datatype || !spec.takes(&tensor.shape) {
            return Err(Error::invalid(format!(
                "input {:?} is {}{:?}; the model takes {}{:?}",
                spec.name,
                tensor.data.datatype().name(),
                tensor.shape,
                spec.datatype.name(),
                spec.shape
            )));
        }
        ordered.push(tensor);
    }
    if let Some(unknown) = given.iter().flatten().next() {
        return Err(Error::invalid(format!(
            "the model has no input {:?}; it takes {}",
            unknown.name,
            Signature::describe(&signature.inputs)
        )));
    }
    if !signature.batches() {
        return Ok((ordered, 1));
    }
    let rows = ordered.first().map_or(1, |tensor| tensor.shape[0]);
    if ordered.iter().any(|tensor| tensor.shape[0] != rows) {
        return Err(Error::invalid("the first dimension, the batch, differs from input to input"));
    }
    if rows == 0 || rows > max_rows {
        return Err(Error::invalid(format!("a request of {rows} rows; 1 to {max_rows} are taken")));
    }
    Ok((ordered, rows))
}

/// Keeps the outputs that are wanted, in the order asked.
///
/// # Errors
/// An output that the model doesn't have, or one that is asked for twice: so there are never more than the model's.
pub fn check_wanted(wanted: &[Wanted], signature: &Signature) -> Result<(), Error> {
    for (at, output) in wanted.iter().enumerate() {
        if at >= signature.outputs.len() || wanted[..at].iter().any(|earlier| earlier.name == output.name) {
            return Err(Error::invalid(format!(
                "output {:?} is asked for more than once, or among too many",
                output.name
            )));
        }
        if !signature.outputs.iter().any(|spec| spec.name == output.name) {
            return Err(Error::invalid(format!(
                "the model has no output {:?}; it gives {}",
                output.name,
                Signature::describe(&signature.outputs)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
