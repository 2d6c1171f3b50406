//! The scaling law: how many replicas, of which revision, on which pool.
//!
//! Pure: no Kubernetes, no runtime, no clock; time is a parameter in seconds. What gateways and servers report goes
//! into [`State`], which keeps windows and profiles; a [`Fleet`] is drawn up from it and from what the cluster holds;
//! [`decide`] passes over the fleet once and says what to change, and why.

mod checkpoint;
mod counter;
mod course;
mod cover;
mod decide;
mod draft;
mod experience;
mod expert;
mod figure;
mod fleet;
mod forecast;
mod history;
mod known;
mod learn;
mod look;
mod lower;
mod memory;
mod moves;
mod name;
mod noise;
mod outlook;
mod packed;
mod place;
mod plan;
mod profile;
#[cfg(test)]
mod properties;
mod raise;
mod reach;
mod reason;
mod record;
mod rehearse;
mod room;
mod series;
mod signal;
mod sooner;
mod speeds;
mod standby;
mod state;
#[cfg(test)]
mod takeover;
#[cfg(test)]
mod testing;
mod traffic;
mod wire;

pub use checkpoint::{Checkpoint, Learned, LearnedSize, Remembered};
pub use counter::{Counter, Increase};
pub use decide::{Cause, Decision, Outcome, decide};
pub use experience::{Experience, Policy};
pub use expert::Expert;
pub use fleet::{Capacity, Count, Fleet, Pool, Service, Tenant};
pub use forecast::{Need, need};
pub use history::History;
pub use learn::{Learner, ProfileKey};
pub use memory::{Memory, Refusal};
pub use name::{Accelerator, PoolName, Reporter, Revision, ServiceId, Slot, TenantName};
pub use plan::{Bounds, Objective, PoolPlan, Revisions, ServicePlan, Strategy};
pub use profile::Profile;
pub use reach::Reach;
pub use record::{Difference, Record};
pub use rehearse::{Rehearsal, Rehearsed};
pub use signal::{BatchSample, GatewaySample, ServerSample, ServiceSample, Signals};
pub use standby::{Shares, Supply, Want, share};
pub use state::{Replica, State, View};
