//! Replicas that come soon, while load is more than what is ready and what was asked for comes late: spot accelerators have
//! been taken back, or a node has to come first.

use crate::decide::Cause;
use crate::draft::Draft;
use crate::room::Room;
use crate::{Count, PoolPlan, Slot, place, raise, reason};

/// It is worth it only if it comes in less than this part of the time that all that was asked for takes.
const WORTH: f64 = 0.6;

/// Adds one replica where it comes soonest, if it helps. Whether it did.
pub fn one<'a>(draft: &mut Draft<'a>, room: &mut Room<'a>) -> bool {
    let Some(late) = late(draft) else { return false };
    if draft.total() >= u64::from(draft.service.plan.bounds.max) {
        return false;
    }
    let serving = draft.serving();
    let memory = &draft.service.memory;
    let meets = |pool: &PoolPlan| draft.speed(&pool.name).meets;
    let soon = |pool: &PoolPlan| pool.tier <= late.tier && memory.comes_in(pool) < WORTH * late.seconds && meets(pool);
    let Some(pool) = place::soonest(draft, serving, room, soon) else { return false };
    let takes = memory.comes_in(pool);
    if draft.capacity_in(takes) >= late.load {
        return false;
    }
    raise::put(draft, serving, pool, room);
    let (load, ready) = (reason::rate(late.load), reason::rate(draft.ready_capacity()));
    let (late, takes) = (reason::span(late.seconds), reason::span(takes));
    let why = format!("load {load} of {ready} ready; what was asked for takes {late}, on {} {takes}", pool.name);
    draft.because(Cause::Sooner, why);
    true
}

/// Whether what is ready is too little, and what was asked for still takes a while.
pub fn wants(draft: &Draft<'_>) -> bool {
    late(draft).is_some()
}

/// The last of what was asked for, and the load that waits for it.
struct Late {
    load: f64,
    seconds: f64,
    tier: u32,
}

fn late(draft: &Draft<'_>) -> Option<Late> {
    let (plan, serving) = (&draft.service.plan, draft.serving());
    if plan.pools.len() < 2 || !draft.service.replicas.values().any(|count| count.awaited().next().is_some()) {
        return None;
    }
    let load = draft.need?.offered;
    let remaining = |(slot, count): (&Slot, &Count)| {
        let pool = plan.pool(&slot.pool).filter(|_| slot.revision == *serving)?;
        let last = count.awaited().fold(f64::NEG_INFINITY, f64::max);
        Some((last + draft.service.memory.comes_in(pool) - draft.now, pool.tier))
    };
    let last = draft.service.replicas.iter().filter_map(remaining).max_by(|a, b| a.0.total_cmp(&b.0));
    let (seconds, tier) = last.filter(|(seconds, _)| *seconds > 0.0)?;
    (draft.ready_capacity() < load).then_some(Late { load, seconds, tier })
}

#[cfg(test)]
#[path = "sooner_tests.rs"]
mod tests;
