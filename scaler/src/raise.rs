//! More replicas, each paid from the room that is left.

use crate::decide::Cause;
use crate::draft::Draft;
use crate::forecast::Driver;
use crate::room::Room;
use crate::{PoolPlan, Revision, Slot, place, reason};

/// Moves replicas that the scheduler has refused for too long to the next pool with room.
pub fn spill<'a>(draft: &mut Draft<'a>, room: &mut Room<'a>) {
    if draft.service.plan.bounds.pause {
        return;
    }
    let refused = draft.targets.keys().map(|slot| (slot.clone(), draft.refused(slot)));
    let refused: Vec<(Slot, u32)> = refused.filter(|(slot, count)| *count > 0 && draft.allows(&slot.pool)).collect();
    for (slot, count) in refused {
        for _ in 0..count {
            if is_spare(draft, &slot) {
                draft.lower(&slot, 1);
                draft.because(Cause::Spill, format!("{} refuses a replica, and load fits without it", slot.pool));
                continue;
            }
            let why = format!("{} has refused {} for 10 s", slot.pool, reason::replicas(u64::from(count)));
            match place::next(draft, &slot.revision, room, Some(&slot.pool)) {
                Ok(pool) => {
                    draft.lower(&slot, 1);
                    put(draft, &slot.revision, pool, room);
                    draft.because(Cause::Spill, why);
                }
                Err(blocks) => {
                    draft.blocked = Some((Cause::NoRoom, reason::no_room(&why, &blocks)));
                    make_room(draft, &slot.revision, Some(&slot));
                    break;
                }
            }
        }
    }
}

/// Whether load fits without a refused replica: once a rise isn't held any more, or if that was one beside what load asks for.
fn is_spare(draft: &Draft<'_>, slot: &Slot) -> bool {
    let serving = draft.serving();
    let memory = &draft.service.memory;
    slot.revision == *serving
        && (memory.beside || !draft.holds(memory.raised_at))
        && draft.of(serving) > u64::from(draft.service.plan.bounds.least())
        && (draft.fits() || memory.beside && draft.need.is_some() && draft.deficit() == 0.0)
}

/// A revision that serves nobody yet gets one replica to prove itself.
pub fn prove<'a>(draft: &mut Draft<'a>, room: &mut Room<'a>) {
    let revisions = &draft.service.plan.revisions;
    let newest = &revisions.newest;
    let waits = revisions.serving.as_ref() != Some(newest) && (revisions.serving.is_some() || !revisions.proven);
    if draft.service.plan.bounds.pause || !waits || draft.of(newest) > 0 {
        return;
    }
    let why = format!("revision {newest} proves itself");
    let max = draft.service.plan.bounds.max;
    if draft.total() >= u64::from(max) {
        draft.blocked = Some((Cause::Ceiling, format!("{why}: no room under maxReplicas {max}")));
        make_room(draft, newest, None);
        return;
    }
    match place::next(draft, newest, room, None) {
        Ok(pool) => {
            put(draft, newest, pool, room);
            draft.because(Cause::Proof, why);
        }
        Err(blocks) => {
            draft.blocked = Some((Cause::NoRoom, reason::no_room(&why, &blocks)));
            make_room(draft, newest, None);
        }
    }
}

/// Without a spare accelerator a new revision would wait for ever: the serving one gives up one of several replicas,
/// once, and never its last.
fn make_room(draft: &mut Draft<'_>, newest: &Revision, stuck: Option<&Slot>) {
    let serving = draft.serving();
    let leaves = draft.service.replicas.values().any(|count| count.terminating > 0);
    let paced = leaves || draft.holds(draft.service.memory.lowered_at);
    if newest == serving || paced || draft.of(serving) < 2 || draft.ready(serving) < 2 {
        return;
    }
    let beside = stuck.map(|slot| Slot::new(serving, &slot.pool)).filter(|slot| draft.target(slot) > 0);
    if let Some(slot) = beside.or_else(|| place::last(draft, serving)) {
        draft.lower(&slot, 1);
        draft.because(Cause::Proof, format!("revision {newest} needs room to prove itself"));
    }
}

