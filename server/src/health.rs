//! Probes on a port of their own: alive from the first moment, ready when the model is.

use crate::replica::Replica;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};
use tokio::sync::Notify;

/// What probes are answered from.
pub type Slot = Arc<Place>;

/// The replica, once there is one.
#[derive(Default)]
pub struct Place {
    replica: OnceLock<Arc<Replica>>,
    filled: Notify,
    standby: bool,
}

impl Place {
    /// That of a standby server: ready for what it is, before it has a model. Whether it serves is told by a label of its pod.
    #[must_use]
    pub fn of_standby() -> Slot {
        Arc::new(Self { standby: true, ..Self::default() })
    }

    /// The replica.
    #[must_use]
    pub fn get(&self) -> Option<&Arc<Replica>> {
        self.replica.get()
    }

    /// Puts the replica in.
    ///
    /// # Errors
    /// There is one already; the new one is given back.
    pub fn set(&self, replica: Arc<Replica>) -> Result<(), Arc<Replica>> {
        self.replica.set(replica)?;
        self.filled.notify_waiters();
        Ok(())
    }

    /// Waits until there is a replica.
    pub async fn filled(&self) -> &Arc<Replica> {
        loop {
            let filled = self.filled.notified();
            match self.get() {
                Some(replica) => return replica,
                None => filled.await,
            }
        }
    }
}

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
            None if slot.standby => (StatusCode::OK, "ok, a standby server without a model"),
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
