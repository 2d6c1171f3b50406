//! Reasons: sentences with the figures that decided.

use crate::draft::Draft;
use crate::room::Block;
use crate::{PoolPlan, Slot};

/// `3 replicas`.
pub fn replicas(count: u64) -> String {
    if count == 1 { "1 replica".to_owned() } else { format!("{count} replicas") }
}

/// `3 requests`.
pub fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}

/// `12.5/s`.
pub fn rate(per_second: f64) -> String {
    if per_second >= 100.0 { format!("{per_second:.0}/s") } else { format!("{per_second:.1}/s") }
}

/// `31 ms` or `2.5 s`.
pub fn span(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.1} s") }
}

/// `$0.90`.
pub fn money(amount: f64) -> String {
    format!("${amount:.2}")
}

/// `WHY; no room: a (on premises) 0 of 4 free, b (cloud) quota 4 of 4 H100 used`.
pub fn no_room(why: &str, blocks: &[(&PoolPlan, Block)]) -> String {
    if blocks.is_empty() {
        return format!("{why}; no other pool is allowed");
    }
    let each = blocks.iter().map(|(pool, block)| {
        let (name, product) = (&pool.name, &pool.accelerator);
        let place = if pool.location.is_empty() { name.to_string() } else { format!("{name} ({})", pool.location) };
        match block {
            Block::Full { free, total } => format!("{place} {free} of {total} free"),
            Block::UnknownCapacity => format!("{place} has an unknown number of {product}"),
            Block::NotPrepared => format!("{place} is being prepared"),
            Block::Refused { ago } => format!("{place} refused a replica {ago:.0} s ago"),
            Block::Quota { used, allowed } => format!("{place} quota {used} of {allowed} {product} used"),
            Block::TenantCost(cap) => format!("{place} would exceed the tenant's {}/h", money(*cap)),
            Block::ServiceCost(cap) => format!("{place} would exceed maxHourlyCost {}/h", money(*cap)),
            Block::UnknownTenant => format!("{place} has no known tenant to charge"),
        }
    });
    format!("{why}; no room: {}", each.collect::<Vec<_>>().join(", "))
}

/// `+1 on l40s-onprem at $0.90/h, -1 on h100-cloud at $2.10/h`.
pub fn changes(draft: &Draft<'_>) -> String {
    let changed = draft.targets.iter().filter_map(|(slot, target)| {
        let before = i64::from(draft.service.replicas.get(slot).map_or(0, |count| count.desired));
        let difference = i64::from(*target) - before;
        (difference != 0).then(|| change(draft, slot, difference))
    });
    changed.collect::<Vec<_>>().join(", ")
}

fn change(draft: &Draft<'_>, slot: &Slot, difference: i64) -> String {
    let price = draft.service.plan.pool(&slot.pool).map(PoolPlan::replica_cost);
    let price = price.filter(|price| price.is_finite()).map(|price| format!(" at {}/h", money(price)));
    format!("{difference:+} on {}{}", slot.pool, price.unwrap_or_default())
}
