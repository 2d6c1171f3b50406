//! Millrace's gateway: the door through which tenants call their models.
//!
//! A request goes through these steps, in this order: connection limits and TLS ([`listen`]), header policy ([`policy`]),
//! authentication ([`auth`]), route ([`routes`], an immutable table swapped whole), rate limits ([`limit`]), admission
//! ([`admit`]) and hold ([`hold`]), pick ([`pick`]), forward ([`forward`]), report ([`report`]). Errors become responses in
//! one place ([`respond`]). The gateway watches Kubernetes and writes nothing to it.

pub mod admin;
pub mod admit;
pub mod args;
pub mod auth;
pub mod body;
pub mod deadline;
pub mod drain;
pub mod early;
pub mod fleet;
pub mod forward;
pub mod front;
pub mod hold;
pub mod inputs;
pub mod limit;
pub mod listen;
pub mod metrics;
pub mod peek;
pub mod pick;
pub mod policy;
pub mod report;
pub mod respond;
pub mod root;
pub mod routes;
pub mod run;
pub mod saved;
pub mod target;
pub mod tls;
pub mod tracked;
pub mod upstream;
pub mod watch;
