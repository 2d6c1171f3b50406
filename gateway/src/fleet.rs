//! The table with what lives on between tables: replicas and their connections, limits, counters.
//!
//! A new [`Table`] makes a new [`Live`], which takes over the state of every service, tenant and pod that is still there.
//! Readers load the current one without a lock; who waits for a replica waits for the next one.

use crate::hold::Room;
use crate::inputs::ServiceId;
use crate::limit::Limiter;
use crate::pick::Candidate;
use crate::report::Counters;
use crate::routes::{Endpoint, Route, Table};
use crate::upstream::Channel;
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Consecutive failures after which a replica is left alone for a while.
const FAILURES: u32 = 3;
/// The first such while; it doubles with each further failure, up to [`LONGEST_EJECTION`].
const EJECTION: Duration = Duration::from_secs(1);
const LONGEST_EJECTION: Duration = Duration::from_secs(30);
/// A retry costs ten, a request earns two, and no more than this is saved: retries stay below a fifth of requests.
const BUDGET: i64 = 200;

/// One pod that serves, and what this gateway knows of it.
#[derive(Debug)]
pub struct Replica {
    /// Where and what it is.
    pub endpoint: Endpoint,
    /// Its connections.
    pub channel: Channel,
    /// Counters of its revision on its pool.
    pub counters: Arc<Counters>,
    /// When it came into the table.
    pub since: Instant,
    /// Requests that it has from us.
    pub in_flight: AtomicUsize,
    failures: AtomicU32,
    /// Milliseconds of uptime until which it is ejected.
    ejected_until: AtomicU64,
}

impl Replica {
    /// What the pick needs.
    #[must_use]
    pub fn candidate(&self, now: Duration, tried: bool) -> Candidate {
        Candidate {
            in_flight: self.in_flight.load(Relaxed),
            ejected: millis(now) < self.ejected_until.load(Relaxed),
            tried,
        }
    }

    /// It answered.
    pub fn succeed(&self) {
        self.failures.store(0, Relaxed);
    }

