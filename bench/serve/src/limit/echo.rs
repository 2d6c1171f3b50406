//! `echo`: the least that is honest over gRPC. tonic decodes the message and answers with outputs of the right size at
//! once: no engine, no batcher, no bounds.

use super::cores;
use anyhow::Result;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use millrace_server::grpc::proto::{ModelInferRequest, ModelInferResponse, model_infer_response::InferOutputTensor};
use std::{
    convert::Infallible,
    future::{Ready, ready},
};
use tonic::{Request, Response, Status, server::UnaryService};
use tonic_prost::ProstCodec;

/// Serves for ever. `outputs`: the elements of each output of FP32 that an answer has.
pub fn run(outputs: &[usize], address: &str) -> Result<()> {
    let echo = Echo(outputs.to_vec());
    cores::serve(
        address,
        move || Ok(echo.clone()),
        |echo, stream| async move {
            let answer = service_fn(move |request| {
                let echo = Echo::clone(&echo);
                async move {
                    Ok::<_, Infallible>(tonic::server::Grpc::new(ProstCodec::default()).unary(echo, request).await)
                }
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // Who closes a connection wants nothing more of it.
            drop(builder.serve_connection(TokioIo::new(stream), answer).await);
        },
    )
}

#[derive(Clone)]
struct Echo(Vec<usize>);

impl UnaryService<ModelInferRequest> for Echo {
    type Response = ModelInferResponse;
    type Future = Ready<Result<Response<ModelInferResponse>, Status>>;

    fn call(&mut self, request: Request<ModelInferRequest>) -> Self::Future {
        let request = request.into_inner();
        let output = |&elements: &usize| InferOutputTensor {
            name: "output".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, i64::try_from(elements).unwrap_or(i64::MAX)],
            ..InferOutputTensor::default()
        };
        ready(Ok(Response::new(ModelInferResponse {
            model_name: request.model_name,
            id: request.id,
            outputs: self.0.iter().map(output).collect(),
            raw_output_contents: self.0.iter().map(|elements| vec![0; elements * 4].into()).collect(),
            ..ModelInferResponse::default()
        })))
    }
}
