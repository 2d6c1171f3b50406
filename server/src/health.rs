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
        "/livez" => (StatusCode::OK, "ok"),
        "/readyz" => match slot.get() {
            Some(replica) if replica.is_ready() => (StatusCode::OK, "ok"),
            Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            None => (StatusCode::SERVICE_UNAVAILABLE, "loading"),
        },
        _ => (StatusCode::NOT_FOUND, "no such probe"),
    };
    let mut response = Response::new(tonic::body::Body::new(Full::new(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    Ok(response)
}
