//! Millrace's model server: an ONNX model with its pipeline, or a graph of several, over the Open Inference Protocol (HTTP and gRPC).
//!
//! The way of a request: decode, admit, pre-process, queue, batch, engine thread, split, post-process, encode.
//! It knows no Kubernetes; its `unsafe` is in `engine::ort::native` and `memory`.

pub mod admit;
pub mod alarm;
pub mod answers;
pub mod batch;
pub mod config;
pub mod crew;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod gpu;
pub mod graph;
pub mod grpc;
pub mod health;
pub mod http;
pub mod listen;
pub mod load;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod node;
pub mod openapi;
pub mod pace;
pub mod pipeline;
pub mod process;
pub mod prompt;
pub mod protocol;
pub mod quantize;
pub mod queue;
pub mod replica;
pub mod seat;
pub mod serve;
pub mod stage;
pub mod standby;
pub mod tls;
pub mod unit;
pub mod warm_up;
pub mod worker;
