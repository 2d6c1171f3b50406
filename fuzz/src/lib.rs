//! What each fuzz target does with its bytes: it takes them as the server would, checks what came of it, and says whether
//! they were taken at all.
//!
//! The fuzzer runs these functions, and so does a test of the server, on seeds and on what was found before. They call
//! what a request's way calls, by the server's public modules: no door is there for them alone.

mod pipelines;

pub use pipelines::{audio, image, text};

use bytes::Bytes;
use millrace_server::{
    grpc::{
        convert,
        proto::{ModelInferRequest, model_infer_request::InferInputTensor},
    },
    model::external,
    protocol::{
        data::Datatype,
        embeddings, json_depth,
        request::{self, InferRequest},
        response::{self, Head},
        shape,
        tensor::{Signature, Tensor, TensorSpec},
        v1,
    },
};
use prost::Message as _;
use std::io::Cursor;

const HEAD: Head<'_> = Head { model: "m", version: "1", id: None };

fn spec(name: &str, datatype: Datatype, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype, shape: shape.to_vec() }
}

/// Models of one input: numbers with a batch, texts, a free length, and none of these.
fn signatures() -> [Signature; 4] {
    [
        spec("x", Datatype::Fp32, &[-1, 2]),
        spec("x", Datatype::Bytes, &[-1]),
        spec("x", Datatype::Fp16, &[-1, -1]),
        spec("x", Datatype::Int64, &[2, 2]),
    ]
    .map(|input| Signature { inputs: vec![input.clone()], outputs: vec![input] })
}

/// Tensors are as large as their shapes say, and fit a model or are refused.
fn check(read: InferRequest) {
    for tensor in &read.inputs {
        assert_eq!(Some(tensor.data.len()), shape::count(&tensor.shape), "{:?}", tensor.shape);
    }
    for signature in signatures() {
        let wanted = request::check_wanted(&read.outputs, &signature).is_ok();
        assert!(!wanted || read.outputs.len() <= signature.outputs.len());
        if let Ok((inputs, rows)) = request::fit(read.inputs.clone(), &signature, 4) {
            assert!(inputs.len() == signature.inputs.len() && (1..=4).contains(&rows));
        }
    }
}

/// What was read is read again from what is written of it.
fn check_again(read: &[Tensor], binary: bool) {
    // Only strings that are no texts can't be written, and those only as JSON.
    let Ok(encoded) = response::encode(HEAD, read, &[], binary) else { return };
    let (json, raw) = encoded.body.split_at(encoded.json_length.unwrap_or(encoded.body.len()));
    let Ok(json) = std::str::from_utf8(json) else { panic!("JSON is UTF-8") };
    let json = json.replacen("\"outputs\":[", "\"inputs\":[", 1);
    match request::parse(json.as_bytes(), Bytes::copy_from_slice(raw)) {
        Ok(again) => assert!(same(&again.inputs, read), "{read:?} became {:?}", again.inputs),
        Err(error) => panic!("{error}: {json}"),
    }
}

fn same(a: &[Tensor], b: &[Tensor]) -> bool {
    let one = |a: &Tensor, b: &Tensor| {
        (&a.name, &a.shape, a.data.datatype()) == (&b.name, &b.shape, b.data.datatype())
            && a.data.to_le() == b.data.to_le()
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| one(a, b))
}

/// JSON bodies of every route.
pub fn json(input: &[u8]) -> bool {
    let mut taken = false;
    if let Ok(read) = request::parse(input, Bytes::new()) {
        check_again(&read.inputs, false);
        check(read);
        taken = true;
    }
    for signature in signatures() {
        if let Ok(tensors) = v1::parse(input, &signature) {
            assert_eq!(Some(tensors[0].data.len()), shape::count(&tensors[0].shape));
            taken = true;
        }
    }
    taken || json_depth::check(input, 32).is_ok() && embeddings::parse(input).is_ok()
}

/// JSON with raw tensors after it, its length in the first two bytes; the same as a raw body.
pub fn binary(input: &[u8]) -> bool {
    let Some((length, body)) = input.split_first_chunk() else { return false };
    let length = usize::from(u16::from_le_bytes(*length)).min(body.len());
    let (json, raw) = body.split_at(length);
    let mut taken = false;
    if let Ok(read) = request::parse(json, Bytes::copy_from_slice(raw)) {
        check_again(&read.inputs, true);
        check(read);
        taken = true;
    }
    for signature in signatures() {
        if let Ok(read) = request::parse_raw(&Bytes::copy_from_slice(body), &signature) {
            check(read);
            taken = true;
        }
    }
    taken
}

/// Messages of gRPC.
pub fn grpc(input: &[u8]) -> bool {
    let Ok(message) = ModelInferRequest::decode(input) else { return false };
    let Ok(read) = convert::request(message) else { return false };
    let answer = convert::Answer { name: "m".to_owned(), id: None, outputs: read.inputs.clone() };
    let answer = convert::response(answer, "1");
    let inputs = answer.outputs.into_iter().map(|output| InferInputTensor {
        name: output.name,
        datatype: output.datatype,
        shape: output.shape,
        ..InferInputTensor::default()
    });
    let message = ModelInferRequest {
        inputs: inputs.collect(),
        raw_input_contents: answer.raw_output_contents,
        ..ModelInferRequest::default()
    };
    match convert::request(message) {
        Ok(again) => assert!(same(&again.inputs, &read.inputs), "{:?} became {:?}", read.inputs, again.inputs),
        Err(error) => panic!("{error}"),
    }
    check(read);
    true
}

/// Files that may be models, before the engine sees them.
pub fn onnx(input: &[u8]) -> bool {
    let end = input.len() as u64;
    let Ok(tensors) = external::tensors_in(Cursor::new(input), end) else { return false };
    // Each was read from an entry of its own, and each name from the bytes of the file.
    assert!(tensors.len() <= input.len() / 2);
    assert!(tensors.iter().map(|tensor| tensor.location.len()).sum::<usize>() <= input.len());
    for tensor in tensors {
        if external::within(&tensor, end) {
            assert!(tensor.offset <= end && tensor.length.is_none_or(|length| length <= end));
        }
    }
    true
}