/// Whether one more replica is wanted, wherever it may go.
pub fn wants(draft: &Draft<'_>) -> bool {
    may_rise(draft) && wanted(draft).is_some()
}

fn may_rise(draft: &Draft<'_>) -> bool {
    let revisions = &draft.service.plan.revisions;
    !draft.done && !draft.service.plan.bounds.pause && (revisions.serving.is_some() || revisions.proven)
}

/// Whether one may be added beside what load asks for: there is another pool, and nothing was decided in this pass.
pub fn may_add_beside(draft: &Draft<'_>) -> bool {
    let plan = &draft.service.plan;
    plan.pools.len() > 1 && may_rise(draft) && draft.causes.is_empty() && draft.total() < u64::from(plan.bounds.max)
}

/// Adds one replica if one is wanted and has a place. Whether it did.
pub fn one<'a>(draft: &mut Draft<'a>, room: &mut Room<'a>) -> bool {
    if !may_rise(draft) {
        return false;
    }
    let Some((cause, why)) = wanted(draft) else { return false };
    let max = draft.service.plan.bounds.max;
    if draft.total() >= u64::from(max) {
        draft.blocked = Some((Cause::Ceiling, format!("{why}, and maxReplicas {max} is reached")));
        draft.done = true;
        return false;
    }
    let serving = draft.serving();
    match place::next(draft, serving, room, None) {
        Ok(pool) => {
            put(draft, serving, pool, room);
            draft.because(cause, why);
            true
        }
        Err(blocks) => {
            draft.blocked = Some((Cause::NoRoom, reason::no_room(&why, &blocks)));
            draft.done = true;
            false
        }
    }
}

/// Adds one replica there, and pays for it.
pub fn put<'a>(draft: &mut Draft<'a>, revision: &Revision, pool: &'a PoolPlan, room: &mut Room<'a>) {
    draft.raise(&Slot::new(revision, &pool.name));
    room.take(draft.service, pool, 1);
}

/// Why one more replica of the serving revision is wanted.
fn wanted(draft: &Draft<'_>) -> Option<(Cause, String)> {
    let (serving, bounds) = (draft.serving(), &draft.service.plan.bounds);
    let replicas = draft.of(serving);
    let held = draft.need.map_or(0, |need| need.held);
    if replicas == 0 && held > 0 {
        return Some((Cause::Wake, format!("{} held at zero", reason::requests(held))));
    }
    if replicas < draft.carry {
        return Some((Cause::Retire, format!("{serving} takes over {}", reason::replicas(draft.carry))));
    }
    if draft.total() > 0 && replicas == 0 && draft.forbidden() {
        return Some((Cause::Forbidden, "its pool is no longer allowed".to_owned()));
    }
    let floor = u64::from(bounds.min.max(bounds.min_warm));
    if replicas < floor {
        let field = if bounds.min >= bounds.min_warm { "minReplicas" } else { "minWarm" };
        return Some((Cause::Floor, format!("{field} {floor}")));
    }
    // Nothing asleep is woken by a rate: requests of a minute ago have been answered.
    let need = draft.need.filter(|_| replicas > 0)?;
    let capacity = draft.spared_capacity();
    if capacity >= need.rate * (1.0 - 1e-9) {
        return None;
    }
    let memory = &draft.service.memory;
    let step = draft.service.plan.pools.iter().map(|pool| draft.speed(&pool.name).rate).fold(f64::INFINITY, f64::min);
    if draft.holds(memory.lowered_at) && need.rate - memory.need_at_fall.unwrap_or(0.0) <= step {
        return None;
    }
    let figures = format!("load {} of {} sustained", reason::rate(need.offered), reason::rate(capacity));
    Some(match need.driver {
        Driver::Arrivals => (Cause::Load, figures),
        Driver::Forecast => (Cause::Load, format!("{figures}; {} may come", reason::rate(need.rate))),
        Driver::Late => (Cause::Late, format!("answers late with {} in flight", reason::requests(need.in_flight))),
        Driver::Backlog => {
            let (wait, allowed) = (reason::span(need.wait), reason::span(need.allowed));
            (Cause::Backlog, format!("queue wait {wait} of {allowed} allowed"))
        }
    })
}
