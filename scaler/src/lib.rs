//! The scaling law: how many replicas, of which revision, on which pool.
//!
//! Pure: no Kubernetes, no runtime, no clock; time is a parameter in seconds. What gateways and servers report goes
//! into [`State`], which keeps windows and profiles; a [`Fleet`] is drawn up from it and from what the cluster holds;
//! [`decide`] passes over the fleet once and says what to change, and why.

mod decide;
mod draft;
mod fleet;
mod forecast;
mod learn;
mod lower;
mod memory;
mod name;
mod place;
mod plan;
mod profile;
#[cfg(test)]
mod properties;
mod raise;
mod reason;
mod room;
mod signal;
mod state;
#[cfg(test)]
mod testing;
mod window;

pub use decide::{Cause, Decision, Outcome, decide};
pub use fleet::{Capacity, Count, Fleet, Pool, Service, Tenant};
pub use forecast::{Need, need};
pub use learn::{Learner, ProfileKey};
pub use memory::{Memory, Refusal};
pub use name::{Accelerator, PoolName, Reporter, Revision, ServiceId, Slot, TenantName};
pub use plan::{Bounds, Objective, PoolPlan, Revisions, ServicePlan, Strategy};
pub use profile::Profile;
pub use signal::{BatchSample, GatewaySample, ServerSample, ServiceSample, Signals};
pub use state::{Checkpoint, Replica, State, View};
pub use window::{Counter, Increase, Ring};
