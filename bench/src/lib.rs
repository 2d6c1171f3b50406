//! Measuring Millrace: load on a running release.

pub mod latency;
pub mod load;
pub mod median;
pub mod open;
