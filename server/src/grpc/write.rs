//! An answer's message, straight from its tensors: the bytes that the generated type writes, without one being made.

use super::convert::Answer;
use crate::protocol::tensor::Tensor;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// Numbers of a ModelInferResponse's fields in `proto/inference.proto`.
const MODEL_NAME: u32 = 1;
const MODEL_VERSION: u32 = 2;
const ID: u32 = 3;
const OUTPUTS: u32 = 5;
const RAW_OUTPUT_CONTENTS: u32 = 6;
/// And of an output's.
const NAME: u32 = 1;
const DATATYPE: u32 = 2;
const SHAPE: u32 = 3;

/// Bytes of the message.
#[must_use]
pub fn length(answer: &Answer, version: &str) -> usize {
    let texts = text_length(&answer.name) + text_length(version) + answer.id.as_deref().map_or(0, text_length);
    let tensors = answer.outputs.iter().map(|tensor| field(described(tensor)) + field(tensor.data.le_bytes()));
    texts + tensors.sum::<usize>()
}

/// Appends the message.
pub fn write(answer: &Answer, version: &str, out: &mut Vec<u8>) {
    text(MODEL_NAME, &answer.name, out);
    text(MODEL_VERSION, version, out);
    text(ID, answer.id.as_deref().unwrap_or_default(), out);
    for tensor in &answer.outputs {
        begin(OUTPUTS, described(tensor), out);
        text(NAME, &tensor.name, out);
        text(DATATYPE, tensor.data.datatype().name(), out);
        if !tensor.shape.is_empty() {
            begin(SHAPE, dims(tensor), out);
            tensor.shape.iter().for_each(|dim| encode_varint(*dim as u64, out));
        }
    }
    for tensor in &answer.outputs {
        begin(RAW_OUTPUT_CONTENTS, tensor.data.le_bytes(), out);
        tensor.data.write_le(out);
    }
}

/// Bytes of what an output says of a tensor.
fn described(tensor: &Tensor) -> usize {
    let shape = if tensor.shape.is_empty() { 0 } else { field(dims(tensor)) };
    text_length(&tensor.name) + text_length(tensor.data.datatype().name()) + shape
}

fn dims(tensor: &Tensor) -> usize {
    tensor.shape.iter().map(|dim| encoded_len_varint(*dim as u64)).sum()
}

/// Bytes of a field of so many. All keys are as long.
fn field(bytes: usize) -> usize {
    key_len(OUTPUTS) + encoded_len_varint(bytes as u64) + bytes
}

/// The same of a text; an empty one isn't written.
fn text_length(text: &str) -> usize {
    if text.is_empty() { 0 } else { field(text.len()) }
}

fn begin(number: u32, bytes: usize, out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes as u64, out);
}

fn text(number: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        begin(number, text.len(), out);
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{grpc::convert, protocol::arbitrary::any_tensor};
    use proptest::{collection::vec, prelude::*};
    use prost::Message as _;

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_generated_type(
            name in "\\PC{0,200}", version in "\\PC{0,3}", id in proptest::option::of("\\PC{0,9}"),
            outputs in vec(any_tensor(0..200, 0..3), 0..4),
        ) {
            let answer = Answer { name, id, outputs };
            let mut written = Vec::new();
            write(&answer, &version, &mut written);
            prop_assert_eq!(written.len(), length(&answer, &version));
            prop_assert_eq!(written, convert::response(answer, &version).encode_to_vec());
        }
    }
}
