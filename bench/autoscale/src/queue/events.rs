//! Every request and every batch.
//!
//! A gateway picks the better of two random replicas by what they hold; a replica serves a batch at a time, made of
//! whatever waits when the last one ends. Without a replica requests are held. Nothing is served before its turn, and
//! nothing is given up before `patience` is over.

use super::{Arrivals, Queue, ServerView};
use crate::ledger::Ledger;
use crate::model::Curve;
use crate::random::Random;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

/// How the time of a batch is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Around its mean, as the curve says.
    Noisy,
    /// Exponential: for the comparison with Erlang's formula.
    Exponential,
}

/// The replicas of one service.
#[derive(Debug)]
pub struct Events {
    curves: Vec<Curve>,
    service: Service,
    /// One line for all replicas instead of one for each.
    shared: bool,
    patience: f64,
    replicas: Vec<Replica>,
    ready: Vec<usize>,
    free: Vec<usize>,
    ends: BinaryHeap<Reverse<End>>,
    held: VecDeque<f64>,
    drained: Vec<u64>,
    random: Random,
}

#[derive(Debug)]
struct Replica {
    pod: u64,
    pool: usize,
    started_at: f64,
    waiting: VecDeque<f64>,
    running: Vec<f64>,
    draining: bool,
    batches: Vec<(u64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct End {
    at: f64,
    replica: usize,
}

impl Eq for End {}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for End {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.replica.cmp(&other.replica))
    }
}

impl Events {
    /// No replicas yet; `curves` by pool.
    #[must_use]
    pub fn new(curves: Vec<Curve>, patience: f64, random: Random) -> Self {
        Self {
            curves,
            service: Service::Noisy,
            shared: false,
            patience,
            replicas: Vec::new(),
            ready: Vec::new(),
            free: Vec::new(),
            ends: BinaryHeap::new(),
            held: VecDeque::new(),
            drained: Vec::new(),
            random,
        }
    }

    /// One line for all, exponential times: the textbook's M/M/c.
    #[must_use]
    pub fn textbook(self) -> Self {
        Self { service: Service::Exponential, shared: true, ..self }
    }

    fn arrive(&mut self, now: f64, ledger: &mut Ledger) {
        ledger.pass(now);
        ledger.arrive(now, 1.0);
        if self.ready.is_empty() {
            self.held.push_back(now);
            ledger.held += 1.0;
            return;
        }
        self.forward(now, now, ledger);
    }

    fn forward(&mut self, now: f64, arrived: f64, ledger: &mut Ledger) {
        ledger.in_flight += 1.0;
        let replica = self.pick();
        self.replicas[replica].waiting.push_back(arrived);
        if self.replicas[replica].running.is_empty() {
            self.start(now, replica, ledger);
        }
    }

    fn pick(&mut self) -> usize {
        let ready = &self.ready;
        if self.shared {
            // Any idle one; the line itself is the first replica's.
            return ready.iter().copied().find(|r| self.replicas[*r].running.is_empty()).unwrap_or(ready[0]);
        }
        if ready.len() == 1 {
            return ready[0];
        }
        let left = self.random.below(ready.len());
        let right = (left + 1 + self.random.below(ready.len() - 1)) % ready.len();
        let holds =
            |index: usize| self.replicas[ready[index]].waiting.len() + self.replicas[ready[index]].running.len();
        if holds(right) < holds(left) { ready[right] } else { ready[left] }
    }

