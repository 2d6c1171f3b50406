//! What the controller and the scaler tell each other: plans in, decisions out.

use super::builds::Engines;
use millrace_scaler::{Cause, PoolPlan, ServiceId, ServicePlan, TenantName};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What each service may have. The controller sets it whenever it has planned a service.
#[derive(Debug, Default)]
pub struct Plans(RwLock<Planned>);

#[derive(Debug, Default)]
struct Planned {
    plans: BTreeMap<ServiceId, Arc<ServicePlan>>,
    /// Lists of pools, each once: many services may use the same.
    pools: Vec<Arc<[PoolPlan]>>,
    /// Kept when a plan goes: what still runs in the namespace draws on the tenant's quota.
    tenants: BTreeMap<String, TenantName>,
}

impl Plans {
    /// Replaces the plan of `service`.
    pub fn set(&self, service: ServiceId, mut plan: ServicePlan) {
        let mut planned = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match planned.pools.iter().find(|known| **known == plan.pools) {
            Some(known) => plan.pools = known.clone(),
            None => {
                planned.pools.retain(|known| Arc::strong_count(known) > 1);
                planned.pools.push(plan.pools.clone());
            }
        }
        planned.tenants.insert(service.namespace.to_string(), plan.tenant.clone());
        planned.plans.insert(service, Arc::new(plan));
    }

    /// Forgets `service`: it is deleted, or its spec is refused. Its replicas stay as they are.
    pub fn remove(&self, service: &ServiceId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).plans.remove(service);
    }

    /// All plans, now.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<ServiceId, Arc<ServicePlan>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).plans.clone()
    }

    /// Whose each namespace is.
    pub(super) fn tenants(&self) -> BTreeMap<String, TenantName> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).tenants.clone()
    }
}

/// The last decision on a service that was news.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleState {
    /// Replicas asked for, over all pools.
    pub desired: u32,
    /// A sentence with the figures that decided.
    pub reason: String,
    /// When, RFC 3339.
    pub at: String,
    /// Whether every gateway's report was fresh, now.
    pub metrics_fresh: bool,
    /// The kind of reason.
    pub cause: Cause,
    /// Replicas that build another engine than serves, now.
    pub engines: Engines,
    /// Why it gets no standby server that it could use, now.
    pub cold: Option<String>,
}

/// What was decided, by service.
#[derive(Debug, Default)]
pub struct ScaleView(RwLock<BTreeMap<ServiceId, ScaleState>>);

impl ScaleView {
    /// The state of `service`; `None` before the first decision.
    #[must_use]
    pub fn get(&self, service: &ServiceId) -> Option<ScaleState> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }

    /// Puts `state` in place if it is news: another number, another kind of reason, or a change of freshness,
    /// engines or standby servers. Figures in the sentence change all the time, and are none; nor is calm after a change, whose reason stays to be read.
    pub(super) fn put(&self, service: &ServiceId, state: ScaleState) -> bool {
        let mut states = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = states.get(service);
        let decided = known.is_none_or(|known| {
            let settled = is_calm(state.cause) && !is_trouble(known.cause);
            known.desired != state.desired || (known.cause != state.cause && !settled)
        });
        let now = |state: &ScaleState| (state.metrics_fresh, state.engines, state.cold.clone());
        let news = decided || known.is_some_and(|known| now(known) != now(&state));
        if news {
            let kept = known.filter(|_| !decided).cloned();
            let (metrics_fresh, engines, cold) = now(&state);
            let updated = kept.map_or(state, |known| ScaleState { metrics_fresh, engines, cold, ..known });
            states.insert(service.clone(), updated);
        }
        news
    }

    /// Forgets services that are gone.
    pub(super) fn retain(&self, keep: impl Fn(&ServiceId) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|service, _| keep(service));
    }
}

fn is_calm(cause: Cause) -> bool {
    matches!(cause, Cause::Steady | Cause::Idle)
}

fn is_trouble(cause: Cause) -> bool {
    matches!(cause, Cause::NoRoom | Cause::Ceiling | Cause::Paused | Cause::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_share_lists_of_pools() {
        let plans = Plans::default();
        let plan = |name: &str| {
            let pool = PoolPlan { name: name.into(), ..PoolPlan::default() };
            ServicePlan { pools: [pool].into(), ..ServicePlan::default() }
        };
        for (service, pool) in [("a", "l40s"), ("b", "l40s"), ("c", "h100")] {
            plans.set(ServiceId::new("n", service), plan(pool));
        }
        let pools = |service| plans.snapshot()[&ServiceId::new("n", service)].pools.clone();
        assert!(Arc::ptr_eq(&pools("a"), &pools("b")) && !Arc::ptr_eq(&pools("a"), &pools("c")));
        plans.set(ServiceId::new("n", "c"), plan("l4"));
        plans.set(ServiceId::new("n", "d"), plan("a100"));
        assert_eq!(plans.0.read().unwrap().pools.len(), 3, "what nobody uses is forgotten");
    }

    fn state(desired: u32, reason: &str, cause: Cause, metrics_fresh: bool) -> ScaleState {
        ScaleState {
            desired,
            reason: reason.to_owned(),
            at: reason.to_owned(),
            metrics_fresh,
            cause,
            engines: Engines::default(),
            cold: None,
        }
    }

    #[test]
    fn figures_alone_are_no_news() {
        let (view, id) = (ScaleView::default(), ServiceId::new("a", "b"));
        assert!(view.put(&id, state(1, "load 1/s", Cause::Steady, true)));
        assert!(!view.put(&id, state(1, "load 2/s", Cause::Steady, true)));
        assert_eq!(view.get(&id).unwrap().reason, "load 1/s");
        assert!(view.put(&id, state(1, "load 3/s", Cause::Steady, false)));
        let kept = view.get(&id).unwrap();
        assert_eq!((kept.reason.as_str(), kept.metrics_fresh), ("load 1/s", false));
        assert!(view.put(&id, state(2, "load 9/s", Cause::Load, false)));
        assert!(!view.put(&id, state(2, "load 9/s", Cause::Steady, false)), "the reason for 2 stays");
        assert_eq!(view.get(&id).unwrap().cause, Cause::Load);
        assert!(view.put(&id, state(2, "no room", Cause::NoRoom, false)));
        assert!(view.put(&id, state(2, "load 9/s", Cause::Steady, false)), "there is room again");
        let building = Engines { building: 1, failed: 0 };
        assert!(view.put(&id, ScaleState { engines: building, ..state(2, "load 9/s", Cause::Steady, false) }));
        assert_eq!(view.get(&id).unwrap().engines, building);
        view.retain(|_| false);
        assert_eq!(view.get(&id), None);
    }

    #[test]
    fn plans_are_replaced_and_forgotten() {
        let (plans, id) = (Plans::default(), ServiceId::new("a", "b"));
        plans.set(id.clone(), ServicePlan { max_batch: 1, ..ServicePlan::default() });
        plans.set(id.clone(), ServicePlan { max_batch: 2, ..ServicePlan::default() });
        assert_eq!(plans.snapshot()[&id].max_batch, 2);
        plans.remove(&id);
        assert!(plans.snapshot().is_empty());
    }
}
