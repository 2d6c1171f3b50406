//! A body as bytes for each wire, and the answer's outputs out of its bytes.

use crate::{
    case::Body,
    tensor::{Tensor, Values},
};
use anyhow::{Context, Result, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use millrace_server::grpc::proto::{ModelInferRequest, ModelInferResponse, model_infer_request::InferInputTensor};
use prost::Message as _;
use serde_json::{Value, json};

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// HTTP/1.1, all of it JSON.
    Json,
    /// HTTP/1.1, tensors as raw bytes after the JSON, both ways.
    Binary,
    /// gRPC, raw contents.
    Grpc,
    /// HTTP/1.1, a raw input to a pipeline.
    Process,
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Json, Self::Binary, Self::Grpc, Self::Process];

    /// A word for rows and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Binary => "binary",
            Self::Grpc => "grpc",
            Self::Process => "process",
        }
    }

    /// A request, ready to be sent: a whole HTTP/1.1 message, or a gRPC message in its frame.
    pub fn request(self, model: &str, body: &Body) -> Bytes {
        let inputs = &body.inputs;
        let path = format!("/v2/models/{model}/infer");
        match self {
            Self::Json => {
                let one = |tensor: &Tensor| json!({"name": tensor.name, "datatype": tensor.values.datatype(), "shape": tensor.shape, "data": tensor.values});
                let inputs: Vec<Value> = inputs.iter().map(one).collect();
                http(&path, "content-type: application/json\r\n", json!({"inputs": inputs}).to_string().as_bytes())
            }
            Self::Binary => binary(&path, inputs),
            Self::Grpc => grpc(model, inputs),
            Self::Process => http("/process", "content-type: application/octet-stream\r\n", &body.raw),
        }
    }

    /// The outputs of an answer. `json_length`: what a header said of where the JSON ends.
    pub fn outputs(self, body: &[u8], json_length: Option<usize>) -> Result<Vec<(String, Values)>> {
        match (self, json_length) {
            (Self::Grpc, _) => {
                let framed = body.split_at_checked(5).context("an answer without a message")?;
                ensure!(framed.0[0] == 0, "a compressed answer");
                from_message(ModelInferResponse::decode(framed.1)?)
            }
            (Self::Process, _) => {
                let answer = serde_json::from_slice(body).context("an answer that is no JSON")?;
                Ok(vec![(String::new(), Values::from_json(&answer)?)])
            }
            (_, None) => from_json(body, &[]),
            (_, Some(length)) => {
                let (json, raw) = body.split_at_checked(length).context("JSON longer than the body")?;
                from_json(json, raw)
            }
        }
    }
}

fn http(path: &str, headers: &str, body: &[u8]) -> Bytes {
    let mut message =
        format!("POST {path} HTTP/1.1\r\nhost: bench\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    message.extend_from_slice(body);
    message.into()
}

fn binary(path: &str, inputs: &[Tensor]) -> Bytes {
    let raw: Vec<Vec<u8>> = inputs.iter().map(|tensor| tensor.values.to_le()).collect();
    let one = |(tensor, raw): (&Tensor, &Vec<u8>)| {
        json!({"name": tensor.name, "datatype": tensor.values.datatype(), "shape": tensor.shape,
            "parameters": {"binary_data_size": raw.len()}})
    };
    let inputs: Vec<Value> = inputs.iter().zip(&raw).map(one).collect();
    let json = json!({"inputs": inputs, "parameters": {"binary_data_output": true}}).to_string();
    let headers =
        format!("content-type: application/octet-stream\r\ninference-header-content-length: {}\r\n", json.len());
    http(path, &headers, &[json.as_bytes(), &raw.concat()].concat())
}

fn grpc(model: &str, inputs: &[Tensor]) -> Bytes {
    let one = |tensor: &Tensor| InferInputTensor {
        name: tensor.name.clone(),
        datatype: tensor.values.datatype().to_owned(),
        shape: tensor.shape.clone(),
        ..InferInputTensor::default()
    };
    let message = ModelInferRequest {
        model_name: model.to_owned(),
        inputs: inputs.iter().map(one).collect(),
        raw_input_contents: inputs.iter().map(|tensor| tensor.values.to_le().into()).collect(),
        ..ModelInferRequest::default()
    };
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(5 + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    framed.put_slice(&message.encode_to_vec());
    framed.freeze()
}

fn from_message(message: ModelInferResponse) -> Result<Vec<(String, Values)>> {
    let mut raw = message.raw_output_contents.into_iter();
    message
        .outputs
        .into_iter()
        .map(|output| {
            let values = match (raw.next(), output.contents) {
                (Some(raw), _) => Values::from_le(&output.datatype, &raw)?,
                (None, Some(contents)) if output.datatype == "INT64" => Values::Int64(contents.int64_contents),
                (None, Some(contents)) => Values::Fp32(contents.fp32_contents),
                (None, None) => Values::Fp32(Vec::new()),
            };
            Ok((output.name, values))
        })
        .collect()
}

fn from_json(json: &[u8], mut raw: &[u8]) -> Result<Vec<(String, Values)>> {
    let answer: Value = serde_json::from_slice(json).context("an answer that is no JSON")?;
    let outputs = answer["outputs"].as_array().context("an answer without outputs")?;
    let one = |output: &Value| {
        let name = output["name"].as_str().context("an output without a name")?.to_owned();
        let values = match output["parameters"]["binary_data_size"].as_u64() {
            Some(size) => {
                let (own, rest) = raw.split_at_checked(usize::try_from(size)?).context("too few raw bytes")?;
                raw = rest;
                Values::from_le(output["datatype"].as_str().unwrap_or_default(), own)?
            }
            None => Values::from_json(&output["data"])?,
        };
        Ok((name, values))
    };
    outputs.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_the_server_reads() {
        let tensor = Tensor { name: "x".to_owned(), shape: vec![1, 2], values: Values::Fp32(vec![0.5, 2.0]) };
        for wire in [Wire::Json, Wire::Binary] {
            let message = wire.request("m", &Body { inputs: vec![tensor.clone()], ..Body::default() });
            let text = String::from_utf8_lossy(&message).into_owned();
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            let body = message.slice(head.len() + 4..);
            let json = head.split_once("header-content-length: ").map(|(_, rest)| rest.lines().next().unwrap());
            let json: usize = json.map_or(body.len(), |length| length.parse().unwrap());
            let read = millrace_server::protocol::request::parse(&body[..json], body.slice(json..)).unwrap();
            assert_eq!(read.inputs[0].data, millrace_server::protocol::data::Data::Fp32(vec![0.5, 2.0]), "{wire:?}");
        }
    }

    #[test]
    fn answers_of_each_wire() {
        let json = br#"{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[1.5]}]}"#;
        let expected = vec![("y".to_owned(), Values::Fp32(vec![1.5]))];
        assert_eq!(Wire::Json.outputs(json, None).unwrap(), expected);
        let head = br#"{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}"#;
        let body = [&head[..], &1.5f32.to_le_bytes()].concat();
        assert_eq!(Wire::Binary.outputs(&body, Some(head.len())).unwrap(), expected);
        assert!(Wire::Grpc.outputs(&[0, 0], None).is_err());
    }
}
