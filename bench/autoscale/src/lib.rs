//! A simulator of autoscaling that calls the production law.
//!
//! Arrivals come from trace files or generators; requests are simulated one by one or, for long traces, as a fluid. The
//! law is set against re-implementations of what others ship, each tuned in hindsight on the very trace, and against
//! schedules that know the future. Everything is seeded: the same arguments give the same figures.

pub mod bound;
pub mod case;
pub mod cell;
pub mod cluster;
pub mod file;
pub mod fleet;
pub mod foresee;
pub mod generate;
pub mod ledger;
pub mod missed;
pub mod model;
pub mod picture;
pub mod pods;
pub mod policy;
pub mod queue;
pub mod random;
pub mod replay;
pub mod report;
pub mod rival;
pub mod rows;
pub mod scenario;
pub mod search;
pub mod sight;
pub mod tables;
pub mod trace;
pub mod world;
