//! Where the next replica goes, and which one leaves first.

use crate::draft::Draft;
use crate::room::{Block, Room};
use crate::{PoolName, PoolPlan, Revision, Slot, Strategy};

/// The best pool with room for one more replica of `revision`, or why each has none.
pub fn next<'a>(
    draft: &Draft<'a>,
    revision: &Revision,
    room: &Room<'_>,
    except: Option<&PoolName>,
) -> Result<&'a PoolPlan, Vec<(&'a PoolPlan, Block)>> {
    let mut refused = Vec::new();
    for pool in in_order(draft, revision, wanted(draft)) {
        if except == Some(&pool.name) {
            continue;
        }
        match check(draft, revision, pool, room) {
            Ok(()) => return Ok(pool),
            Err(block) => refused.push((pool, block)),
        }
    }
    Err(refused)
}

/// The pool with room where one more replica of `revision` is ready soonest, of those that are `fit`.
pub fn soonest<'a>(
    draft: &Draft<'a>,
    revision: &Revision,
    room: &Room<'_>,
    fit: impl Fn(&PoolPlan) -> bool,
) -> Option<&'a PoolPlan> {
    let pools = in_order(draft, revision, wanted(draft)).into_iter();
    let open = pools.filter(|pool| fit(pool) && check(draft, revision, pool, room).is_ok());
    let takes = |pool: &PoolPlan| draft.service.memory.comes_in(pool);
    open.min_by(|a, b| takes(a).total_cmp(&takes(b)))
}

/// The replica to give up first: one that the scheduler refuses or that never gets ready, then of the last pool in the
/// order, then one that isn't ready.
pub fn last(draft: &Draft<'_>, revision: &Revision) -> Option<Slot> {
    leaving(draft, revision).into_iter().next()
}

/// Slots that have replicas to give up, in that order.
pub fn leaving(draft: &Draft<'_>, revision: &Revision) -> Vec<Slot> {
    let order = in_order(draft, revision, f64::INFINITY);
    let slots = order.iter().rev().map(|pool| Slot::new(revision, &pool.name));
    let mut held: Vec<Slot> = slots.filter(|slot| draft.target(slot) > 0).collect();
    held.sort_by_key(|slot| draft.failed(slot) == 0);
    held
}

fn check(draft: &Draft<'_>, revision: &Revision, pool: &PoolPlan, room: &Room<'_>) -> Result<(), Block> {
    let service = draft.service;
    if !service.replicas.contains_key(&Slot::new(revision, &pool.name)) {
        return Err(Block::NotPrepared);
    }
    room.check(service, pool)?;
    match service.memory.refusals.get(&pool.name) {
        Some(refusal) if draft.now < refusal.until => Err(Block::Refused { ago: draft.now - refusal.at }),
        _ => Ok(()),
    }
}

/// Requests per second that the next replica is for. A large one is no bargain where a small one is enough.
fn wanted(draft: &Draft<'_>) -> f64 {
    let deficit = draft.deficit();
    if deficit > 0.0 { deficit } else { f64::INFINITY }
}

/// What the strategy orders pools of a tier by, the least first: cost of a request, seconds of a lone one, or place in the
/// list; of what a replica sustains no more than `wanted` counts.
fn measure(draft: &Draft<'_>, pool: &PoolPlan, wanted: f64) -> f64 {
    let plan = &draft.service.plan;
    match plan.strategy {
        Strategy::Cheapest => pool.replica_cost() / draft.speed(&pool.name).rate.min(wanted),
        Strategy::Fastest => draft.speed(&pool.name).lone,
        Strategy::Ordered => plan.pools.iter().position(|listed| listed.name == pool.name).unwrap_or(0) as f64,
    }
}

/// Pools that meet the objective first, then by tier, then as the strategy says, then where replicas are already.
fn in_order<'a>(draft: &Draft<'a>, revision: &Revision, wanted: f64) -> Vec<&'a PoolPlan> {
    let mut pools: Vec<&PoolPlan> = draft.service.plan.pools.iter().collect();
    pools.sort_by(|a, b| {
        let meets = |pool: &PoolPlan| draft.speed(&pool.name).meets;
        let by_strategy = measure(draft, a, wanted).total_cmp(&measure(draft, b, wanted));
        let here = |pool: &PoolPlan| draft.target(&Slot::new(revision, &pool.name)) > 0;
        meets(b).cmp(&meets(a)).then(a.tier.cmp(&b.tier)).then(by_strategy).then(here(b).cmp(&here(a)))
    });
    pools
}
