//! ModelInfer as nearly all callers send it: one message, not compressed, answered by one. It goes past the library's layers
//! for streams and compression, which cost more than a quick model; every other call takes them.

use super::{
    convert::Answer,
    message_limit,
    proto::ModelInferRequest,
    service::{Grpc, Told},
    too_large, write,
};
use crate::{
    admit::Permit,
    error::{Error, Kind},
    http::body,
};
use bytes::{Buf as _, BufMut as _, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Frame;
use millrace_hop::limits::Limits;
use prost::Message as _;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};
use tonic::{Status, body::Body};

const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";
/// A message's frame: whether it is compressed, and its length.
const FRAME: usize = 5;

/// Whether a call is one of these.
#[must_use]
pub fn fits<B>(request: &Request<B>) -> bool {
    let encoding = request.headers().get("grpc-encoding");
    request.uri().path() == PATH && encoding.is_none_or(|encoding| encoding == "identity")
}

/// Answers a call within these limits.
pub async fn answer<B>(grpc: &Grpc, request: Request<B>, limits: Limits) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (parts, mut body) = request.into_parts();
    let told = Told::of(&parts.headers, limits);
    let answered = grpc.infer(receive(grpc, &mut body, limits.bytes), told, framed).await;
    // A reset of the stream would reach the client in place of a refusal.
    body::discard(body).await;
    match answered {
        Ok(message) => {
            let mut response = Response::new(Body::new(Whole { message: Some(message), ended: false }));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            response
        }
        Err(error) => Status::from(error).into_http(),
    }
}

/// An answer's message in its frame.
fn framed(answer: Answer, version: &str) -> Bytes {
    let length = write::length(&answer, version);
    let mut framed = Vec::with_capacity(FRAME + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    write::write(&answer, version, &mut framed);
    framed.into()
}

/// Admits a call and reads its one message.
async fn receive<B>(grpc: &Grpc, body: &mut B, max: u64) -> Result<(ModelInferRequest, Permit), Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut permit = grpc.0.door.admit()?;
    let limit = message_limit(max).saturating_add(FRAME);
    let mut framed = body::read(body, limit, &mut permit, whole).await.map_err(|error| match error.kind {
        Kind::TooLarge => Error::new(Kind::TooLarge, too_large(max)),
        _ => error,
    })?;
    let (compressed, length) = head(&framed).ok_or_else(|| Error::invalid("the call has no message"))?;
    if compressed != 0 {
        return Err(Error::new(Kind::Unsupported, "the message is compressed, and grpc-encoding doesn't say how"));
    }
    framed.advance(FRAME);
    if length != framed.len() {
        return Err(Error::invalid("the call has more than one message, or not all of one"));
    }
    let message =
        ModelInferRequest::decode(framed).map_err(|_| Error::invalid("the message is no ModelInferRequest"))?;
    Ok((message, permit))
}

/// What a frame says of its message: whether it is compressed, and its length.
fn head(framed: &[u8]) -> Option<(u8, usize)> {
    let [compressed, length @ ..] = *framed.first_chunk::<FRAME>()?;
    Some((compressed, u32::from_be_bytes(length) as usize))
}

/// Bytes of a frame and its message.
fn whole(framed: &[u8]) -> Option<usize> {
    head(framed).map(|(_, length)| length.saturating_add(FRAME))
}

/// One message, and that all went well.
struct Whole {
    message: Option<Bytes>,
    ended: bool,
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        self.ended = true;
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
