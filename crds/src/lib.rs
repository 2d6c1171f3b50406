//! Millrace's custom resources (group `millrace.dev/v1alpha1`), and what its programs say to each other.
//!
//! The types are plain serde structs. The feature `resource` adds the Kubernetes side: schema, validation rules and the
//! root objects. The model server reads the same types without it, so it links no Kubernetes client.

// One printcolumn attribute stands for one column: what they share (type, priority) is no mistake.
#![cfg_attr(feature = "resource", allow(clippy::duplicated_attributes))]

pub mod accelerator_pool;
pub mod assignment;
pub mod conditions;
pub mod inference_job;
pub mod inference_service;
pub mod labels;
pub mod manifest;
pub mod report;
pub mod scalar;
#[cfg(feature = "resource")]
pub mod schema;
pub mod store;
pub mod tenant;

pub use accelerator_pool::*;
pub use inference_job::*;
pub use inference_service::*;
pub use scalar::*;
pub use tenant::*;

/// The API group of every resource here.
pub const GROUP: &str = "millrace.dev";
/// Group and version, as manifests write them.
pub const API_VERSION: &str = "millrace.dev/v1alpha1";
