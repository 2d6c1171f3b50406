//! What time does to pods: nodes come and go, starts end, spot accelerators are taken, standby servers stand in.

use super::{Event, Pod, Pods, Stage};
use crate::model::Start;

/// Seconds that a node without a pod is kept.
const NODE_KEPT: f64 = 60.0;

impl Pods {
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
            let start = self.pools[pool].start.draw_phases(&mut self.random, Start::is_assigned);
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
}