    /// Makes a batch of what waits.
    fn start(&mut self, now: f64, index: usize, ledger: &mut Ledger) {
        let line = if self.shared { self.ready.first().copied().unwrap_or(index) } else { index };
        let curve = self.curves[self.replicas[index].pool];
        let mut batch = std::mem::take(&mut self.replicas[index].running);
        let source = if self.replicas[index].waiting.is_empty() { line } else { index };
        while batch.len() < curve.max_batch as usize {
            let Some(arrived) = self.replicas[source].waiting.pop_front() else { break };
            if now - arrived > self.patience {
                ledger.give_up(arrived, 1.0);
                ledger.in_flight -= 1.0;
            } else {
                batch.push(arrived);
            }
        }
        let rows = batch.len();
        self.replicas[index].running = batch;
        if rows == 0 {
            if self.replicas[index].draining {
                self.drained.push(self.replicas[index].pod);
                self.free.push(index);
            }
            return;
        }
        let mean = curve.time(rows as f64);
        let seconds = match self.service {
            Service::Noisy => mean * (1.0 + curve.noise * self.random.normal()).clamp(0.5, 2.0),
            Service::Exponential => self.random.exponential(mean),
        };
        let (count, sum) = &mut self.replicas[index].batches[rows - 1];
        *count += 1;
        *sum += seconds;
        self.ends.push(Reverse(End { at: now + seconds, replica: index }));
    }

    fn end(&mut self, now: f64, index: usize, ledger: &mut Ledger) {
        ledger.pass(now);
        let mut batch = std::mem::take(&mut self.replicas[index].running);
        ledger.in_flight -= batch.len() as f64;
        for arrived in batch.drain(..) {
            ledger.answer(arrived, now - arrived, 1.0);
        }
        self.replicas[index].running = batch;
        self.start(now, index, ledger);
    }

    fn expire_held(&mut self, now: f64, ledger: &mut Ledger) {
        while self.held.front().is_some_and(|arrived| now - arrived > self.patience) {
            if let Some(arrived) = self.held.pop_front() {
                ledger.give_up(arrived, 1.0);
                ledger.held -= 1.0;
            }
        }
    }
}

