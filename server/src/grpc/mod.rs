//! gRPC: the same service, from messages.

pub mod convert;
pub mod service;

/// Types made from `proto/inference.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto {
    tonic::include_proto!("inference");
}
