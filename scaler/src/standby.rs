//! Who gets the standby servers of a pool, and when the pool gets new ones.
//!
//! A standby stands in for a replica that is asked for and isn't ready yet. It comes on top of what is asked for: so the
//! tenant's quota and the hourly costs must have room for both. The pool's room doesn't change: what the standby holds was
//! set aside before.

use crate::decide::{Decision, Outcome};
use crate::room::Room;
use crate::{Fleet, PoolName, ServiceId, Slot, reason};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A slot with replicas that are asked for and not ready, and that no standby stands in for.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// Whose.
    pub service: ServiceId,
    /// Which slot.
    pub slot: Slot,
    /// How many.
    pub missing: u32,
    /// Whether nobody answers for the service now.
    pub asleep: bool,
    /// Since when it wants them, in seconds on the clock of decisions.
    pub since: f64,
}

/// Standby servers of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supply {
    /// Those that could be given away now.
    pub free: u32,
    /// Those that wait for room in the pool before they start.
    pub gated: u32,
}

/// What becomes of wants and supplies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares {
    /// Who gets one, in order; a slot that gets two is named twice.
    pub given: Vec<(ServiceId, Slot)>,
    /// Who could have got one if a bound allowed it, and which bound.
    pub denied: BTreeMap<ServiceId, String>,
    /// How many new standbys each pool has room for.
    pub opened: BTreeMap<PoolName, u32>,
}

/// Shares out the standby servers of `fleet`, after `decisions` on it.
///
/// The most urgent lane comes first, then who has nobody to answer, then who has waited longest; in each round each gets one.
#[must_use]
pub fn share(fleet: &Fleet, decisions: &[Decision], wants: &[Want], supplies: &BTreeMap<PoolName, Supply>) -> Shares {
    let after = decided(fleet, decisions);
    let mut room = Room::of(&after);
    let mut shares = Shares::default();
    let mut free: BTreeMap<&PoolName, u32> = supplies.iter().map(|(pool, supply)| (pool, supply.free)).collect();
    let service = |want: &Want| after.services.iter().find(|service| service.id == want.service);
    let mut turns: Vec<(&Want, u32)> = wants.iter().map(|want| (want, want.missing)).collect();
    turns.sort_by(|(a, _), (b, _)| {
        let rank = |want: &Want| (service(want).map_or(u8::MAX, |service| service.plan.lane), Reverse(want.asleep));
        rank(a)
            .cmp(&rank(b))
            .then(a.since.total_cmp(&b.since))
            .then(a.service.cmp(&b.service))
            .then(a.slot.cmp(&b.slot))
    });
    while !turns.is_empty() {
        turns.retain_mut(|(want, missing)| {
            let Some(left) = free.get_mut(&want.slot.pool).filter(|left| **left > 0 && *missing > 0) else {
                return false;
            };
            let Some((service, pool)) = service(want).and_then(|own| Some((own, own.plan.pool(&want.slot.pool)?)))
            else {
                return false;
            };
            if let Err(block) = room.check_budget(service, pool) {
                let why = reason::no_room("no standby server beside its replica", &[(pool, block)]);
                shares.denied.insert(want.service.clone(), why);
                return false;
            }
            room.take_budget(service, pool);
            shares.given.push((want.service.clone(), want.slot.clone()));
            (*left, *missing) = (*left - 1, *missing - 1);
            true
        });
    }
    for (pool, supply) in supplies {
        let opened = (0..supply.gated).take_while(|_| room.set_aside(pool)).count();
        if opened > 0 {
            shares.opened.insert(pool.clone(), opened as u32);
        }
    }
    shares
}

/// The fleet with what was decided asked for.
fn decided(fleet: &Fleet, decisions: &[Decision]) -> Fleet {
    let mut after = fleet.clone();
    for (service, decision) in after.services.iter_mut().zip(decisions) {
        let Outcome::To { replicas, .. } = &decision.outcome else { continue };
        for (slot, target) in replicas {
            service.replicas.entry(slot.clone()).or_default().desired = *target;
        }
    }
    after
}

#[cfg(test)]
#[path = "standby_tests.rs"]
mod tests;
