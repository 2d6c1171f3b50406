//! What is written is what is read, for every type and shape, by each way that tensors travel.

use super::{
    arbitrary::{any_tensor, in_json, same},
    data::Data,
    request,
    response::{self, Head},
    tensor::{Signature, Tensor, TensorSpec},
    v1,
};
use crate::grpc::{
    convert,
    proto::{
        InferTensorContents, ModelInferRequest, ModelInferResponse, model_infer_request::InferInputTensor as Input,
    },
};
use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use prost::Message as _;

const HEAD: Head<'_> = Head { model: "m", version: "1", id: Some("7") };

/// An answer as a request for the same tensors: it differs in the name of their list.
fn asked(answer: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(answer.to_vec()).unwrap();
    assert!(text.contains(r#""outputs":["#));
    text.replacen(r#""outputs":["#, r#""inputs":["#, 1).into_bytes()
}

/// Typed contents; `None`: the type has none.
fn contents(data: Data) -> Option<InferTensorContents> {
    let none = InferTensorContents::default();
    Some(match data {
        Data::Bool(v) => InferTensorContents { bool_contents: v, ..none },
        Data::Int8(v) => InferTensorContents { int_contents: v.into_iter().map(i32::from).collect(), ..none },
        Data::Int16(v) => InferTensorContents { int_contents: v.into_iter().map(i32::from).collect(), ..none },
        Data::Int32(v) => InferTensorContents { int_contents: v, ..none },
        Data::Int64(v) => InferTensorContents { int64_contents: v, ..none },
        Data::Uint8(v) => InferTensorContents { uint_contents: v.into_iter().map(u32::from).collect(), ..none },
        Data::Uint16(v) => InferTensorContents { uint_contents: v.into_iter().map(u32::from).collect(), ..none },
        Data::Uint32(v) => InferTensorContents { uint_contents: v, ..none },
        Data::Uint64(v) => InferTensorContents { uint64_contents: v, ..none },
        Data::Fp32(v) => InferTensorContents { fp32_contents: v, ..none },
        Data::Fp64(v) => InferTensorContents { fp64_contents: v, ..none },
        Data::Bytes(v) => InferTensorContents { bytes_contents: v, ..none },
        Data::Fp16(_) | Data::Bf16(_) => return None,
    })
}

fn input(tensor: &Tensor) -> Input {
    Input {
        name: tensor.name.clone(),
        datatype: tensor.data.datatype().name().to_owned(),
        shape: tensor.shape.iter().map(|&dim| i64::try_from(dim).unwrap()).collect(),
        ..Input::default()
    }
}

/// Over the wire and back.
fn sent(message: &ModelInferRequest) -> Vec<Tensor> {
    let message = ModelInferRequest::decode(&message.encode_to_vec()[..]).unwrap();
    convert::request(message).unwrap().inputs
}

proptest! {
    #[test]
    fn json(tensors in vec(any_tensor(0..4, 0..4).prop_map(in_json), 0..4)) {
        let body = response::encode(HEAD, &tensors, &[], false).unwrap().body;
        let read = request::parse(&asked(&body), Bytes::new()).unwrap();
        prop_assert!(same(&read.inputs, &tensors), "{:?}\n{:?}", read.inputs, tensors);
        prop_assert_eq!(read.id.as_deref(), HEAD.id);
    }

    #[test]
    fn nested_json(tensor in any_tensor(1..4, 1..5).prop_map(in_json)) {
        let free = vec![-1; tensor.shape.len()];
        let spec = TensorSpec { name: tensor.name.clone(), datatype: tensor.data.datatype(), shape: free };
        let signature = Signature { inputs: vec![spec], outputs: Vec::new() };
        let tensors = [tensor];
        let text = String::from_utf8(v1::encode(&tensors).unwrap()).unwrap();
        let read = v1::parse(text.replacen("predictions", "instances", 1).as_bytes(), &signature).unwrap();
        prop_assert!(same(&read, &tensors), "{:?}\n{:?}", read, tensors);
    }

    #[test]
    fn binary(tensors in vec(any_tensor(0..4, 0..4), 1..4)) {
        let encoded = response::encode(HEAD, &tensors, &[], true).unwrap();
        let (json, raw) = encoded.body.split_at(encoded.json_length.unwrap());
        let read = request::parse(&asked(json), Bytes::copy_from_slice(raw)).unwrap();
        prop_assert!(same(&read.inputs, &tensors), "{:?}\n{:?}", read.inputs, tensors);
    }

    #[test]
    fn grpc_raw(tensors in vec(any_tensor(0..4, 0..4), 1..4)) {
        let answer = convert::Answer { name: "m".to_owned(), id: Some("7".to_owned()), outputs: tensors.clone() };
        let answer = convert::response(answer, "1").encode_to_vec();
        let answer = ModelInferResponse::decode(&answer[..]).unwrap();
        let named: Vec<_> = answer.outputs.iter().map(|output| (output.name.clone(), output.shape.clone())).collect();
        let inputs: Vec<Input> = tensors.iter().map(input).collect();
        prop_assert_eq!(named, inputs.iter().map(|one| (one.name.clone(), one.shape.clone())).collect::<Vec<_>>());
        let raw_input_contents = answer.raw_output_contents;
        let read = sent(&ModelInferRequest { inputs, raw_input_contents, ..ModelInferRequest::default() });
        prop_assert!(same(&read, &tensors), "{:?}\n{:?}", read, tensors);
    }

    #[test]
    fn grpc_typed(tensors in vec(any_tensor(0..4, 0..4), 0..4)) {
        let typed: Option<Vec<Input>> = tensors
            .iter()
            .map(|tensor| Some(Input { contents: Some(contents(tensor.data.clone())?), ..input(tensor) }))
            .collect();
        if let Some(inputs) = typed {
            let read = sent(&ModelInferRequest { inputs, ..ModelInferRequest::default() });
            prop_assert!(same(&read, &tensors), "{:?}\n{:?}", read, tensors);
        }
    }
}
