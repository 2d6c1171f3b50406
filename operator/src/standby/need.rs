//! Where standby servers are missing, and where there are too many; pure.

use super::view::{Role, Standby};
use crate::scale::Stage;
use millrace_scaler::{Decision, Fleet, Outcome, PoolName, ServiceId, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// A slot of a service.
pub type Place = (ServiceId, Slot);

/// Replicas that are asked for and not ready, after `decisions`, by slot: of revisions that have the requests, on `pools`. A
/// slot of the fleet that misses none is named with 0.
#[must_use]
pub fn missing(fleet: &Fleet, decisions: &[Decision], pools: &BTreeSet<&PoolName>) -> BTreeMap<Place, u32> {
    let mut missing = BTreeMap::new();
    for (service, decision) in fleet.services.iter().zip(decisions) {
        // What was never ready must prove itself with a replica of its own.
        let serving = service.plan.revisions.serving.as_ref();
        for (slot, count) in service.replicas.iter().filter(|(slot, _)| pools.contains(&slot.pool)) {
            let target = match &decision.outcome {
                Outcome::To { replicas, .. } => *replicas.get(slot).unwrap_or(&count.desired),
                Outcome::Hold { .. } => count.desired,
            };
            let wanted = if serving == Some(&slot.revision) { target.saturating_sub(count.ready) } else { 0 };
            missing.insert((service.id.clone(), slot.clone()), wanted);
        }
    }
    missing
}

/// Takes off what standbys stand in for already.
pub fn less_lent(missing: &mut BTreeMap<Place, u32>, standbys: &[Standby]) {
    for (service, slot) in standbys.iter().filter(|standby| stays(standby)).filter_map(Standby::loan) {
        if let Some(count) = missing.get_mut(&(service.clone(), slot.clone())) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Whether it stands in and isn't on its way out.
fn stays(standby: &Standby) -> bool {
    standby.loan().is_some() && !matches!(standby.stage, Stage::Terminating | Stage::Gone)
}

/// Assigned standbys that are to end, each with why. `deployed` tells whether a slot that the fleet doesn't have still has its
/// Deployment: a service whose spec is refused keeps what it has.
#[must_use]
pub fn surplus<'s>(
    standbys: &'s [Standby],
    missing: &BTreeMap<Place, u32>,
    deployed: &dyn Fn(&Place) -> bool,
) -> Vec<(&'s Standby, &'static str)> {
    let mut left = missing.clone();
    let mut ending = Vec::new();
    let mut all: Vec<&Standby> = standbys.iter().filter(|standby| standby.loan().is_some()).collect();
    // Those that answer already are the last to go.
    all.sort_by_key(|standby| (!standby.serves(), matches!(standby.role, Role::Assigned(..)), standby.name.clone()));
    for standby in all {
        let Some((service, slot)) = standby.loan() else { continue };
        let place = (service.clone(), slot.clone());
        match (&standby.stage, left.get_mut(&place)) {
            (Stage::Terminating, _) => {}
            (Stage::Gone, _) => ending.push((standby, "it has ended")),
            _ if standby.restarted => ending.push((standby, "its server has ended")),
            (_, Some(0)) => ending.push((standby, "the service's own replicas suffice")),
            (_, Some(count)) => *count -= 1,
            (_, None) if deployed(&place) => {}
            (_, None) => ending.push((standby, "what it stood in for is gone")),
        }
    }
    ending
}
