//! The operator: watches InferenceServices and makes them run.
//!
//! A reconciliation is `observe -> plan -> build -> apply -> status`, one module a step; only the first and the apply
//! step talk to the API server, the others are pure.

pub mod apply;
pub mod build;
pub mod ca;
pub mod config;
pub mod controller;
pub mod http;
pub mod index;
pub mod job;
pub mod lease;
pub mod metrics;
pub mod naming;
pub mod observe;
pub mod plan;
pub mod pods;
pub mod pool;
pub mod rbac;
pub mod report;
pub mod run;
pub mod scale;
pub mod standby;
pub mod status;
pub mod statuses;
pub mod tenant;
pub mod unreadable;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod testing;
