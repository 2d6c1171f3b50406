//! Pods, pools and the bill.
//!
//! Standby servers of a pool hold an accelerator each, always. One serves a service that has pods on their way and none
//! that is ready, until one is; then its process ends, and another one stands by.
//!
//! A pod waits until its pool has an accelerator, then starts for a time that is drawn, then is ready until it is let go
//! or its spot accelerator is taken. Accelerators of a fixed pool are paid from the moment a pod holds them until it is
//! gone; those of a pool that grows from the moment a node is ordered until it is given back.

use crate::model::{Curve, Start};
use crate::random::Random;

/// A pool.
#[derive(Clone, Debug)]
pub struct PoolSetup {
    /// Its name.
    pub name: String,
    /// Its product.
    pub accelerator: String,
    /// Accelerators that there are, or may be grown to.
    pub capacity: u32,
    /// Dollars for one accelerator and hour.
    pub hourly: f64,
    /// Preference of its location: lower first.
    pub tier: u32,
    /// How long a start takes once the accelerator is there.
    pub start: Start,
    /// Seconds that a node takes to come; absent: all are there.
    pub grows: Option<f64>,
    /// Mean seconds until a spot accelerator is taken back.
    pub spot: Option<f64>,
    /// Between these times it gives nothing, and spot accelerators are taken back when it begins.
    pub closed: Option<(f64, f64)>,
    /// Standby servers, shared by all services.
    pub standby: u32,
}

/// What is left of a start once a standby server has a model: its image and process are there, the model's files and its
/// built engine lie on the node, and the operator sees it ready at once.
const ASSIGNED: [&str; 3] = ["load", "warm-up", "route"];
/// What is left of a start for a server that stands by anew on the same node, without a model.
const REFILLED: [&str; 4] = ["schedule", "engine", "probe", "route"];

impl PoolSetup {
    /// A pool with room enough and a fixed price.
    #[must_use]
    pub fn plain(name: &str, capacity: u32, hourly: f64, start: Start) -> Self {
        let (name, accelerator) = (name.to_owned(), name.to_uppercase());
        Self { name, accelerator, capacity, hourly, tier: 0, start, grows: None, spot: None, closed: None, standby: 0 }
    }

    fn open(&self, now: f64) -> bool {
        !self.closed.is_some_and(|(from, to)| now >= from && now < to)
    }
}

