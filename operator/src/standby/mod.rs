//! Standby servers of pools: servers with their runtime up and no model, which answer for a service that wakes or bursts
//! until its own replicas are ready.
//!
//! [`keep`] makes a pool's Deployment of them. [`Lender`] belongs to the scaler's loop: it gives one to a service
//! ([`millrace_scaler::share`] says to whom), has it load the model of the service's revision, and takes it away when it
//! isn't needed. A pod's labels tell all that there is to know of it, so a new leader goes on where its predecessor was.
//!
//! A pod's life: gated (no room in the pool yet), free, assigned, serving, gone. None goes back: what was assigned leaves the
//! Deployment's selector, is made anew by it, and is deleted in the end.

mod bridge;
mod fit;
mod keep;
mod lend;
mod need;
mod objects;
mod view;

pub use bridge::Reach;
pub use fit::{Asked, asked, obstacle};
pub use keep::keep;
pub use lend::{Lender, Sources};
pub use objects::{image, objects};
pub use view::{Role, Standby, counts, of_service, read};

#[cfg(test)]
mod tests;
