//! `floor`: the least that is honest over HTTP/1.1. hyper, serde_json, a session for each core on the connection's own
//! thread; no batcher, no bounds, no metrics, no errors but a closed connection. One input of FP32, JSON or binary.

use super::cores;
use crate::{
    bare::Bare,
    tensor::{Tensor, Values},
};
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::{cell::RefCell, path::PathBuf};

const JSON_LENGTH: &str = "inference-header-content-length";

#[derive(Deserialize)]
struct Asked {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    shape: Vec<i64>,
    #[serde(default)]
    data: Vec<f32>,
}

#[derive(Serialize)]
struct Answer<'a> {
    model_name: &'a str,
    outputs: Vec<Output<'a>>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: &'a [i64],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
}

#[derive(Serialize)]
struct Parameters {
    binary_data_size: usize,
}

/// Serves for ever.
pub fn run(library: PathBuf, model: PathBuf, address: &str) -> Result<()> {
    let make = move || Bare::load(&library, &model, 1).map(RefCell::new);
    cores::serve(address, make, |bare, stream| async move {
        let answer = service_fn(|request| answer(&bare, request));
        // Who closes a connection wants nothing more of it.
        drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
    })
}

async fn answer(bare: &RefCell<Bare>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let json_length = request.headers().get(JSON_LENGTH).map(|value| value.to_str()).transpose()?;
    let json_length: Option<usize> = json_length.map(str::parse).transpose()?;
    let body = request.into_body().collect().await?.to_bytes();
    let (json, raw) = body.split_at_checked(json_length.unwrap_or(body.len())).context("a length beyond the body")?;
    let asked: Asked = serde_json::from_slice(json)?;
    let input = asked.inputs.into_iter().next().context("no input")?;
    let values = if raw.is_empty() { Values::Fp32(input.data) } else { Values::from_le("FP32", raw)? };
    let outputs = bare.borrow_mut().run(&[Tensor { name: input.name, shape: input.shape, values }])?;
    encode(&outputs, json_length.is_some())
}

fn encode(outputs: &[Tensor], binary: bool) -> Result<Response<Full<Bytes>>> {
    let raw: Vec<Vec<u8>> = outputs.iter().filter(|_| binary).map(|tensor| tensor.values.to_le()).collect();
    let mut written = Vec::with_capacity(outputs.len());
    for (at, tensor) in outputs.iter().enumerate() {
        written.push(Output {
            name: &tensor.name,
            datatype: tensor.values.datatype(),
            shape: &tensor.shape,
            data: (!binary).then_some(&tensor.values),
            parameters: raw.get(at).map(|raw| Parameters { binary_data_size: raw.len() }),
        });
    }
    let mut body = serde_json::to_vec(&Answer { model_name: "tiny", outputs: written })?;
    let length = body.len();
    body.extend(raw.concat());
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if binary {
        response.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
    }
    Ok(response)
}
