//! A server in process with the fake engine, and small clients for it.
#![allow(dead_code, missing_docs)]

pub mod authority;
pub mod real;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use millrace_crds::manifest::Manifest;
use millrace_server::{
    crew::Crew,
    engine::{
        Engine,
        fake::{FakeEngine, Gate},
    },
    grpc::proto::{self, grpc_inference_service_client::GrpcInferenceServiceClient},
    listen::{self, Wire},
    load,
    model::Fetched,
    replica::Replica,
    tls::Tls,
};
use prost::Message as _;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub struct Serving {
    pub replica: Arc<Replica>,
    pub address: SocketAddr,
    _end: watch::Sender<bool>,
}

/// Answers as they come.
pub struct Events(hyper::body::Incoming);

impl Events {
    /// The next one; empty: there are no more.
    pub async fn next(&mut self) -> String {
        let Some(frame) = self.0.frame().await else { return String::new() };
        String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap()
    }
}

pub type Answered = (u16, HeaderMap, String);

pub fn infer_body(row: &[f32]) -> String {
    serde_json::json!({"id": "7", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": row}]})
        .to_string()
}

async fn send(address: SocketAddr, request: http::request::Builder, body: Bytes) -> (u16, HeaderMap, Bytes) {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let _ = address;
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes())
}

impl Serving {
    /// `spec` is added to the manifest; the engine answers each request `answers` times.
    pub async fn start(spec: &str, answers: usize, gate: Gate) -> Self {
        Self::start_with(spec, answers, gate, None).await
    }

    /// The same, behind TLS if it is given.
    pub async fn start_with(spec: &str, answers: usize, gate: Gate, tls: Option<Arc<Tls>>) -> Self {
        let text = format!(
            "apiVersion: millrace.dev/v1alpha1\nkind: InferenceService\nmetadata: {{name: fake, namespace: team}}\nspec:\n  model: {{uri: 's3://models/fake.onnx'}}\n  runtime: {{executionProviders: [CUDA]}}\n{spec}"
        );
        let manifest = Manifest::from_yaml(&text).unwrap();
        Self::over(&manifest, vec![Box::new(FakeEngine::new(answers, gate))], tls).await
    }

    /// A server with engines of a test's own.
    pub async fn over(manifest: &Manifest, engines: Vec<Box<dyn Engine>>, tls: Option<Arc<Tls>>) -> Self {
        let (replica, _threads) = load::build(manifest, engines, &Fetched::nowhere(), [Duration::ZERO; 2]).unwrap();
        Self::behind(replica, tls).await
    }

    /// Serves what was built already.
    pub async fn with(replica: Arc<Replica>) -> Self {
        Self::behind(replica, None).await
    }

    async fn behind(replica: Arc<Replica>, tls: Option<Arc<Tls>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ending) = watch::channel(false);
        let wire = Wire::new(Arc::clone(&replica));
        tokio::spawn(listen::serve(listener, Crew::here(), tls, ending, move || {
            let wire = Arc::new(wire.clone());
            move |request| Arc::clone(&wire).answer(request)
        }));
        Self { replica, address, _end: end }
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let request = Request::get(format!("http://{}{path}", self.address));
        let (status, _, body) = send(self.address, request, Bytes::new()).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub async fn post(&self, path: &str, body: &str) -> (u16, String) {
        let request = Request::post(format!("http://{}{path}", self.address));
        let (status, _, body) = send(self.address, request, Bytes::copy_from_slice(body.as_bytes())).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Posts with a content type.
    pub async fn post_as(&self, path: &str, content_type: &str, body: impl Into<Bytes>) -> (u16, String) {
        let request =
            Request::post(format!("http://{}{path}", self.address)).header(http::header::CONTENT_TYPE, content_type);
        let (status, _, body) = send(self.address, request, body.into()).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Posts bytes, without a server at hand: for tasks of their own.
    pub async fn post_raw(address: SocketAddr, path: &str, body: Vec<u8>) -> (u16, String) {
        let request = Request::post(format!("http://{address}{path}"));
        let (status, _, body) = send(address, request, body.into()).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub async fn post_encoded(&self, path: &str, encoding: &str, body: Vec<u8>) -> (u16, String) {
        let request = Request::post(format!("http://{}{path}", self.address)).header("content-encoding", encoding);
        let (status, _, body) = send(self.address, request, body.into()).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// An inference whose request carries one more header.
    pub async fn infer_with(&self, name: &str, value: &str) -> Answered {
        self.post_with(name, value, &infer_body(&[1.0, 0.0])).await
    }

    /// The same with a body of one's own.
    pub async fn post_with(&self, name: &str, value: &str, body: &str) -> Answered {
        let request = Request::post(format!("http://{}/v2/models/fake/infer", self.address)).header(name, value);
        let (status, headers, body) = send(self.address, request, Bytes::copy_from_slice(body.as_bytes())).await;
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    /// An inference whose answers are read one by one.
    pub async fn open_events(&self, body: &str) -> Events {
        let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::post(format!("http://{}/v2/models/fake/infer", self.address))
            .header("accept", "text/event-stream")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        Events(client.request(request.unwrap()).await.unwrap().into_body())
    }

    pub async fn infer(&self, value: f32) -> Answered {
        self.spawn_infer(value).await.unwrap()
    }

    pub fn spawn_infer(&self, value: f32) -> JoinHandle<Answered> {
        let address = self.address;
        tokio::spawn(async move {
            let request = Request::post(format!("http://{address}/v2/models/fake/infer"));
            let (status, headers, body) = send(address, request, infer_body(&[value, 0.0]).into()).await;
            (status, headers, String::from_utf8(body.to_vec()).unwrap())
        })
    }

    /// Waits for a condition, and fails if it doesn't come.
    pub async fn until(&self, condition: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it never came");
    }

    pub async fn grpc(&self) -> GrpcInferenceServiceClient<tonic::transport::Channel> {
        let endpoint = tonic::transport::Endpoint::new(format!("http://{}", self.address)).unwrap();
        GrpcInferenceServiceClient::new(endpoint.connect().await.unwrap())
    }

    /// A call to ModelInfer with one more header, without the library's client: gives `grpc-status`.
    pub async fn grpc_by_hand(&self, message: &proto::ModelInferRequest, name: &str, value: &str) -> String {
        let message = message.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        self.grpc_of([&[0], &length[..], &message[..]].concat(), name, value).await
    }

    /// The same with a body of one's own.
    pub async fn grpc_of(&self, body: Vec<u8>, name: &str, value: &str) -> String {
        self.grpc_call("ModelInfer", body, name, value).await
    }

    /// A call by its name.
    pub async fn grpc_call(&self, call: &str, body: Vec<u8>, name: &str, value: &str) -> String {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(format!("http://server/inference.GRPCInferenceService/{call}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header(name, value)
            .body(Full::new(Bytes::from(body)));
        let (parts, body) = sender.send_request(request.unwrap()).await.unwrap().into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
        let status = parts.headers.get("grpc-status").or(trailers.get("grpc-status"));
        status.map_or_else(String::new, |status| status.to_str().unwrap().to_owned())
    }

    pub fn message(&self, model: &str, row: &[f32]) -> proto::ModelInferRequest {
        proto::ModelInferRequest {
            model_name: model.to_owned(),
            id: "7".to_owned(),
            inputs: vec![proto::model_infer_request::InferInputTensor {
                name: "x".to_owned(),
                datatype: "FP32".to_owned(),
                shape: vec![1, 2],
                ..Default::default()
            }],
            raw_input_contents: vec![row.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>().into()],
            ..Default::default()
        }
    }
}

/// Sends a row and asks for the answer as raw bytes: gives its JSON and what follows it.
pub async fn binary_infer(serving: &Serving, row: &[f32; 2]) -> (String, Vec<u8>) {
    let json = serde_json::json!({
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}],
        "parameters": {"binary_data_output": true},
    })
    .to_string();
    let request = Request::post(format!("http://{}/v2/models/fake/infer", serving.address))
        .header("inference-header-content-length", json.len());
    let body = [json.into_bytes(), row.iter().flat_map(|value| value.to_le_bytes()).collect()].concat();
    let (status, headers, body) = send(serving.address, request, body.into()).await;
    assert_eq!(status, 200);
    let length: usize = headers["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    (String::from_utf8(body[..length].to_vec()).unwrap(), body[length..].to_vec())
}