impl Queue for Events {
    fn add(&mut self, now: f64, pod: u64, pool: usize, ledger: &mut Ledger) {
        let replica = Replica {
            pod,
            pool,
            started_at: now,
            waiting: VecDeque::new(),
            running: Vec::new(),
            draining: false,
            batches: vec![(0, 0.0); self.curves[pool].max_batch as usize],
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.replicas[index] = replica;
                index
            }
            None => {
                self.replicas.push(replica);
                self.replicas.len() - 1
            }
        };
        self.ready.push(index);
        ledger.pass(now);
        self.expire_held(now, ledger);
        while let Some(arrived) = self.held.pop_front() {
            ledger.held -= 1.0;
            self.forward(now, arrived, ledger);
        }
    }

    fn drain(&mut self, _: f64, pod: u64, _: usize) {
        let Some(place) = self.ready.iter().position(|index| self.replicas[*index].pod == pod) else { return };
        let index = self.ready.remove(place);
        self.replicas[index].draining = true;
        if self.replicas[index].running.is_empty() {
            self.drained.push(pod);
            self.free.push(index);
        }
    }

    fn advance(&mut self, _: f64, to: f64, arrivals: Arrivals<'_>, ledger: &mut Ledger) {
        let Arrivals::Instants(instants) = arrivals else { return };
        let mut next = instants.iter().copied().peekable();
        loop {
            let arrival = next.peek().copied().unwrap_or(f64::INFINITY);
            let end = self.ends.peek().map_or(f64::INFINITY, |end| end.0.at);
            if arrival.min(end) >= to {
                break;
            }
            if end <= arrival {
                if let Some(Reverse(end)) = self.ends.pop() {
                    self.end(end.at, end.replica, ledger);
                }
            } else {
                next.next();
                self.arrive(arrival, ledger);
            }
        }
        self.expire_held(to, ledger);
        ledger.pass(to);
    }

    fn drained(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.drained)
    }

    fn waiting(&self) -> f64 {
        self.ready.iter().map(|index| self.replicas[*index].waiting.len()).sum::<usize>() as f64
    }

    fn servers(&self, see: &mut dyn FnMut(ServerView<'_>)) {
        for index in &self.ready {
            let replica = &self.replicas[*index];
            let (pod, pool, started_at) = (replica.pod, replica.pool, replica.started_at);
            see(ServerView { pod, pool, started_at, depth: replica.waiting.len() as u64, batches: &replica.batches });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probability that one must wait with c servers and this load.
    fn erlang_c(servers: u32, load: f64) -> f64 {
        let mut blocked = 1.0;
        for server in 1..=servers {
            blocked = load * blocked / (f64::from(server) + load * blocked);
        }
        let busy = load / f64::from(servers);
        blocked / (1.0 - busy * (1.0 - blocked))
    }

    #[test]
    fn the_textbook_queue_waits_as_erlang_says() {
        for (servers, busy) in [(1_u32, 0.7), (4, 0.8), (16, 0.9)] {
            let curve = Curve { fixed: 0.0, per_row: 0.1, max_batch: 1, noise: 0.0 };
            let mut events = Events::new(vec![curve], 1e9, Random::new(1, 2)).textbook();
            let mut ledger = Ledger::new(100.0, 1.0);
            for pod in 0..servers {
                events.add(0.0, u64::from(pod), 0, &mut ledger);
            }
            let rate = busy * f64::from(servers) / 0.1;
            let (mut random, mut at) = (Random::new(9, 9), 0.0);
            let arrivals = std::iter::from_fn(|| {
                at += random.exponential(1.0 / rate);
                Some(at)
            });
            let instants: Vec<f64> = arrivals.take(700_000).collect();
            let end = instants[instants.len() - 1];
            events.advance(0.0, end, Arrivals::Instants(&instants), &mut ledger);
            // Little: mean number in the system is the rate times the mean time in it.
            let load = busy * f64::from(servers);
            let expected = erlang_c(servers, load) * busy / (1.0 - busy) + load;
            let measured = ledger.concurrency / end;
            assert!((measured / expected - 1.0).abs() < 0.02, "{servers} servers: {measured} instead of {expected}");
        }
    }

    #[test]
    fn requests_are_conserved_and_held_ones_wait() {
        let curve = Curve { fixed: 0.01, per_row: 0.01, max_batch: 4, noise: 0.1 };
        let mut events = Events::new(vec![curve], 5.0, Random::new(1, 3));
        let mut ledger = Ledger::new(0.0, 0.5);
        let instants: Vec<f64> = (0..1_000).map(|index| f64::from(index) * 0.01).collect();
        let cut = |from: f64, to: f64| {
            let inside = instants.iter().filter(move |at| **at >= from && **at < to).copied();
            inside.collect::<Vec<f64>>()
        };
        events.advance(0.0, 2.0, Arrivals::Instants(&cut(0.0, 2.0)), &mut ledger);
        assert_eq!((ledger.held, ledger.in_flight), (200.0, 0.0));
        events.add(2.0, 7, 0, &mut ledger);
        assert_eq!(ledger.held, 0.0);
        events.advance(2.0, 6.0, Arrivals::Instants(&cut(2.0, 6.0)), &mut ledger);
        events.drain(6.0, 7, 0);
        events.advance(6.0, 30.0, Arrivals::Instants(&cut(6.0, 30.0)), &mut ledger);
        assert_eq!(events.drained(), [7]);
        let there = ledger.answered + ledger.expired + ledger.held + ledger.in_flight;
        assert_eq!((there, ledger.in_flight, ledger.held), (1_000.0, 0.0, 0.0));
        assert!(ledger.expired >= 350.0, "what came after the drain is given up: {}", ledger.expired);
    }

    #[test]
    fn batches_are_what_came_meanwhile() {
        let curve = Curve { fixed: 1.0, per_row: 0.0, max_batch: 8, noise: 0.0 };
        let mut events = Events::new(vec![curve], 60.0, Random::new(1, 3));
        let mut ledger = Ledger::new(0.0, 5.0);
        events.add(0.0, 1, 0, &mut ledger);
        events.advance(0.0, 10.0, Arrivals::Instants(&[0.0, 0.2, 0.4, 0.6]), &mut ledger);
        events.servers(&mut |server| {
            assert_eq!((server.batches[0].0, server.batches[2].0), (1, 1), "one row, then the three that waited");
        });
        assert!((ledger.concurrency - (1.0 + 1.8 + 1.6 + 1.4)).abs() < 1e-9);
    }
}
