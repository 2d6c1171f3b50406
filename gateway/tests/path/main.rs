//! The gateway's data path in process: real TLS on both sides, a scripted server, no cluster.

// Clippy lets tests unwrap, and knows none of the functions that they stand on as such.
#![allow(clippy::unwrap_used)]

mod admin;
mod auth;
mod bed;
mod bounds;
mod ca;
mod early;
mod forward;
mod framing;
mod grpc;
mod hold;
mod message;
mod routes;
