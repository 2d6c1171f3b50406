//! gRPC: the same service, from messages.

pub mod convert;
pub mod service;
pub mod unary;
mod write;

/// Types made from `proto/inference.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto {
    tonic::include_proto!("inference");
}

/// Bytes of a message whose tensors have `max` at most: its frame around them needs a little more.
#[must_use]
pub fn message_limit(max: u64) -> usize {
    usize::try_from(max).unwrap_or(usize::MAX).saturating_add(64 << 10)
}

/// What callers hear of a message that is larger.
#[must_use]
pub fn too_large(max: u64) -> String {
    format!("the message is larger than the {max} bytes of access.maxRequestBytes")
}
