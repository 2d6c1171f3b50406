//! Millrace on the test cluster, used as a platform team and a tenant use it: helm, kubectl, curl.
//!
//! [`Bed`] is the running cluster, [`Product`] the installed release with a tenant and a key, [`Service`] one
//! InferenceService on it. The end-to-end tests and `cargo xtask demo` share them, so the demo shows what is tested.

pub mod audit;
mod bed;
mod call;
pub mod files;
mod memory;
pub mod model;
mod product;
mod python;
mod service;

pub use bed::Bed;
pub use call::{Answer, Call};
pub use memory::resident_mebibytes;
pub use product::{Product, RELEASE, SYSTEM_NAMESPACE, helm_upgrade};
pub use python::python;
pub use service::{NAMESPACE, Service, edited};
