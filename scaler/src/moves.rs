//! Replicas that go back to a better pool once that has room.

use crate::decide::Cause;
use crate::draft::Draft;
use crate::room::Room;
use crate::{Count, PoolPlan, Slot, Strategy, place, raise};

/// What a move within a tier saves at least, or is faster by: measured speeds differ by less from time to time.
const GAIN: f64 = 0.1;

/// Whether a replica would be better off on another pool, as far as there is room in the end.
pub fn wants(draft: &mut Draft<'_>, room: &Room<'_>) -> bool {
    better(draft, room).is_some()
}

/// One replica more where a pool is better than the last one in use: the step down that follows leaves that.
pub fn back<'a>(draft: &mut Draft<'a>, room: &mut Room<'a>) {
    if let Some((best, last)) = better(draft, room) {
        raise::put(draft, draft.serving(), best, room);
        draft.because(Cause::Move, format!("{} has room for a replica of {}", best.name, last.name));
    }
}

/// In calm times, the best pool with room and the last one in use, if a replica there can stand for one or more here.
fn better<'a>(draft: &mut Draft<'a>, room: &Room<'_>) -> Option<(&'a PoolPlan, &'a PoolPlan)> {
    let plan = &draft.service.plan;
    if !raise::may_add_beside(draft) || !is_calm(draft) {
        return None;
    }
    let serving = draft.serving();
    let from = place::last(draft, serving)?;
    let (last, best) = (plan.pool(&from.pool)?, place::next(draft, serving, room, None).ok()?);
    if best.name == last.name {
        return None;
    }
    let to = Slot::new(serving, &best.name);
    draft.raise(&to);
    let spared = spares(draft, &from);
    draft.lower(&to, 1);
    (spared > 0 && is_better(draft, best, last, f64::from(spared))).then_some((best, last))
}

/// Load comes, nothing was decided not long ago either, and all that was asked for is ready.
fn is_calm(draft: &Draft<'_>) -> bool {
    let (revisions, memory) = (&draft.service.plan.revisions, &draft.service.memory);
    let settled = |count: &Count| count.ready == count.desired && count.terminating == 0 && count.standbys == 0;
    draft.need.is_some_and(|need| need.floor.is_some() && !need.quiet)
        && draft.blocked.is_none()
        && draft.serving() == &revisions.newest
        && !draft.holds(memory.raised_at)
        && !draft.holds(memory.lowered_at)
        && draft.service.replicas.values().all(settled)
}

/// How many replicas of `slot` load fits without.
fn spares(draft: &mut Draft<'_>, slot: &Slot) -> u32 {
    let held = draft.target(slot);
    let mut spared = 0;
    while spared < held {
        draft.lower(slot, 1);
        if !draft.fits() {
            break;
        }
        spared += 1;
    }
    (draft.target(slot)..held).for_each(|_| draft.raise(slot));
    spared
}

/// Whether one replica on `best` is better than so many on `last`.
fn is_better(draft: &Draft<'_>, best: &PoolPlan, last: &PoolPlan, replicas: f64) -> bool {
    let (to, from) = (draft.speed(&best.name), draft.speed(&last.name));
    if to.meets != from.meets || best.tier != last.tier {
        return (to.meets, last.tier) > (from.meets, best.tier);
    }
    match draft.service.plan.strategy {
        Strategy::Cheapest => best.replica_cost() < (1.0 - GAIN) * replicas * last.replica_cost(),
        Strategy::Fastest => to.lone < (1.0 - GAIN) * from.lone,
        // The order that found them is that of the list.
        Strategy::Ordered => true,
    }
}

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