    /// It failed; one that can't be reached at all is ejected at once.
    pub fn fail(&self, now: Duration, unreachable: bool) {
        let before = self.failures.fetch_add(1, Relaxed);
        let over = if unreachable { before + 1 } else { (before + 1).saturating_sub(FAILURES - 1) };
        if over > 0 {
            let time = EJECTION.saturating_mul(1 << (over - 1).min(8)).min(LONGEST_EJECTION);
            self.ejected_until.store(millis(now + time), Relaxed);
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What lives as long as the service is in the table.
#[derive(Debug, Default)]
pub struct ServiceState {
    /// Its counters.
    pub counters: Counters,
    /// Who waits.
    pub room: Room,
    backends: Mutex<BTreeMap<(String, String), Arc<Counters>>>,
    spent: AtomicI64,
}

impl ServiceState {
    /// Counters by revision and pool.
    #[must_use]
    pub fn backends(&self) -> Vec<((String, String), Arc<Counters>)> {
        let backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        backends.iter().map(|(key, counters)| (key.clone(), Arc::clone(counters))).collect()
    }

    /// A request has come: it earns a share of a retry.
    pub fn earn(&self) {
        let _ = self.spent.fetch_update(Relaxed, Relaxed, |spent| Some((spent - 2).max(0)));
    }

    /// Whether one more retry is within the budget.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        self.spent.fetch_update(Relaxed, Relaxed, |spent| (spent + 10 <= BUDGET).then_some(spent + 10)).is_ok()
    }

    fn backend(&self, endpoint: &Endpoint) -> Arc<Counters> {
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(backends.entry((endpoint.revision.clone(), endpoint.pool.clone())).or_default())
    }

    /// Forgets backends that have no replica and aren't among the last few: revisions come and go for as long as a
    /// service lives.
    fn prune(&self, replicas: &[Arc<Replica>]) {
        const MOST: usize = 64;
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        if backends.len() > MOST {
            backends.retain(|key, counters| {
                let used = |r: &Arc<Replica>| r.endpoint.revision == key.0 && r.endpoint.pool == key.1;
                counters.in_flight.load(Relaxed) > 0 || replicas.iter().any(used)
            });
        }
    }
}

/// Limits of a tenant.
#[derive(Debug)]
pub struct TenantState {
    /// Over all its services.
    pub limiter: Arc<Limiter>,
    /// Who waits, over all its services.
    pub room: Arc<Room>,
}

/// A service of the current table.
#[derive(Debug)]
pub struct Service {
    /// What the table says.
    pub route: Route,
    /// Its limit.
    pub limiter: Arc<Limiter>,
    /// What lives on.
    pub state: Arc<ServiceState>,
    /// Pods that serve.
    pub replicas: Vec<Arc<Replica>>,
}

/// The current table, alive.
#[derive(Debug, Default)]
pub struct Live {
    /// Rises with each change.
    pub generation: u64,
    /// The table.
    pub table: Table,
    /// Services.
    pub services: HashMap<ServiceId, Arc<Service>>,
    /// Tenants.
    pub tenants: HashMap<String, Arc<TenantState>>,
}

impl Live {
    fn next(&self, table: Table) -> Self {
        let services = table.services.values().map(|route| (route.id.clone(), self.service(route))).collect();
        let tenants = table.tenants.iter().map(|(name, limit)| {
            let old = self.tenants.get(name);
            let limiter = old.map(|old| &old.limiter).filter(|limiter| limiter.is(limit.as_ref()));
            let limiter = limiter.map_or_else(|| Arc::new(Limiter::new(limit.as_ref())), Arc::clone);
            let room = old.map(|old| Arc::clone(&old.room)).unwrap_or_default();
            (name.clone(), Arc::new(TenantState { limiter, room }))
        });
        Self { generation: self.generation + 1, services, tenants: tenants.collect(), table }
    }

    fn service(&self, route: &Route) -> Arc<Service> {
        let old = self.services.get(&route.id);
        if let Some(old) = old.filter(|old| old.route == *route) {
            return Arc::clone(old);
        }
        let limit = route.rate_limit.as_ref();
        let limiter = old.map(|old| &old.limiter).filter(|limiter| limiter.is(limit));
        let limiter = limiter.map_or_else(|| Arc::new(Limiter::new(limit)), Arc::clone);
        let state = old.map(|old| Arc::clone(&old.state)).unwrap_or_default();
        let keep = |endpoint: &Endpoint| old?.replicas.iter().find(|replica| replica.endpoint == *endpoint).cloned();
        let make = |endpoint: &Endpoint| {
            Arc::new(Replica {
                endpoint: endpoint.clone(),
                channel: Channel::new(endpoint.address),
                counters: state.backend(endpoint),
                since: Instant::now(),
                in_flight: AtomicUsize::new(0),
                failures: AtomicU32::new(0),
                ejected_until: AtomicU64::new(0),
            })
        };
        let replicas: Vec<_> =
            route.endpoints.iter().map(|endpoint| keep(endpoint).unwrap_or_else(|| make(endpoint))).collect();
        state.prune(&replicas);
        Arc::new(Service { route: route.clone(), limiter, state, replicas })
    }
}

/// Holds the current [`Live`].
#[derive(Debug)]
pub struct Fleet {
    live: ArcSwap<Live>,
    generation: watch::Sender<u64>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { live: ArcSwap::default(), generation: watch::Sender::new(0) }
    }
}

impl Fleet {
    /// The current one.
    #[must_use]
    pub fn load(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Tells of each new one.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Swaps the table, unless it is the same.
    pub fn publish(&self, table: Table) {
        let old = self.load();
        if old.generation > 0 && old.table == table {
            return;
        }
        let next = old.next(table);
        let generation = next.generation;
        self.live.store(Arc::new(next));
        self.generation.send_replace(generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_at_most_a_fifth() {
        let state = ServiceState::default();
        let saved = (0..1000).filter(|_| state.may_retry()).count();
        assert_eq!(saved, 20);
        let mut retries = 0;
        for _ in 0..1000 {
            state.earn();
            retries += usize::from(state.may_retry());
        }
        assert_eq!(retries, 200);
    }

    #[test]
    fn a_table_that_is_the_same_changes_nothing() {
        let fleet = Fleet::default();
        fleet.publish(Table::default());
        fleet.publish(Table::default());
        assert_eq!(fleet.load().generation, 1);
        fleet.publish(Table { any_anonymous: true, ..Table::default() });
        assert_eq!(fleet.load().generation, 2);
    }

    #[test]
    fn failures_eject_and_an_answer_forgives() {
        let endpoint =
            Endpoint { uid: "u".into(), address: ([127, 0, 0, 1], 1).into(), revision: "r".into(), pool: "p".into() };
        let replica = Replica {
            channel: Channel::new(endpoint.address),
            endpoint,
            counters: Arc::default(),
            since: Instant::now(),
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        };
        let now = Duration::from_secs(100);
        let ejected = |at| replica.candidate(at, false).ejected;
        replica.fail(now, false);
        replica.fail(now, false);
        assert!(!ejected(now));
        replica.fail(now, false);
        assert!(ejected(now) && !ejected(now + EJECTION));
        replica.succeed();
        replica.fail(now + EJECTION, false);
        assert!(!ejected(now + EJECTION));
        replica.fail(now + EJECTION, true);
        assert!(ejected(now + EJECTION));
    }
}
