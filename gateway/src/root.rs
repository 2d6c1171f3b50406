//! What the gateway answers itself: its own health and metadata, and the index of the caller's services, in both protocols.

use crate::auth::Caller;
use crate::body::{Fault, ResponseBody};
use crate::fleet::{Live, Service};
use crate::respond::{Protocol, grpc_trailers, json};
use crate::target::Root;
use bytes::Bytes;
use futures::stream;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json as value};
use std::sync::Arc;

const NAME: &str = "millrace";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_repository", "statistics"];

/// One row of the index.
struct Entry {
    name: String,
    version: String,
    state: &'static str,
    reason: String,
}

/// Answers in the client's protocol.
#[must_use]
pub fn answer(root: Root, live: &Live, caller: &Caller, protocol: Protocol) -> Response<ResponseBody> {
    match protocol {
        Protocol::Http => json(http(root, live, caller).to_string()),
        Protocol::Grpc => message(grpc(root, live, caller)),
    }
}

fn http(root: Root, live: &Live, caller: &Caller) -> Value {
    match root {
        Root::Live => value!({"live": true}),
        Root::Ready => value!({"ready": true}),
        Root::Metadata => value!({"name": NAME, "version": VERSION, "extensions": EXTENSIONS}),
        Root::Models => value!({"models": entries(live, caller).iter().map(|entry| &entry.name).collect::<Vec<_>>()}),
        Root::Index => entries(live, caller)
            .iter()
            .map(|entry| value!({"name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason}))
            .collect(),
    }
}

/// The messages ServerLiveResponse, ServerReadyResponse, ServerMetadataResponse and RepositoryIndexResponse.
fn grpc(root: Root, live: &Live, caller: &Caller) -> Vec<u8> {
    let mut message = Vec::new();
    match root {
        Root::Live | Root::Ready => message.extend([1 << 3, 1]),
        Root::Metadata => {
            field(&mut message, 1, NAME.as_bytes());
            field(&mut message, 2, VERSION.as_bytes());
            EXTENSIONS.iter().for_each(|extension| field(&mut message, 3, extension.as_bytes()));
        }
        Root::Index | Root::Models => {
            for entry in entries(live, caller) {
                let mut row = Vec::new();
                field(&mut row, 1, entry.name.as_bytes());
                field(&mut row, 2, entry.version.as_bytes());
                field(&mut row, 3, entry.state.as_bytes());
                field(&mut row, 4, entry.reason.as_bytes());
                field(&mut message, 1, &row);
            }
        }
    }
    message
}

/// The caller's services, by bare name where that is enough to call them.
fn entries(live: &Live, caller: &Caller) -> Vec<Entry> {
    let mine = |service: &&Arc<Service>| caller.is(service.route.tenant.as_deref());
    let callable = |id| live.services.get(id).is_some_and(|s| mine(&s) || s.route.anonymous);
    let ids = live.table.services.keys().filter_map(|id| live.services.get(id)).filter(mine);
    ids.map(|service| {
        let id = &service.route.id;
        let same = live.table.by_name.get(&id.name).into_iter().flatten().filter(|id| callable(id)).count();
        let versions: Vec<_> = service.route.versions.iter().map(ToString::to_string).collect();
        let ready = !service.replicas.is_empty() || service.route.blocked.is_none();
        Entry {
            name: if same == 1 { id.name.clone() } else { id.to_string() },
            version: versions.first().cloned().unwrap_or_default(),
            state: if ready { "READY" } else { "UNAVAILABLE" },
            reason: service.route.blocked.clone().filter(|_| !ready).unwrap_or_default(),
        }
    })
    .collect()
}

/// A length-delimited protobuf field of a number below 16.
fn field(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    message.push(u8::try_from(length).unwrap_or(0));
    message.extend_from_slice(bytes);
}

/// A gRPC answer of one message.
fn message(bytes: Vec<u8>) -> Response<ResponseBody> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(bytes);
    let frames = [Frame::data(Bytes::from(framed)), Frame::trailers(grpc_trailers(0, ""))];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Fault>))).boxed_unsync();
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_fields() {
        let mut message = Vec::new();
        field(&mut message, 1, b"ab");
        field(&mut message, 3, &[7; 200]);
        assert_eq!(message[..4], [0x0a, 2, b'a', b'b']);
        assert_eq!(message[4..7], [0x1a, 0xc8, 1]);
        assert_eq!(message.len(), 207);
    }
}
