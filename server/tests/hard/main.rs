//! What attackers and broken peers do to a server, and what must hold then: it says no, it stays small, others are served.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod engine;
mod frames;
mod heads;
mod memory;
mod raw;
mod tls;
mod turns;
