//! gRPC through the gateway: names from messages, metadata, trailers.

use crate::bed::*;
use crate::message::*;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;

/// A server that sends the message back, with trailers.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let te = request.headers().get("te").cloned();
    let path = request.uri().path().to_owned();
    let timeout = request.headers().contains_key("grpc-timeout");
    let whole = request.into_body().collect().await.unwrap().to_bytes();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("x-path", path.parse().unwrap());
    trailers.insert("x-te", te.unwrap_or_else(|| "none".parse().unwrap()));
    trailers.insert("x-timeout", timeout.to_string().parse().unwrap());
    let frames = [Ok(Frame::data(whole)), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(futures::stream::iter(frames)).boxed_unsync());
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}

#[tokio::test]
async fn the_model_is_found_in_the_message_and_nothing_is_lost() {
    let bed = Bed::new().await;
    bed.magika(echo).await;
    for (method, model) in [("ModelInfer", "magika"), ("ModelReady", "magika"), ("ModelStreamInfer", "team-a.magika")] {
        let reply = bed.call(grpc(method, model)).await;
        assert_eq!(reply.grpc(), "0", "{reply:?}");
        assert_eq!(reply.trailers["x-path"], format!("/inference.GRPCInferenceService/{method}"));
        assert_eq!(
            (&reply.trailers["x-te"], &reply.trailers["x-timeout"]),
            (&"trailers".parse().unwrap(), &"true".parse().unwrap())
        );
        assert!(reply.text.ends_with(model), "{:?}", reply.text);
    }
}

#[tokio::test]
async fn by_authority_the_message_isnt_looked_at() {
    let bed = Bed::new().await;
    bed.magika(echo).await;
    for authority in ["magika.team-a.models.example", "magika.team-a"] {
        let mut call = grpc("ModelInfer", "any");
        *call.uri_mut() = format!("https://{authority}/inference.GRPCInferenceService/ModelInfer").parse().unwrap();
        *call.body_mut() = body(Bytes::from_static(&[1, 0, 0, 0, 1, 9]));
        let reply = bed.call(call).await;
        assert_eq!((reply.grpc(), reply.text.len()), ("0", 6));
    }
}

#[tokio::test]
async fn what_cant_be_routed_is_told_in_grpcs_own_words() {
    let bed = Bed::new().await;
    bed.magika(echo).await;
    let status = async |call: Request<Body>| bed.call(call).await.grpc().to_owned();
    assert_eq!(status(grpc("ModelInfer", "unknown")).await, "5");
    assert_eq!(status(grpc("ModelInfer", "")).await, "3");
    let mut compressed = grpc("ModelInfer", "magika");
    *compressed.body_mut() = body(Bytes::from_static(&[1, 0, 0, 0, 1, 9]));
    assert_eq!(status(compressed).await, "3");
    let mut empty = grpc("ModelInfer", "magika");
    *empty.body_mut() = body("");
    assert_eq!(status(empty).await, "3");
    let mut plain = grpc("ModelInfer", "magika");
    plain.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert_eq!(bed.call(plain).await.status, 501);
}

#[tokio::test]
async fn a_stream_may_be_silent_and_answers_come_between() {
    let bed = Bed::with(|settings| settings.body_idle = std::time::Duration::from_millis(50)).await;
    bed.magika(|request| async {
        let data =
            futures::StreamExt::map(request.into_body().into_data_stream(), |data| Ok(Frame::data(data.unwrap())));
        Response::new(StreamBody::new(data).boxed_unsync())
    })
    .await;
    let (feed, payload) = fed();
    let first = frame(b"\x0a\x06magika");
    feed.send(first.clone()).await.unwrap();
    let (head, _) = grpc("ModelStreamInfer", "magika").into_parts();
    let mut sender = bed.h2().await;
    let mut response = sender.send_request(Request::from_parts(head, payload)).await.unwrap();
    assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), first);
    tokio::time::sleep(std::time::Duration::from_millis(150)).await; // three times what a plain body may be silent
    feed.send(frame(b"second")).await.unwrap();
    let second = tokio::time::timeout(SOON, response.body_mut().frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(second.into_data().unwrap(), frame(b"second"));
}
