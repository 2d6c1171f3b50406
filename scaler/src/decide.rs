//! One pass over the fleet.

use crate::draft::Draft;
use crate::room::Room;
use crate::{Fleet, ServiceId, Slot, lower, moves, raise, reason, sooner};
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

/// What to do with one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Which one.
    pub service: ServiceId,
    /// What to do.
    pub outcome: Outcome,
    /// The kind of reason: a decision is news when this or the numbers change; figures in the sentence always do.
    pub cause: Cause,
    /// Need in requests per second that it rests on.
    #[serde(with = "crate::figure")]
    pub need: f64,
    /// Whether every gateway was heard.
    pub metrics_fresh: bool,
}

/// Leave it, or set it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Leave the numbers as they are.
    Hold {
        /// Why.
        reason: String,
    },
    /// Set them, for each slot that there is.
    To {
        /// Replicas.
        #[serde(with = "crate::figure::pairs")]
        replicas: LiteMap<Slot, u32>,
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Hold { reason } | Self::To { reason, .. } => reason,
        }
    }
}

/// Kinds of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// Load fits.
    #[default]
    Steady,
    /// Nothing fresh is known.
    Unknown,
    /// The spec says pause.
    Paused,
    /// Wanted, and no pool has room.
    NoRoom,
    /// Wanted, or had, and more than a cap allows.
    Ceiling,
    /// Less than the floor.
    Floor,
    /// Load.
    Load,
    /// Queued or held requests.
    Backlog,
    /// Late answers.
    Late,
    /// What was asked for comes later than on another pool.
    Sooner,
    /// A request held at zero.
    Wake,
    /// Nobody calls.
    Idle,
    /// A new revision's first replica.
    Proof,
    /// Replicas of a revision that no longer serves, and their successors.
    Retire,
    /// Another pool is better.
    Move,
    /// A pool refuses.
    Spill,
    /// A pool is no longer allowed.
    Forbidden,
}

/// Decides for every service of the fleet, in its order; pools, quotas and costs are shared.
#[must_use]
pub fn decide(now: f64, fleet: &Fleet) -> Vec<Decision> {
    let mut room = Room::of(fleet);
    let mut decided: Vec<Option<Decision>> = Vec::with_capacity(fleet.services.len());
    let mut wanting: Vec<(usize, Draft<'_>)> = Vec::new();
    for service in &fleet.services {
        let mut draft = Draft::open(now, service);
        lower::settle(&mut draft);
        raise::spill(&mut draft, &mut room);
        raise::prove(&mut draft, &mut room);
        // Of a large fleet few want more: the others are done.
        if raise::wants(&draft) || sooner::wants(&draft) || moves::wants(&mut draft, &room) {
            wanting.push((decided.len(), draft));
            decided.push(None);
        } else {
            decided.push(Some(finish(draft)));
        }
    }
    // A round gives each at most one, so that none takes all that is left; who waits at zero comes first.
    wanting.sort_by_key(|(_, draft)| draft.total() > 0);
    while wanting.iter_mut().filter_map(|(_, draft)| raise::one(draft, &mut room).then_some(())).count() > 0 {}
    for (index, mut draft) in wanting {
        sooner::one(&mut draft, &mut room);
        moves::back(&mut draft, &mut room);
        decided[index] = Some(finish(draft));
    }
    decided.into_iter().flatten().collect()
}

fn finish(draft: Draft<'_>) -> Decision {
    let desired = |slot: &Slot| draft.service.replicas.get(slot).map_or(0, |count| count.desired);
    let changed = draft.targets.iter().any(|(slot, target)| desired(slot) != *target);
    let (cause, reason) = why(&draft, changed);
    let need = draft.need.map_or(0.0, |need| if need.floor.is_some() { need.ground } else { need.rate });
    let metrics_fresh = draft.need.is_some() && draft.service.signals.as_ref().is_some_and(|signals| signals.complete);
    let outcome = match changed {
        true => Outcome::To { replicas: draft.targets, reason },
        false => Outcome::Hold { reason },
    };
    Decision { service: draft.service.id.clone(), outcome, cause, need, metrics_fresh }
}

fn why(draft: &Draft<'_>, changed: bool) -> (Cause, String) {
    if changed {
        let mut parts: Vec<&str> = draft.causes.iter().map(|(_, why)| why.as_str()).collect();
        let changes = reason::changes(draft);
        parts.push(&changes);
        parts.extend(draft.blocked.iter().map(|(_, why)| why.as_str()));
        let cause = draft.causes.first().map_or(Cause::Steady, |(cause, _)| *cause);
        return (cause, parts.join("; "));
    }
    if let Some(blocked) = &draft.blocked {
        return blocked.clone();
    }
    let replicas = reason::replicas(draft.total());
    match draft.need {
        None => (Cause::Unknown, format!("no fresh figures from the gateways; holds {replicas}")),
        Some(need) if draft.total() == 0 && need.held == 0 => (Cause::Idle, "nobody calls; stays at zero".to_owned()),
        Some(need) => {
            let (load, capacity) = (reason::rate(need.offered), reason::rate(draft.capacity()));
            (Cause::Steady, format!("load {load} of {capacity} sustained by {replicas}"))
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