/// Seconds that a node without a pod is kept.
const NODE_KEPT: f64 = 60.0;
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

    /// Lets happen what is due.
    pub fn pass(&mut self, now: f64, events: &mut Vec<Event>) {
        if self.rests(now) {
            return;
        }
        for pool in 0..self.pools.len() {
            self.nodes(now, pool);
            self.schedule(now, pool);
        }
        let mut taken = Vec::new();
        for pod in &mut self.all {
            let closes = self.pools[pod.pool].spot.is_some() && !self.pools[pod.pool].open(now);
            if pod.stage != Stage::Draining && pod.stage != Stage::Waiting && (pod.taken <= now || closes) {
                pod.taken = now;
                taken.push(pod.id);
            } else if matches!(pod.stage, Stage::Starting(at) if at <= now) {
                pod.stage = Stage::Ready;
                // How fast a standby server is says nothing of starts.
                let seconds = if pod.bridge { f64::NAN } else { now - pod.made };
                events.push(Event::Ready(pod.id, pod.service, pod.pool, seconds));
            }
        }
        for id in taken {
            self.release(now, id, events);
        }
        for pool in 0..self.pools.len() {
            if self.pools[pool].standby > 0 {
                self.stand_in(now, pool, events);
            }
        }
        self.look();
    }

    /// Standby servers serve who waits for a pod, and nobody else.
    fn stand_in(&mut self, now: f64, pool: usize, events: &mut Vec<Event>) {
        let own = |service, ready: bool| {
            let of = |pod: &&Pod| pod.service == service && !pod.bridge && pod.stage != Stage::Draining;
            self.all.iter().filter(of).any(|pod| (pod.stage == Stage::Ready) == ready)
        };
        let waits = |service| own(service, false) && !own(service, true);
        let bridged = |service| self.all.iter().any(|pod| pod.bridge && pod.service == service);
        let done = self.all.iter().filter(|pod| pod.bridge && pod.stage != Stage::Draining && !waits(pod.service));
        let done: Vec<u64> = done.map(|pod| pod.id).collect();
        let mut without: Vec<usize> = self.all.iter().filter(|pod| pod.pool == pool).map(|pod| pod.service).collect();
        without.sort_unstable();
        without.dedup();
        without.retain(|service| waits(*service) && !bridged(*service));
        for id in done {
            self.release(now, id, events);
        }
        for service in without {
            let Some(place) = self.accounts[pool].spare.iter().position(|ready| *ready <= now) else { return };
            self.accounts[pool].spare.remove(place);
            let start = self.pools[pool].start.draw_phases(&mut self.random, |name| ASSIGNED.contains(&name));
            let id = self.next_id;
            self.next_id += 1;
            let stage = Stage::Starting(now + start);
            self.all.push(Pod { id, service, pool, made: now, bound: now, stage, taken: f64::INFINITY, bridge: true });
        }
    }

    /// Nodes come, are ordered for pods that wait, and go when nothing needs them.
    fn nodes(&mut self, now: f64, pool: usize) {
        let Some(delay) = self.pools[pool].grows else { return };
        self.bill(now, pool);
        let pods = |waiting: bool| {
            self.all.iter().filter(|p| p.pool == pool && (p.stage == Stage::Waiting) == waiting).count() as u32
        };
        let (waiting, holding) = (pods(true), pods(false));
        let open = self.pools[pool].open(now);
        let capacity = self.pools[pool].capacity;
        let account = &mut self.accounts[pool];
        let came = account.ordered.iter().filter(|at| **at <= now).count();
        account.ordered.retain(|at| *at > now);
        account.present += came as u32;
        let coming = account.ordered.len() as u32;
        let wanted = (holding + waiting).min(capacity);
        for _ in (account.present + coming)..wanted {
            if open {
                account.ordered.push(now + delay);
            }
        }
        if account.present <= holding + waiting {
            account.idle_since = f64::INFINITY;
        } else if account.idle_since.is_infinite() {
            account.idle_since = now;
        } else if now - account.idle_since >= NODE_KEPT {
            account.present = holding + waiting;
            account.idle_since = f64::INFINITY;
        }
    }

    fn schedule(&mut self, now: f64, pool: usize) {
        if !self.pools[pool].open(now) {
            return;
        }
        let held = self.all.iter().filter(|pod| pod.pool == pool && pod.stage != Stage::Waiting).count() as u32;
        let spare = self.accounts[pool].spare.len() as u32;
        let mut free = self.accounts[pool].present.saturating_sub(held + spare);
        for index in 0..self.all.len() {
            if free == 0 {
                return;
            }
            if self.all[index].pool == pool && self.all[index].stage == Stage::Waiting {
                let start = self.pools[pool].start.draw(&mut self.random);
                let taken = self.lifetime(now, pool);
                let pod = &mut self.all[index];
                (pod.bound, pod.taken, pod.stage) = (now, taken, Stage::Starting(now + start));
                free -= 1;
            }
        }
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

/// Service times on each pool.
#[must_use]
pub fn curves(model: &crate::model::ServiceModel, pools: &[PoolSetup]) -> Vec<Curve> {
    let of = |pool: &PoolSetup| if pool.accelerator == "H100" { model.curve.faster(model.h100) } else { model.curve };
    pools.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(capacity: u32, seconds: f64) -> PoolSetup {
        PoolSetup::plain("l40s", capacity, 1.0, Start { spread: 0.0, ..Start::of(seconds) })
    }

    fn pods(pool: PoolSetup) -> Pods {
        Pods::new(&[pool], 0.0, Random::new(1, 1))
    }

    #[test]
    fn a_start_is_paid_and_a_pod_that_waits_is_not() {
        let mut pods = pods(exact(1, 10.0));
        let mut events = Vec::new();
        pods.want(0.0, (0, 0), 2, &mut events);
        pods.pass(0.0, &mut events);
        assert!((pods.next() - 10.0).abs() < 1e-9);
        pods.pass(10.0, &mut events);
        assert!(matches!(events.as_slice(), [Event::Ready(0, 0, 0, seconds)] if (seconds - 10.0).abs() < 1e-9));
        assert_eq!(pods.all[1].stage, Stage::Waiting);
        assert!((pods.seconds(100.0)[0] - 100.0).abs() < 1e-9);
        pods.want(100.0, (0, 0), 1, &mut events);
        assert_eq!(pods.all.len(), 1, "the one that waits goes first");
        pods.want(100.0, (0, 0), 0, &mut events);
        assert_eq!(events.last(), Some(&Event::Drain(0, 0, 0)));
        pods.remove(105.0, 0);
        assert!((pods.seconds(500.0)[0] - 105.0).abs() < 1e-9);
    }

    #[test]
    fn a_pool_that_grows_is_paid_by_node() {
        let mut pods = pods(PoolSetup { grows: Some(100.0), ..exact(4, 10.0) });
        let mut events = Vec::new();
        pods.want(0.0, (0, 0), 1, &mut events);
        pods.pass(0.0, &mut events);
        assert_eq!(pods.next(), 100.0);
        pods.pass(100.0, &mut events);
        pods.pass(110.0, &mut events);
        assert_eq!(pods.all[0].stage, Stage::Ready);
        pods.want(200.0, (0, 0), 0, &mut events);
        pods.remove(200.0, 0);
        pods.pass(200.0, &mut events);
        pods.pass(260.0, &mut events);
        pods.pass(400.0, &mut events);
        assert!((pods.seconds(500.0)[0] - 260.0).abs() < 1e-9, "{:?}", pods.seconds(500.0));
    }

    #[test]
    fn a_standby_server_serves_until_a_pod_does_and_is_paid_always() {
        let mut pods = pods(PoolSetup { standby: 1, ..exact(4, 100.0) });
        let mut events = Vec::new();
        pods.want(0.0, (7, 0), 1, &mut events);
        pods.pass(0.0, &mut events);
        pods.want(0.0, (8, 0), 1, &mut events);
        pods.pass(0.0, &mut events);
        assert!((pods.next() - 30.0).abs() < 1e-9, "load, warm-up and route");
        pods.pass(30.0, &mut events);
        assert!(matches!(events.as_slice(), [Event::Ready(_, 7, 0, seconds)] if seconds.is_nan()));
        events.clear();
        pods.pass(100.0, &mut events);
        let drained = events.iter().find_map(|event| if let Event::Drain(id, 7, 0) = event { Some(*id) } else { None });
        assert!(drained.is_some() && events.len() == 3, "both pods are ready: {events:?}");
        pods.remove(101.0, drained.unwrap());
        assert!((pods.accounts[0].spare[0] - 123.0).abs() < 1e-9, "it stands by again: {:?}", pods.accounts[0].spare);
        assert!((pods.seconds(200.0)[0] - 600.0).abs() < 1e-9, "three accelerators");
    }

    #[test]
    fn spot_is_taken_back_and_a_closed_pool_gives_nothing() {
        let mut pods = pods(PoolSetup { spot: Some(1e9), closed: Some((50.0, 90.0)), ..exact(4, 10.0) });
        let mut events = Vec::new();
        pods.want(0.0, (0, 0), 1, &mut events);
        pods.pass(0.0, &mut events);
        pods.pass(10.0, &mut events);
        pods.pass(50.0, &mut events);
        assert_eq!(events.last(), Some(&Event::Drain(0, 0, 0)));
        pods.remove(50.0, 0);
        pods.want(51.0, (0, 0), 1, &mut events);
        pods.pass(51.0, &mut events);
        assert_eq!(pods.all[0].stage, Stage::Waiting);
        pods.pass(90.0, &mut events);
        assert!(matches!(pods.all[0].stage, Stage::Starting(at) if (at - 100.0).abs() < 1e-9));
    }
}
