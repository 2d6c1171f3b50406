//! Fewer replicas: over a cap, of a revision that retires, idle, or not needed.
//!
//! Lowering makes no room in the same pass: pods on their way out still hold their accelerators.

use crate::decide::Cause;
use crate::draft::Draft;
use crate::{Count, Slot, course, place, reason};

/// Lowers what has to be, and what may be.
pub fn settle(draft: &mut Draft<'_>) {
    trim_number(draft);
    trim_cost(draft);
    if draft.service.plan.bounds.pause {
        let replicas = reason::replicas(draft.total());
        draft.blocked = Some((Cause::Paused, format!("scaling is paused at {replicas}")));
        return;
    }
    retire(draft);
    leave_forbidden_pools(draft);
    if !to_zero(draft) {
        step_down(draft);
    }
}

/// Slots in the order in which a cap takes them: retired revisions, forbidden pools, the unproven one, the serving one.
fn expendable(draft: &Draft<'_>) -> Option<Slot> {
    let (serving, newest) = (draft.serving(), &draft.service.plan.revisions.newest);
    let held = || draft.targets.iter().filter(|(_, target)| **target > 0).map(|(slot, _)| slot);
    let retired = held().find(|slot| slot.revision != *serving && slot.revision != *newest);
    let forbidden = || held().find(|slot| !draft.allows(&slot.pool));
    let unproven = || (newest != serving).then(|| place::last(draft, newest)).flatten();
    retired.or_else(forbidden).cloned().or_else(unproven).or_else(|| place::last(draft, serving))
}

fn trim_number(draft: &mut Draft<'_>) {
    let max = u64::from(draft.service.plan.bounds.max);
    while draft.total() > max {
        let Some(slot) = expendable(draft) else { return };
        let excess = u32::try_from(draft.total() - max).unwrap_or(u32::MAX);
        draft.lower(&slot, excess.min(draft.target(&slot)).max(1));
        draft.because(Cause::Ceiling, format!("more than maxReplicas {max}"));
    }
}

fn trim_cost(draft: &mut Draft<'_>) {
    let Some(cap) = draft.service.plan.max_hourly_cost else { return };
    loop {
        let costs = draft.service.plan.pools.iter().flat_map(|pool| {
            let targets = draft.targets.iter().filter(|(slot, target)| slot.pool == pool.name && **target > 0);
            targets.map(|(slot, target)| (slot.clone(), *target, pool.replica_cost()))
        });
        let costs: Vec<(Slot, u32, f64)> = costs.collect();
        let total: f64 = costs.iter().map(|(_, target, each)| f64::from(*target) * each).sum();
        let serving = draft.serving();
        let dearest = costs.iter().max_by(|a, b| {
            let (left, right) = (a.0.revision != *serving, b.0.revision != *serving);
            left.cmp(&right).then(a.2.total_cmp(&b.2))
        });
        // A price or cap that is no number takes nothing away; it lets nothing in either.
        let Some((slot, target, each)) = dearest.filter(|_| total > cap + 1e-9) else { return };
        // Where a figure is infinite the quotient is no number: one at a time.
        let excess = ((total - cap - 1e-9) / each).ceil().clamp(1.0, f64::from(*target)) as u32;
        draft.lower(slot, excess.max(1));
        draft.because(Cause::Ceiling, format!("{}/h is more than maxHourlyCost {cap:.2}", reason::money(total)));
    }
}

/// Replicas of a revision that gets no requests and won't.
fn retire(draft: &mut Draft<'_>) {
    let (serving, newest) = (draft.serving(), &draft.service.plan.revisions.newest);
    let old = draft
        .targets
        .iter()
        .filter(|(slot, target)| **target > 0 && slot.revision != *serving && slot.revision != *newest);
    let old: Vec<(Slot, u32)> = old.map(|(slot, target)| (slot.clone(), *target)).collect();
    for (slot, target) in old {
        let moved = draft.service.plan.revisions.serving.is_some();
        let gone = &slot.revision;
        let why =
            if moved { format!("requests go to {serving}; {gone} retires") } else { format!("{gone} is superseded") };
        draft.lower(&slot, target);
        draft.because(Cause::Retire, why);
        // The load that those replicas carried is on the new revision from now on.
        if moved && !draft.need.is_some_and(|need| need.quiet) {
            draft.carry += u64::from(target);
        }
    }
}

