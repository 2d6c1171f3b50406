//! A real Kubernetes on one machine, in a network namespace of its own.
//!
//! [`tools`] builds or installs what is missing into the [`Cache`], [`cluster`] starts a cluster from it and takes it
//! down without a trace, [`image`] makes the product's image, and [`Testbed`] is the handle that tests and the demo hold.

mod cache;
pub mod cluster;
pub mod exec;
pub mod image;
mod steps;
mod testbed;
pub mod tools;
mod wait;

pub use cache::{Cache, repository};
pub use cluster::{name::ClusterName, state::ClusterState};
pub use steps::{Done, Steps};
pub use testbed::Testbed;
pub use wait::wait_until;
