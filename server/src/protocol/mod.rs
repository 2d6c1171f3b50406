//! Wire to tensors and back: pure, shared by HTTP and gRPC.

#[cfg(test)]
pub mod arbitrary;
pub mod data;
pub mod embeddings;
pub mod json;
pub mod json_data;
pub mod json_depth;
mod json_number;
pub mod parameters;
pub mod request;
pub mod request_json;
pub mod response;
pub mod shape;
pub mod tensor;
pub mod v1;

#[cfg(test)]
mod round_trip_tests;