/// Pools that the plan no longer allows are left as soon as a replica is ready elsewhere, or if there is no other way.
fn leave_forbidden_pools(draft: &mut Draft<'_>) {
    let forbidden = draft.targets.iter().filter(|(slot, target)| **target > 0 && !draft.allows(&slot.pool));
    let forbidden: Vec<(Slot, u32)> = forbidden.map(|(slot, target)| (slot.clone(), *target)).collect();
    let Some((first, _)) = forbidden.first() else { return };
    if draft.service.plan.pools.is_empty() {
        return;
    }
    let full = draft.total() >= u64::from(draft.service.plan.bounds.max) && draft.of(draft.serving()) == 0;
    let why = format!("pool {} is no longer allowed", first.pool);
    if draft.ready(draft.serving()) > 0 {
        for (slot, target) in &forbidden {
            draft.lower(slot, *target);
        }
        draft.because(Cause::Forbidden, why);
    } else if full {
        draft.lower(first, 1);
        draft.because(Cause::Forbidden, why);
    }
}

/// To zero, with fresh proof from every gateway that nobody has called for long enough.
fn to_zero(draft: &mut Draft<'_>) -> bool {
    let plan = &draft.service.plan;
    let allowed = plan.bounds.min == 0 && plan.bounds.min_warm == 0;
    let settled = plan.revisions.proven && plan.revisions.serving.as_ref() == Some(&plan.revisions.newest);
    let Some(idle) = draft.need.and_then(|need| need.idle_for) else { return false };
    if !allowed || !settled || draft.holds(draft.service.memory.raised_at) || draft.total() == 0 {
        return false;
    }
    if idle.is_finite() && idle >= plan.bounds.idle_after && plan.bounds.idle_after >= 0.0 {
        draft.targets.iter_mut().for_each(|(_, target)| *target = 0);
        draft.carry = 0;
        draft.because(Cause::Idle, format!("no request for {idle:.0} s at any gateway"));
        return true;
    }
    false
}

/// One replica less, or of many a few, if load still fits; down to the floor at once if there is none.
fn step_down(draft: &mut Draft<'_>) {
    let (serving, bounds) = (draft.serving(), &draft.service.plan.bounds);
    let least = u64::from(bounds.least());
    let Some((need, floor)) = draft.need.and_then(|need| Some((need, need.floor?))) else { return };
    let memory = &draft.service.memory;
    // What waits for a node isn't there either; what failed never will be.
    let comes =
        |(slot, count): (&Slot, &Count)| slot.revision == *serving && count.awaited() > draft.failed(slot) as usize;
    let starts = draft.service.replicas.iter().any(comes);
    let paced = !need.quiet && (draft.holds(memory.lowered_at) || starts);
    if draft.holds(memory.raised_at) || paced || draft.carry > 0 {
        return;
    }
    let before = draft.of(serving);
    let step = course::down(before as f64) as u64;
    while draft.of(serving) > least {
        // Where a large one is needed, a small one of another pool may not be.
        let fits = place::leaving(draft, serving).into_iter().find(|slot| {
            draft.lower(slot, 1);
            let fits = draft.fits();
            if !fits {
                draft.raise(slot);
            }
            fits
        });
        if fits.is_none() || !need.quiet && before - draft.of(serving) >= step {
            break;
        }
    }
    let left = draft.of(serving);
    if left < before {
        let load = reason::rate(floor);
        draft.because(Cause::Load, format!("load {load} with margin fits {left} of {before} replicas"));
    }
}
