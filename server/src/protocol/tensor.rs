//! Tensors, and what a model says of its own.

use super::data::{Data, Datatype};
use crate::error::Error;

/// A named tensor with its elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name in the model.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its elements: as many as the shape says.
    pub data: Data,
}

/// What the model says of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub datatype: Datatype,
    /// Its dimensions; -1: any.
    pub shape: Vec<i64>,
}

impl TensorSpec {
    /// Whether a shape is one of those that the model takes.
    #[must_use]
    pub fn takes(&self, shape: &[usize]) -> bool {
        self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(&want, &have)| want < 0 || usize::try_from(want) == Ok(have))
    }

    /// Checks that strings are texts: the engine holds no others, and would fail the whole batch on one, or change it.
    ///
    /// # Errors
    /// The place of the first that isn't.
    pub fn check_texts(&self, data: &Data) -> Result<(), Error> {
        let Data::Bytes(strings) = data else { return Ok(()) };
        let is_text = |string: &[u8]| !string.contains(&0) && std::str::from_utf8(string).is_ok();
        match strings.iter().position(|string| !is_text(&string[..])) {
            None => Ok(()),
            Some(at) => Err(Error::invalid(format!(
                "element {at} of input {:?} is no text: the model takes UTF-8 without zero bytes",
                self.name
            ))),
        }
    }
}

/// A model's inputs and outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Inputs, in the model's order.
    pub inputs: Vec<TensorSpec>,
    /// Outputs, in the model's order.
    pub outputs: Vec<TensorSpec>,
}

impl Signature {
    /// Whether the first dimension of every tensor is free: then it is the batch.
    #[must_use]
    pub fn batches(&self) -> bool {
        self.inputs.iter().chain(&self.outputs).all(|spec| spec.shape.first().is_some_and(|&dim| dim < 0))
    }

    /// Whether a dimension besides the batch is free.
    #[must_use]
    pub fn has_free_sizes(&self) -> bool {
        let skipped = usize::from(self.batches());
        self.inputs.iter().any(|spec| spec.shape.iter().skip(skipped).any(|&dim| dim < 0))
    }

    /// One line for messages: names, types and shapes of tensors.
    #[must_use]
    pub fn describe(specs: &[TensorSpec]) -> String {
        let one = |spec: &TensorSpec| format!("{} {}{:?}", spec.name, spec.datatype.name(), spec.shape);
        specs.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
