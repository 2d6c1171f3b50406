//! What a service's earlier decisions left: pace, refusals of pools, measured starts.

use crate::{Cause, Count, Decision, Outcome, PoolName, PoolPlan, ServicePlan, Slot};
use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Seconds that a start is assumed to take before one has been seen.
pub const START_PRIOR: f64 = 30.0;
/// A rise or fall holds at least so long, however fast starts are: windows need it to fill.
pub const LEAST_HOLD: f64 = 10.0;
/// A pod that the scheduler refuses for so long goes elsewhere.
pub const REFUSED_AFTER: f64 = 10.0;
/// What any start may take where none has been seen: the progress deadline of a Deployment.
const DEADLINE: f64 = 600.0;
/// Seconds beyond the usual start after which a replica that isn't ready counts as failed.
const OVERDUE: f64 = 60.0;
/// A pool that refused is left alone for so long at first; doubles with each refusal that follows soon.
pub const DISCOUNT: f64 = 60.0;
const LONGEST_DISCOUNT: f64 = 900.0;
const STARTS_KEPT: usize = 16;

/// Seconds after which a pod that waits on `pool` counts as refused: a node may have to come first.
pub fn refused_after(pool: &PoolPlan) -> f64 {
    REFUSED_AFTER + pool.node_delay()
}

/// Seconds that a start on `pool` is assumed to take where a node has to come first.
fn start_with_node(pool: &PoolPlan) -> f64 {
    START_PRIOR + pool.node_delay()
}

/// A pool that refused a replica.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// When it was last seen to refuse.
    pub at: f64,
    /// Until when it gets no replica of this service.
    pub until: f64,
    /// How often in a row.
    pub strikes: u32,
}

/// Memory of one service; bounded, and small enough for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Last rise.
    #[serde(with = "crate::figure::option", default)]
    pub raised_at: Option<f64>,
    /// Whether that was a replica beyond what load asks for in the end: for one of another pool, or sooner than that.
    pub beside: bool,
    /// Last fall.
    #[serde(with = "crate::figure::option", default)]
    pub lowered_at: Option<f64>,
    /// Need in requests per second that the last fall rested on; absent: a predecessor wrote it after its last checkpoint.
    pub need_at_fall: Option<f64>,
    /// Pools that refused.
    pub refusals: LiteMap<PoolName, Refusal>,
    /// Seconds of recent starts by pool.
    pub starts: LiteMap<PoolName, Vec<f64>>,
    /// Replicas that the last decision left asked for, over all slots; absent: there was none.
    pub asked: Option<u64>,
}

impl Memory {
    /// Seconds that a start on `pool` takes: nearly the longest of the recent ones.
    #[must_use]
    pub fn start_seconds(&self, pool: &PoolName) -> f64 {
        self.seen_seconds(pool).unwrap_or(START_PRIOR)
    }

    /// The same where a node may have to come first, if no start has been seen.
    pub(crate) fn comes_in(&self, pool: &PoolPlan) -> f64 {
        self.seen_seconds(&pool.name).unwrap_or_else(|| start_with_node(pool))
    }

    /// When each pod that isn't ready should be; for one that no node has room for, a node has to come first.
    pub(crate) fn awaited(&self, pool: &PoolPlan, count: &Count) -> impl Iterator<Item = f64> {
        let takes = self.comes_in(pool);
        let with_node = takes.max(start_with_node(pool));
        let starting = count.starting.iter().map(move |made| made + takes);
        starting.chain(count.unschedulable.iter().map(move |since| since + with_node))
    }

    /// [`Memory::start_seconds`] on the slowest pool that was ever used; `None`: no start has been seen.
    pub(crate) fn slowest_start(&self) -> Option<f64> {
        self.starts.keys().filter_map(|pool| self.seen_seconds(pool)).reduce(f64::max)
    }

    fn seen_seconds(&self, pool: &PoolName) -> Option<f64> {
        let mut sorted = self.starts.get(pool).filter(|starts| !starts.is_empty())?.clone();
        sorted.sort_by(f64::total_cmp);
        Some(sorted[(sorted.len() * 9 / 10).min(sorted.len() - 1)])
    }

    /// Seconds after which a replica on `pool` that isn't ready counts as failed. Where none has been seen to start yet, it
    /// may take as long as on the slowest other pool, and a node may have to come first.
    #[must_use]
    pub fn patience(&self, pool: &PoolPlan) -> f64 {
        let unseen = || {
            let longest = self.slowest_start().map_or(DEADLINE, |slowest| slowest.max(START_PRIOR));
            longest + pool.node_delay()
        };
        self.seen_seconds(&pool.name).unwrap_or_else(unseen) + OVERDUE
    }

