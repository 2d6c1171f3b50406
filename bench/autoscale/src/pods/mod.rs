//! Pods, pools and the bill.
//!
//! Standby servers of a pool hold an accelerator each, always. One serves a service that has pods on their way and none
//! that is ready, until one is; then its process ends, and another one stands by.
//!
//! A pod waits until its pool has an accelerator, then starts for a time that is drawn, then is ready until it is let go
//! or its spot accelerator is taken. Accelerators of a fixed pool are paid from the moment a pod holds them until it is
//! gone; those of a pool that grows from the moment a node is ordered until it is given back.

mod advance;
mod pool;

pub use pool::{PoolSetup, curves};

use crate::random::Random;

/// What is left of a start for a server that stands by anew on the same node, without a model.
const REFILLED: [&str; 4] = ["schedule", "engine", "probe", "route"];

/// Seconds after which the scheduler is seen to refuse a pod.
const GRACE: f64 = 0.0;

/// Where a pod stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// The scheduler finds no accelerator.
    Waiting,
    /// Ready at that time.
    Starting(f64),
    /// Takes requests.
    Ready,
    /// Ends what it has.
    Draining,
}

/// A pod that isn't gone.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its number; they rise.
    pub id: u64,
    /// Its service.
    pub service: usize,
    /// Its pool.
    pub pool: usize,
    /// When it was made.
    pub made: f64,
    /// When it got its accelerator.
    pub bound: f64,
    /// Where it stands.
    pub stage: Stage,
    /// When its spot accelerator is taken back.
    pub taken: f64,
    /// A standby server that serves until another pod does.
    pub bridge: bool,
}

/// What happened to pods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A pod takes requests, so many seconds after it was made.
    Ready(u64, usize, usize, f64),
    /// A pod takes no more requests.
    Drain(u64, usize, usize),
}

/// One pool's accelerators and bill.
#[derive(Clone, Debug, Default)]
struct Account {
    /// Nodes that are there and when each became idle (infinite: it isn't).
    present: u32,
    ordered: Vec<f64>,
    idle_since: f64,
    seconds: f64,
    until: f64,
    /// When each standby server that nobody has is ready.
    spare: Vec<f64>,
}

/// All pods.
#[derive(Debug)]
pub struct Pods {
    /// Those that aren't gone.
    pub all: Vec<Pod>,
    /// Pods that were made while the bill ran.
    pub starts: u64,
    pools: Vec<PoolSetup>,
    accounts: Vec<Account>,
    next_id: u64,
    billed_from: f64,
    random: Random,
    /// Nothing but time moves pods: each pool has all its accelerators, and keeps them.
    plain: bool,
    /// When the next start ends or an accelerator is taken, and whether a pod waits; of the pods as they are.
    soonest: f64,
    waits: bool,
}

impl Pods {
    /// None yet; the bill runs from `billed_from`.
    #[must_use]
    pub fn new(pools: &[PoolSetup], billed_from: f64, random: Random) -> Self {
        let account = |pool: &PoolSetup| Account {
            present: if pool.grows.is_some() { 0 } else { pool.capacity },
            until: billed_from,
            idle_since: f64::INFINITY,
            spare: vec![0.0; pool.standby as usize],
            ..Account::default()
        };
        Self {
            all: Vec::new(),
            starts: 0,
            pools: pools.to_vec(),
            accounts: pools.iter().map(account).collect(),
            next_id: 0,
            billed_from,
            random,
            plain: pools
                .iter()
                .all(|pool| pool.grows.is_none() && pool.spot.is_none() && pool.closed.is_none() && pool.standby == 0),
            soonest: f64::INFINITY,
            waits: false,
        }
    }

    /// Whether time alone, up to `now`, changes nothing.
    #[must_use]
    pub fn rests(&self, now: f64) -> bool {
        self.plain && !self.waits && now < self.soonest
    }

    /// Notes what comes next.
    fn look(&mut self) {
        self.waits = self.all.iter().any(|pod| pod.stage == Stage::Waiting);
        let moments = self.all.iter().map(|pod| match pod.stage {
            Stage::Starting(at) => at.min(pod.taken),
            Stage::Ready => pod.taken,
            _ => f64::INFINITY,
        });
        self.soonest = moments.fold(f64::INFINITY, f64::min);
    }

    /// Pods of a slot that are to live.
    fn live(&self, service: usize, pool: usize) -> impl Iterator<Item = usize> {
        let of =
            move |pod: &Pod| pod.service == service && pod.pool == pool && pod.stage != Stage::Draining && !pod.bridge;
        self.all.iter().enumerate().filter(move |(_, pod)| of(pod)).map(|(index, _)| index)
    }

