//! A replica that comes soon, while load is more than what is ready and what was asked for comes late: spot accelerators have
//! been taken back, or a node has to come first.

use crate::decide::Cause;
use crate::draft::Draft;
use crate::room::Room;
use crate::{Count, PoolPlan, Slot, place, raise, reason};

/// It is worth it only if it comes in less than this part of the time that all that was asked for takes, and so many seconds
/// before that.
const PART: f64 = 0.6;
const GAIN: f64 = 30.0;
/// A replica that does less than this part of what the awaited one does is no stand-in.
const STAND_IN: f64 = 0.5;

/// The last of what was asked for.
struct Last<'a> {
    /// Requests per second that wait for it.
    load: f64,
    pool: &'a PoolPlan,
    /// Seconds until it is ready.
    seconds: f64,
}

/// Whether a replica may be wanted sooner than what was asked for comes, as far as there is room in the end.
pub fn wants(draft: &Draft<'_>) -> bool {
    last(draft).is_some()
}

/// One replica more where it is ready soonest, if it helps.
pub fn one<'a>(draft: &mut Draft<'a>, room: &mut Room<'a>) {
    let Some(last) = last(draft) else { return };
    let (serving, memory) = (draft.serving(), &draft.service.memory);
    let stands_in = |pool: &PoolPlan| {
        let (speed, awaited) = (draft.speed(&pool.name), draft.speed(&last.pool.name));
        let takes = memory.comes_in(pool);
        let soon = takes < PART * last.seconds && takes <= last.seconds - GAIN;
        soon && pool.tier <= last.pool.tier && speed.meets && speed.rate >= STAND_IN * awaited.rate
    };
    let Some(pool) = place::soonest(draft, serving, room, stands_in) else { return };
    let takes = memory.comes_in(pool);
    if draft.capacity_in(takes) >= last.load {
        return;
    }
    let (load, ready) = (reason::rate(last.load), reason::rate(draft.ready_capacity()));
    let (later, sooner) = (reason::span(last.seconds), reason::span(takes));
    raise::put(draft, serving, pool, room);
    let why = format!("load {load} of {ready} ready; what was asked for takes {later}, on {} {sooner}", pool.name);
    draft.because(Cause::Sooner, why);
}

/// The last of what was asked for, if load waits for it while some replica serves.
fn last<'a>(draft: &Draft<'a>) -> Option<Last<'a>> {
    let (plan, serving) = (&draft.service.plan, draft.serving());
    if !raise::may_add_beside(draft) || draft.service.replicas.values().all(|count| count.awaited() == 0) {
        return None;
    }
    let (load, ready) = (draft.need?.offered, draft.ready_capacity());
    if ready <= 0.0 || load <= ready {
        return None;
    }
    let of = |(slot, count): (&Slot, &Count)| {
        let pool = plan.pool(&slot.pool).filter(|_| slot.revision == *serving)?;
        let ready = draft.service.memory.awaited(pool, count).reduce(f64::max)?;
        Some(Last { load, pool, seconds: ready - draft.now })
    };
    let last = draft.service.replicas.iter().filter_map(of).max_by(|a, b| a.seconds.total_cmp(&b.seconds));
    last.filter(|last| last.seconds > GAIN)
}

#[cfg(test)]
#[path = "sooner_tests.rs"]
mod tests;
