//! Requests between the gateway and the answer: by events, or as a fluid.

pub mod events;
pub mod fluid;
pub mod table;

use crate::ledger::Ledger;

/// Arrivals of a stretch of time.
#[derive(Clone, Copy, Debug)]
pub enum Arrivals<'a> {
    /// Their instants, in order.
    Instants(&'a [f64]),
    /// Their number.
    Count(f64),
}

/// A server, or for the fluid all servers of a pool, as they report.
#[derive(Clone, Copy, Debug)]
pub struct ServerView<'a> {
    /// Who.
    pub pod: u64,
    /// Its pool.
    pub pool: usize,
    /// When its process began.
    pub started_at: f64,
    /// Requests that wait in it.
    pub depth: u64,
    /// Runs and their seconds, for batches of one row, two rows and so on.
    pub batches: &'a [(u64, f64)],
}

/// Replicas and what waits for them.
pub trait Queue {
    /// A replica on `pool` is ready.
    fn add(&mut self, now: f64, pod: u64, pool: usize, ledger: &mut Ledger);
    /// A replica gets no further request, and ends when it is empty.
    fn drain(&mut self, now: f64, pod: u64, pool: usize);
    /// Lets time pass.
    fn advance(&mut self, from: f64, to: f64, arrivals: Arrivals<'_>, ledger: &mut Ledger);
    /// Replicas that have drained since the last call.
    fn drained(&mut self) -> Vec<u64>;
    /// Requests that wait in servers.
    fn waiting(&self) -> f64;
    /// Shows each ready server.
    fn servers(&self, see: &mut dyn FnMut(ServerView<'_>));
}