    /// Seconds for which a rise or fall is held: one start on the slowest pool in use, or on the first one.
    #[must_use]
    pub fn hold_seconds(&self, plan: &ServicePlan, replicas: &LiteMap<Slot, Count>) -> f64 {
        let used = replicas.iter().filter(|(_, count)| count.desired > 0).map(|(slot, _)| &slot.pool);
        let slowest = used.map(|pool| self.start_seconds(pool)).fold(0.0, f64::max);
        let first = plan.pools.first().map_or(START_PRIOR, |pool| self.start_seconds(&pool.name));
        if slowest > 0.0 { slowest.max(LEAST_HOLD) } else { first.max(LEAST_HOLD) }
    }

    /// Notes a start that has been measured.
    pub fn note_start(&mut self, pool: &PoolName, seconds: f64) {
        if !seconds.is_finite() || seconds < 0.0 {
            return;
        }
        let starts = self.starts.entry(pool.clone()).or_default();
        if starts.len() == STARTS_KEPT {
            starts.remove(0);
        }
        starts.push(seconds.min(3_600.0));
    }

    /// Notes pools whose pods the scheduler refuses, or don't get ready while others do, and forgets pools that the plan no
    /// longer has.
    pub fn observe(&mut self, now: f64, plan: &ServicePlan, replicas: &LiteMap<Slot, Count>) {
        self.refusals.retain(|pool, _| plan.pool(pool).is_some());
        self.starts.retain(|pool, _| plan.pool(pool).is_some());
        let any_ready = replicas.values().any(|count| count.ready > 0);
        for (slot, count) in replicas {
            let Some(pool) = plan.pool(&slot.pool) else { continue };
            let overdue = |made: &f64| now - made > self.patience(pool);
            let fails = any_ready && count.ready == 0 && count.starting.iter().any(overdue);
            if fails || count.unschedulable.iter().any(|since| now - since >= refused_after(pool)) {
                self.refuse(now, &slot.pool);
            }
        }
    }

    fn refuse(&mut self, now: f64, pool: &PoolName) {
        let strikes = match self.refusals.get(pool) {
            // The same stretch of refusal: pods still wait.
            Some(seen) if now < seen.until => seen.strikes,
            Some(seen) if now - seen.until < LONGEST_DISCOUNT => seen.strikes.saturating_add(1),
            _ => 0,
        };
        let discount = (DISCOUNT * 2f64.powi(strikes.min(8) as i32)).min(LONGEST_DISCOUNT);
        self.refusals.insert(pool.clone(), Refusal { at: now, until: now + discount, strikes });
    }

    /// Begins to decide. What replicas there are nobody knows the reason of, so they hold as after a rise: no arrivals
    /// in the first second are no proof that nobody calls.
    pub(crate) fn begin(&mut self, now: f64) {
        if self.asked.is_none() {
            self.raised_at.get_or_insert(now);
        }
    }

    /// Brings what a predecessor remembered up to date with what it wrote since: `asked` replicas, last at `written`.
    pub fn amend(&mut self, now: f64, asked: u64, written: f64) {
        let known = [self.raised_at, self.lowered_at].into_iter().flatten().fold(f64::MIN, f64::max);
        let before = self.asked.replace(asked);
        /// The API server tells whole seconds, a little after the decision.
        const COARSE: f64 = 1.5;
        if !written.is_finite() || written < known.floor() {
            return;
        }
        let written = written.min(now);
        match before.map(|before| asked.cmp(&before)) {
            Some(Ordering::Less) => (self.lowered_at, self.need_at_fall) = (Some(written), None),
            Some(Ordering::Equal) if written < known + COARSE => {}
            // There and back: a rise holds what there is.
            Some(_) => self.raised_at = Some(written),
            None => self.raised_at = Some(now),
        }
    }

    /// The same with no moment after `now`: a predecessor's clock may have been fast.
    pub(crate) fn not_after(mut self, now: f64) -> Self {
        let clamp = |at: Option<f64>| at.filter(|at| at.is_finite()).map(|at| at.min(now));
        (self.raised_at, self.lowered_at) = (clamp(self.raised_at), clamp(self.lowered_at));
        for (_, refusal) in &mut self.refusals {
            let ahead = (refusal.at - now).max(0.0);
            (refusal.at, refusal.until) = (refusal.at - ahead, refusal.until - ahead);
        }
        self
    }

    /// Notes a decision that has been written.
    pub fn record(&mut self, now: f64, before: &LiteMap<Slot, Count>, decision: &Decision) {
        let was: u64 = before.values().map(|count| u64::from(count.desired)).sum();
        self.asked = Some(was);
        let Outcome::To { replicas, .. } = &decision.outcome else { return };
        let is: u64 = before.iter().map(|(slot, count)| u64::from(*replicas.get(slot).unwrap_or(&count.desired))).sum();
        self.asked = Some(is);
        if is > was {
            (self.raised_at, self.beside) = (Some(now), matches!(decision.cause, Cause::Move | Cause::Sooner));
        } else if is < was {
            self.lowered_at = Some(now);
            self.need_at_fall = Some(decision.need);
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
