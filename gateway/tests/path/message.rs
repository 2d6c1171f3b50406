//! What is sent and answered: bodies, requests of a tenant, and replies that are read to their end.

use crate::bed::{KEY_A, SOON};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub fn body(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

pub fn answer(status: u16, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A request of tenant a.
pub fn request(method: Method, path: &str, payload: impl Into<Bytes>) -> Request<Body> {
    let builder = Request::builder().method(method).uri(format!("https://gateway.example{path}"));
    builder.header("x-api-key", KEY_A).body(body(payload)).unwrap()
}

/// A gRPC request of tenant a with one message that names a model.
pub fn grpc(method: &str, model: &str) -> Request<Body> {
    let mut message = vec![0x0a, u8::try_from(model.len()).unwrap()];
    message.extend(model.bytes());
    let mut request = request(Method::POST, &format!("/inference.GRPCInferenceService/{method}"), frame(&message));
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    request
}

/// A gRPC frame.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed.into()
}

pub fn without_key(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().remove("x-api-key");
    request
}

/// A body that a test feeds.
pub fn fed() -> (tokio::sync::mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    let stream = futures::stream::unfold(receiver, |mut receiver: tokio::sync::mpsc::Receiver<Bytes>| async move {
        Some((Ok::<_, std::io::Error>(Frame::data(receiver.recv().await?)), receiver))
    });
    (sender, http_body_util::StreamBody::new(stream).boxed_unsync())
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub trailers: HeaderMap,
    /// The body broke off.
    pub broken: bool,
}

impl Reply {
    pub async fn read(response: Response<Incoming>) -> Self {
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        let mut trailers = HeaderMap::new();
        let mut broken = false;
        while let Some(frame) = tokio::time::timeout(SOON, body.frame()).await.expect("an answer ends") {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => bytes.extend(data),
                Ok(Err(frame)) => trailers = frame.into_trailers().unwrap(),
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { status: head.status.as_u16(), headers: head.headers, text, trailers, broken }
    }

    /// gRPC's status, from the headers or the trailers.
    pub fn grpc(&self) -> &str {
        let status = self.headers.get("grpc-status").or_else(|| self.trailers.get("grpc-status"));
        status.map_or("none", |status| status.to_str().unwrap())
    }

    /// The text of an error in the one form that errors have.
    pub fn error(&self) -> String {
        let value: serde_json::Value = serde_json::from_str(&self.text).expect("an error is JSON");
        value["error"].as_str().expect("an error has a text").to_owned()
    }
}
