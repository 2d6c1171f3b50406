//! Probes on a port of their own: alive from the first moment, ready when the model is.

use crate::replica::Replica;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};

/// The replica, once there is one.
pub type Slot = Arc<OnceLock<Arc<Replica>>>;

/// Answers a probe.
///
/// # Errors
/// Never.
pub async fn answer<B>(slot: Slot, request: Request<B>) -> Result<Response<tonic::body::Body>, Infallible> {
    let (status, text) = match request.uri().path() {
        "/livez" if slot.get().is_some_and(|replica| !replica.is_alive()) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "every engine broke and no other can be made, or one hangs and holds connections",
        ),
        "/livez" => (StatusCode::OK, "ok"),
        "/readyz" => match slot.get() {
            Some(replica) if replica.is_ready() => (StatusCode::OK, told(replica)),
            Some(replica) if !replica.has_engine() => (StatusCode::SERVICE_UNAVAILABLE, "no engine: it broke"),
            Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            None => (StatusCode::SERVICE_UNAVAILABLE, "loading"),
        },
        _ => (StatusCode::NOT_FOUND, "no such probe"),
    };
    let mut response = Response::new(tonic::body::Body::new(Full::new(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    Ok(response)
}

fn told(replica: &Replica) -> &'static str {
    if replica.engines().any(|engine| engine.replaced() > 0) {
        "ok, and an engine broke and was replaced"
    } else {
        "ok"
    }
}