    /// Puts a ready pod there, at no start.
    pub fn place(&mut self, now: f64, service: usize, pool: usize) -> Event {
        let taken = self.lifetime(now, pool);
        let id = self.next_id;
        self.next_id += 1;
        if self.pools[pool].grows.is_some() {
            self.accounts[pool].present += 1;
        }
        self.all.push(Pod { id, service, pool, made: now, bound: now, stage: Stage::Ready, taken, bridge: false });
        self.look();
        Event::Ready(id, service, pool, 0.0)
    }

    fn lifetime(&mut self, now: f64, pool: usize) -> f64 {
        self.pools[pool].spot.map_or(f64::INFINITY, |mean| now + self.random.exponential(mean))
    }

    /// Makes or lets go pods until `desired` of the slot are to live; in the order of a ReplicaSet: those that wait go
    /// first, then those that start, then the newest.
    pub fn want(&mut self, now: f64, (service, pool): (usize, usize), desired: u32, events: &mut Vec<Event>) {
        let mut live: Vec<usize> = self.live(service, pool).collect();
        for _ in live.len()..desired as usize {
            let id = self.next_id;
            self.next_id += 1;
            self.starts += u64::from(now >= self.billed_from);
            let (made, bound, taken) = (now, f64::INFINITY, f64::INFINITY);
            self.all.push(Pod { id, service, pool, made, bound, stage: Stage::Waiting, taken, bridge: false });
            self.waits = true;
        }
        if live.len() <= desired as usize {
            return;
        }
        let rank = |pod: &Pod| match pod.stage {
            Stage::Waiting => 0,
            Stage::Starting(_) => 1,
            _ => 2,
        };
        live.sort_by_key(|index| (rank(&self.all[*index]), std::cmp::Reverse(self.all[*index].id)));
        let gone: Vec<u64> = live[..live.len() - desired as usize].iter().map(|index| self.all[*index].id).collect();
        for id in gone {
            self.release(now, id, events);
        }
        self.look();
    }

    fn release(&mut self, now: f64, id: u64, events: &mut Vec<Event>) {
        let Some(pod) = self.all.iter_mut().find(|pod| pod.id == id) else { return };
        if pod.stage == Stage::Ready {
            pod.stage = Stage::Draining;
            events.push(Event::Drain(pod.id, pod.service, pod.pool));
        } else if pod.stage != Stage::Draining {
            self.remove(now, id);
        }
    }

    /// A pod is gone.
    pub fn remove(&mut self, now: f64, id: u64) {
        let Some(place) = self.all.iter().position(|pod| pod.id == id) else { return };
        let pod = self.all.remove(place);
        self.look();
        if pod.bridge {
            let start = self.pools[pod.pool].start.draw_phases(&mut self.random, |name| REFILLED.contains(&name));
            self.accounts[pod.pool].spare.push(now + start);
            return;
        }
        if self.pools[pod.pool].grows.is_none() && pod.bound.is_finite() {
            self.accounts[pod.pool].seconds += (now - pod.bound.max(self.billed_from)).max(0.0);
        }
        if pod.taken <= now && self.pools[pod.pool].grows.is_some() {
            self.bill(now, pod.pool);
            self.accounts[pod.pool].present = self.accounts[pod.pool].present.saturating_sub(1);
        }
    }

    fn bill(&mut self, now: f64, pool: usize) {
        let account = &mut self.accounts[pool];
        let nodes = f64::from(account.present) + account.ordered.len() as f64;
        if self.pools[pool].grows.is_some() {
            account.seconds += nodes * (now - account.until).max(0.0);
        }
        account.until = account.until.max(now);
    }

    /// When something happens next by itself.
    #[must_use]
    pub fn next(&self) -> f64 {
        let nodes = self.accounts.iter().flat_map(|account| account.ordered.iter().copied());
        nodes.fold(self.soonest, f64::min)
    }

    /// Since when the scheduler has been seen to refuse this pod.
    #[must_use]
    pub fn refused_since(pod: &Pod) -> Option<f64> {
        (pod.stage == Stage::Waiting).then_some(pod.made + GRACE)
    }

    /// Accelerator-seconds by pool up to `now`.
    #[must_use]
    pub fn seconds(&self, now: f64) -> Vec<f64> {
        let of = |(pool, account): (usize, &Account)| {
            if self.pools[pool].grows.is_some() {
                let nodes = f64::from(account.present) + account.ordered.len() as f64;
                return account.seconds + nodes * (now - account.until).max(0.0);
            }
            let held = self.all.iter().filter(|pod| pod.pool == pool && pod.bound.is_finite() && !pod.bridge);
            let standby = f64::from(self.pools[pool].standby) * (now - self.billed_from).max(0.0);
            standby + account.seconds + held.map(|pod| (now - pod.bound.max(self.billed_from)).max(0.0)).sum::<f64>()
        };
        self.accounts.iter().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests;
