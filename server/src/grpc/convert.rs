//! Messages to requests and tensors, and back.

use super::proto::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse, infer_parameter::ParameterChoice,
    model_infer_response::InferOutputTensor,
};
use crate::{
    error::{Error, Kind},
    protocol::{
        data::{Data, Datatype},
        request::{InferRequest, Wanted},
        shape,
        tensor::Tensor,
    },
};
use bytes::Bytes;
use std::{collections::HashMap, time::Duration};

type Parameters = HashMap<String, InferParameter>;

fn number(parameters: &Parameters, key: &str) -> u64 {
    match parameters.get(key).and_then(|parameter| parameter.parameter_choice.as_ref()) {
        Some(ParameterChoice::Int64Param(value)) => u64::try_from(*value).unwrap_or(0),
        Some(ParameterChoice::Uint64Param(value)) => *value,
        _ => 0,
    }
}

fn refuse_unsupported(parameters: &Parameters) -> Result<(), Error> {
    for key in ["shared_memory_region", "classification", "sequence_id"] {
        let unset = match parameters.get(key).and_then(|parameter| parameter.parameter_choice.as_ref()) {
            None | Some(ParameterChoice::Int64Param(0) | ParameterChoice::Uint64Param(0)) => true,
            Some(ParameterChoice::StringParam(text)) => text.is_empty(),
            Some(_) => false,
        };
        if !unset {
            return Err(Error::new(Kind::Unsupported, format!("the parameter {key} isn't supported")));
        }
    }
    Ok(())
}

/// A message to a request. Raw contents: for every input, or for none.
///
/// # Errors
/// What doesn't fit the protocol.
pub fn request(message: ModelInferRequest) -> Result<InferRequest, Error> {
    refuse_unsupported(&message.parameters)?;
    let raw = !message.raw_input_contents.is_empty();
    if raw && message.raw_input_contents.len() != message.inputs.len() {
        return Err(Error::invalid(format!(
            "{} raw contents for {} inputs: give one for each, or none",
            message.raw_input_contents.len(),
            message.inputs.len()
        )));
    }
    let mut raw_contents = message.raw_input_contents.into_iter();
    let mut inputs = Vec::with_capacity(message.inputs.len());
    for input in message.inputs {
        refuse_unsupported(&input.parameters)?;
        let name = input.name;
        let datatype = Datatype::parse(&input.datatype)
            .ok_or_else(|| Error::invalid(format!("input {name:?} has the unknown datatype {:?}", input.datatype)))?;
        let (shape, count) = shape::check(&name, &input.shape)?;
        let data = match (raw_contents.next(), input.contents) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(format!("input {name:?} has both contents and raw contents")));
            }
            (Some(raw), None) => Data::from_le(&name, datatype, &raw, count)?,
            (None, Some(contents)) => from_contents(&name, datatype, contents)?,
            (None, None) => datatype.empty(),
        };
        if data.len() != count {
            return Err(Error::invalid(format!("input {name:?} has {} elements; its shape needs {count}", data.len())));
        }
        inputs.push(Tensor { name, shape, data });
    }
    let mut outputs = Vec::new();
    for output in message.outputs {
        refuse_unsupported(&output.parameters)?;
        outputs.push(Wanted { name: output.name, binary: None });
    }
    let timeout = number(&message.parameters, "timeout");
    Ok(InferRequest {
        id: (!message.id.is_empty()).then_some(message.id),
        inputs,
        outputs,
        binary_outputs: true,
        priority: number(&message.parameters, "priority"),
        timeout: (timeout > 0).then_some(Duration::from_micros(timeout)),
    })
}

fn from_contents(name: &str, datatype: Datatype, contents: InferTensorContents) -> Result<Data, Error> {
    let unfit = || Error::invalid(format!("an element of input {name:?} doesn't fit {}", datatype.name()));
    macro_rules! narrow {
        ($variant:ident, $values:expr) => {
            $values
                .into_iter()
                .map(|value| value.try_into().ok())
                .collect::<Option<Vec<_>>>()
                .map(Data::$variant)
                .ok_or_else(unfit)
        };
    }
    match datatype {
        Datatype::Bool => Ok(Data::Bool(contents.bool_contents)),
        Datatype::Int8 => narrow!(Int8, contents.int_contents),
        Datatype::Int16 => narrow!(Int16, contents.int_contents),
        Datatype::Int32 => Ok(Data::Int32(contents.int_contents)),
        Datatype::Int64 => Ok(Data::Int64(contents.int64_contents)),
        Datatype::Uint8 => narrow!(Uint8, contents.uint_contents),
        Datatype::Uint16 => narrow!(Uint16, contents.uint_contents),
        Datatype::Uint32 => Ok(Data::Uint32(contents.uint_contents)),
        Datatype::Uint64 => Ok(Data::Uint64(contents.uint64_contents)),
        Datatype::Fp32 => Ok(Data::Fp32(contents.fp32_contents)),
        Datatype::Fp64 => Ok(Data::Fp64(contents.fp64_contents)),
        Datatype::Bytes => Ok(Data::Bytes(contents.bytes_contents)),
        Datatype::Fp16 | Datatype::Bf16 => {
            Err(Error::invalid(format!("input {name:?} is {}: send it as raw contents", datatype.name())))
        }
    }
}

/// An answer before it is a message.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The model as the caller named it.
    pub name: String,
    /// The request's own.
    pub id: Option<String>,
    /// Its tensors.
    pub outputs: Vec<Tensor>,
}

/// An answer to a message, as raw contents.
#[must_use]
pub fn response(Answer { name, id, outputs }: Answer, version: &str) -> ModelInferResponse {
    let raw_output_contents = outputs.iter().map(|tensor| Bytes::from(tensor.data.to_le())).collect();
    let described = |tensor: Tensor| InferOutputTensor {
        name: tensor.name,
        datatype: tensor.data.datatype().name().to_owned(),
        shape: tensor.shape.iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect(),
        parameters: Parameters::new(),
        contents: None,
    };
    ModelInferResponse {
        model_name: name,
        model_version: version.to_owned(),
        id: id.unwrap_or_default(),
        parameters: Parameters::new(),
        outputs: outputs.into_iter().map(described).collect(),
        raw_output_contents,
    }
}
