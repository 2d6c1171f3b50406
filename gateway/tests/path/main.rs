//! The gateway's data path in process: real TLS on both sides, a scripted server, no cluster.

mod admin;
mod auth;
mod bed;
mod bounds;
mod forward;
mod framing;
mod grpc;
mod hold;
mod routes;
