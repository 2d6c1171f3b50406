//! Schemas of requests and answers that hold tensors, for the tensors of one model.

use crate::{
    protocol::{
        data::Datatype,
        response::{self, Head},
        tensor::{Signature, Tensor, TensorSpec},
    },
    replica::Facts,
};
use schemars::{Schema, json_schema};
use serde_json::{Value, json};

/// Elements that an example holds at most.
const EXAMPLE: usize = 4096;

/// What the model is asked.
pub fn request(facts: &Facts) -> Schema {
    let Signature { inputs, outputs } = &facts.signature;
    let rows = facts.signature.batches().then_some(facts.max_rows);
    let names: Vec<&str> = outputs.iter().map(|spec| spec.name.as_str()).collect();
    json_schema!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"], "description": "Comes back in the answer"},
            "parameters": {"type": "object", "properties": {
                "priority": {"type": "integer", "minimum": 0, "description": "1 is the most urgent; 0: the service's own"},
                "timeout": {"type": "integer", "minimum": 0, "description": "Microseconds for the answer; 0: the service's own"},
                "binary_data_output": {"type": "boolean", "description": "Outputs as raw bytes after the JSON"},
            }},
            "inputs": {
                "type": "array",
                "minItems": inputs.len(),
                "maxItems": inputs.len(),
                "items": any(inputs.iter().map(|spec| input(spec, rows)).collect()),
            },
            "outputs": {
                "type": "array",
                "description": "The outputs that are wanted; none: all",
                "maxItems": outputs.len(),
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"enum": names},
                    "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
                }},
            },
        },
    })
}

fn input(spec: &TensorSpec, rows: Option<usize>) -> Value {
    let dims: Vec<Value> = spec.shape.iter().enumerate().map(|(at, &dim)| dimension(at, dim, rows)).collect();
    let mut shape = json!({"type": "array", "minItems": dims.len(), "maxItems": dims.len()});
    // Of a scalar there are none, and JSON Schema has no empty list of them.
    if !dims.is_empty() {
        shape["prefixItems"] = dims.into();
    }
    let data = json!({
        "type": "array",
        "description": "Elements in row-major order, flat or nested as the shape is; or none, and binary_data_size",
        "items": {"anyOf": [given(spec.datatype), {"type": "array"}]},
    });
    let size = json!({"type": "integer", "minimum": 0, "description": "Raw bytes of this input after the JSON"});
    tensor(spec, [shape, data, size])
}

/// A tensor: what its shape, its elements and the size of its raw bytes may be.
fn tensor(spec: &TensorSpec, [shape, data, size]: [Value; 3]) -> Value {
    json!({
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"const": spec.datatype.name()},
            "shape": shape,
            "data": data,
            "parameters": {"type": "object", "properties": {"binary_data_size": size}},
        },
    })
}

fn dimension(at: usize, dim: i64, rows: Option<usize>) -> Value {
    match rows {
        Some(rows) if at == 0 => json!({"type": "integer", "minimum": 1, "maximum": rows}),
        _ if dim < 0 => json!({"type": "integer", "minimum": 0}),
        _ => json!({"const": dim}),
    }
}

/// What the model answers.
pub fn answer(signature: &Signature) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {
                "type": "array",
                "maxItems": signature.outputs.len(),
                "items": any(signature.outputs.iter().map(output).collect()),
            },
        },
    })
}

fn output(spec: &TensorSpec) -> Value {
    let shape = json!({"type": "array", "items": {"type": "integer", "minimum": 0}});
    let data = json!({"type": "array", "description": "Elements in row-major order", "items": made(spec.datatype)});
    tensor(spec, [shape, data, json!({"type": "integer", "minimum": 0})])
}

/// Tensors as a request has them; `None`: too many elements.
pub fn example(tensors: &[Tensor]) -> Option<Value> {
    if tensors.iter().map(|tensor| tensor.data.len()).sum::<usize>() > EXAMPLE {
        return None;
    }
    let head = Head { model: "", version: "", id: None };
    let written = response::encode(head, tensors, &[], false).ok()?;
    let mut written: Value = serde_json::from_slice(&written.body).ok()?;
    Some(json!({"inputs": written["outputs"].take()}))
}

/// What `:predict` takes.
pub fn instances(spec: &TensorSpec) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["instances"],
        "properties": {"instances": {
            "type": "array",
            "description": "Rows, nested as the shape of the input is",
            "items": {"anyOf": [given(spec.datatype), {"type": "array"}]},
        }},
    })
}

/// What `:predict` answers.
pub fn predictions(outputs: &[TensorSpec]) -> Schema {
    let nested =
        |spec: &TensorSpec| json!({"type": "array", "items": any(vec![made(spec.datatype), json!({"type": "array"})])});
    let predictions = match outputs {
        [output] => nested(output),
        outputs => {
            let properties: serde_json::Map<_, _> =
                outputs.iter().map(|spec| (spec.name.clone(), nested(spec))).collect();
            json!({"type": "object", "properties": properties})
        }
    };
    json_schema!({"type": "object", "required": ["predictions"], "properties": {"predictions": predictions}})
}

fn any(mut schemas: Vec<Value>) -> Value {
    if schemas.len() == 1 { schemas.remove(0) } else { json!({"anyOf": schemas}) }
}

/// An element as callers give it.
fn given(datatype: Datatype) -> Value {
    match datatype {
        Datatype::Bool => json!({"enum": [true, false, 0, 1]}),
        Datatype::Bytes => json!({"anyOf": [
            {"type": "string"},
            {"type": "object", "required": ["b64"], "properties": {"b64": {"type": "string", "contentEncoding": "base64"}}},
        ]}),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => json!({"type": "number"}),
        integer => made(integer),
    }
}

/// An element as it is answered.
fn made(datatype: Datatype) -> Value {
    macro_rules! integer {
        ($type:ty) => {
            json!({"type": "integer", "minimum": <$type>::MIN, "maximum": <$type>::MAX})
        };
    }
    match datatype {
        Datatype::Bool => json!({"type": "boolean"}),
        Datatype::Uint8 => integer!(u8),
        Datatype::Uint16 => integer!(u16),
        Datatype::Uint32 => integer!(u32),
        Datatype::Uint64 => integer!(u64),
        Datatype::Int8 => integer!(i8),
        Datatype::Int16 => integer!(i16),
        Datatype::Int32 => integer!(i32),
        Datatype::Int64 => integer!(i64),
        // JSON has no word for what is no number, nor for the infinite.
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => json!({"type": ["number", "null"]}),
        Datatype::Bytes => json!({"type": "string"}),
    }
}
