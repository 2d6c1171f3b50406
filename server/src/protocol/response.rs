//! Answers of the Open Inference Protocol over HTTP, written straight from the output tensors.

use super::{json_data, request::Wanted, tensor::Tensor};
use crate::error::{Error, Kind};
use serde::Serialize;

/// A body and, if raw tensors follow its JSON, the length of the JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Vec<u8>,
    /// Length of the JSON part, if there is more.
    pub json_length: Option<usize>,
}

/// What heads an answer.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Model name, as the caller wrote it.
    pub model: &'a str,
    /// Version.
    pub version: &'a str,
    /// The request's id.
    pub id: Option<&'a str>,
}

fn text(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
    serde_json::to_writer(out, value).map_err(|_| Error::new(Kind::Engine, "the answer can't be written"))
}

/// Takes the wanted outputs out, in the order asked; all, if none is named.
#[must_use]
pub fn select(outputs: Vec<Tensor>, wanted: &[Wanted]) -> Vec<Tensor> {
    if wanted.is_empty() {
        return outputs;
    }
    wanted.iter().filter_map(|output| outputs.iter().find(|tensor| tensor.name == output.name).cloned()).collect()
}

/// Writes an answer.
///
/// # Errors
/// Strings that aren't UTF-8 were asked for as JSON.
pub fn encode(head: Head<'_>, outputs: &[Tensor], wanted: &[Wanted], binary_outputs: bool) -> Result<Encoded, Error> {
    // Room for most answers: text of a few bytes for each element, or the elements themselves.
    let size: usize = outputs.iter().map(|tensor| 96 + tensor.data.le_bytes() * 3).sum();
    let mut body = Vec::with_capacity(128 + size);
    let mut binary: Vec<u8> = Vec::new();
    body.extend_from_slice(b"{\"model_name\":");
    text(&mut body, head.model)?;
    body.extend_from_slice(b",\"model_version\":");
    text(&mut body, head.version)?;
    if let Some(id) = head.id {
        body.extend_from_slice(b",\"id\":");
        text(&mut body, id)?;
    }
    body.extend_from_slice(b",\"outputs\":[");
    let mut raw = false;
    for (at, tensor) in outputs.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(b"{\"name\":");
        text(&mut body, &tensor.name)?;
        body.extend_from_slice(b",\"datatype\":\"");
        body.extend_from_slice(tensor.data.datatype().name().as_bytes());
        body.extend_from_slice(b"\",\"shape\":");
        text(&mut body, &tensor.shape)?;
        let asked = wanted.iter().find(|output| output.name == tensor.name).and_then(|output| output.binary);
        if asked.unwrap_or(binary_outputs) {
            raw = true;
            body.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
            text(&mut body, &tensor.data.le_bytes())?;
            body.extend_from_slice(b"}}");
            tensor.data.write_le(&mut binary);
        } else {
            body.extend_from_slice(b",\"data\":");
            json_data::write(&mut body, &tensor.name, &tensor.data, 0, tensor.data.len())?;
            body.push(b'}');
        }
    }
    body.extend_from_slice(b"]}");
    let json_length = raw.then_some(body.len());
    body.extend_from_slice(&binary);
    Ok(Encoded { body, json_length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::data::Data;

    #[test]
    fn json_and_binary() {
        let outputs = [
            Tensor { name: "a".into(), shape: vec![1, 2], data: Data::Fp32(vec![0.1, 2.0]) },
            Tensor { name: "b".into(), shape: vec![1], data: Data::Bytes(vec!["ü".into()]) },
        ];
        let head = Head { model: "m", version: "3", id: Some("7") };
        let wanted = [Wanted { name: "b".into(), binary: Some(true) }];
        let encoded = encode(head, &outputs, &wanted, false).unwrap();
        let (json, binary) = encoded.body.split_at(encoded.json_length.unwrap());
        assert_eq!(
            String::from_utf8_lossy(json),
            r#"{"model_name":"m","model_version":"3","id":"7","outputs":[{"name":"a","datatype":"FP32","shape":[1,2],"data":[0.1,2.0]},{"name":"b","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}}]}"#
        );
        assert_eq!(binary, b"\x02\0\0\0\xc3\xbc");
        assert_eq!(encode(head, &outputs, &[], false).unwrap().json_length, None);
    }
}
