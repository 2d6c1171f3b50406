//! One run: what happens between two moments, and what came of all of it.

use super::{Live, Mode, Outcome, Policy, Scene, ServiceSetup, Setup, SlotScene};
use crate::ledger::Ledger;
use crate::picture::Series;
use crate::pods::{Event, Pods, Stage, curves};
use crate::queue::events::Events;
use crate::queue::fluid::Fluid;
use crate::queue::{Arrivals, Queue};
use crate::random::Random;

/// Seconds from a request that finds no replica to the decision on it.
const PUSH: f64 = 0.02;

/// What is simulated, at some moment.
pub(super) struct World<'a> {
    setup: &'a Setup,
    live: Vec<Live>,
    pub(super) pods: Pods,
    started: Vec<(usize, usize, f64)>,
    most: Vec<u32>,
    instants: Vec<Vec<f64>>,
    want: Vec<Vec<u32>>,
    series: Option<Series>,
}

impl<'a> World<'a> {
    pub(super) fn new(setup: &'a Setup) -> Self {
        let queue = |(index, service): (usize, &ServiceSetup)| -> Box<dyn Queue> {
            match &setup.mode {
                Mode::Events => {
                    let random = Random::new(setup.seed, 0xe0 + index as u64);
                    Box::new(Events::new(curves(&service.model, &setup.pools), setup.patience, random))
                }
                Mode::Fluid(tables) => Box::new(Fluid::new(tables[index].clone(), setup.patience)),
            }
        };
        let live = setup.services.iter().enumerate().map(|(index, service)| Live {
            ledger: Ledger::new(setup.warm_up, service.target),
            queue: queue((index, service)),
            slots: vec![SlotScene::default(); setup.pools.len()],
        });
        let mut world = Self {
            setup,
            live: live.collect(),
            pods: Pods::new(&setup.pools, setup.warm_up, Random::new(setup.seed, 0x90d5)),
            started: Vec::new(),
            most: vec![0; setup.pools.len()],
            instants: vec![Vec::new(); setup.services.len()],
            want: vec![vec![0; setup.pools.len()]; setup.services.len()],
            series: setup.series.then(|| Series::new(setup)),
        };
        for (index, service) in setup.services.iter().enumerate() {
            for (pool, count) in service.initial.iter().enumerate() {
                for _ in 0..*count {
                    if let Event::Ready(pod, ..) = world.pods.place(0.0, index, pool) {
                        let live = &mut world.live[index];
                        live.queue.add(0.0, pod, pool, &mut live.ledger);
                    }
                }
                world.live[index].slots[pool].desired = *count;
            }
        }
        world.count();
        world
    }

    /// Draws the arrivals of a second, where they matter one by one.
    pub(super) fn draw(&mut self, second: usize) {
        if let Mode::Events = self.setup.mode {
            for (index, service) in self.setup.services.iter().enumerate() {
                service.trace.arrivals(second, self.setup.seed ^ (index as u64) << 32, &mut self.instants[index]);
            }
        }
    }

    /// When the scaler is to be told of the first request that finds no replica.
    pub(super) fn wake(&self, now: f64) -> f64 {
        let asleep = |live: &&Live| live.ready() == 0 && live.ledger.held == 0.0;
        let of = self.live.iter().zip(&self.instants).filter(|(live, _)| asleep(live));
        let first = of.filter_map(|(_, instants)| instants.iter().find(|at| **at >= now));
        first.fold(f64::INFINITY, |first, at| first.min(at + PUSH))
    }

    pub(super) fn advance(&mut self, second: usize, from: f64, to: f64) {
        for (index, live) in self.live.iter_mut().enumerate() {
            let arrivals = match self.setup.mode {
                Mode::Events => {
                    let instants = &self.instants[index];
                    let first = instants.partition_point(|at| *at < from);
                    let end = if to >= (second + 1) as f64 {
                        instants.len()
                    } else {
                        instants.partition_point(|at| *at < to)
                    };
                    Arrivals::Instants(&instants[first.min(end)..end])
                }
                Mode::Fluid(_) => {
                    let counts = &self.setup.services[index].trace.counts;
                    Arrivals::Count(f64::from(counts.get(second).copied().unwrap_or(0)) * (to - from))
                }
            };
            live.queue.advance(from, to, arrivals, &mut live.ledger);
        }
        if let Some(series) = &mut self.series {
            series.note(to, &self.live);
        }
    }

    pub(super) fn pass(&mut self, now: f64) {
        let (mut events, rested) = (Vec::new(), self.pods.rests(now));
        self.pods.pass(now, &mut events);
        self.happen(now, &events);
        let mut gone = false;
        for live in &mut self.live {
            for pod in live.queue.drained() {
                self.pods.remove(now, pod);
                gone = true;
            }
        }
        if gone || !rested {
            self.count();
        }
    }

    fn happen(&mut self, now: f64, events: &[Event]) {
        for event in events {
            match *event {
                Event::Ready(pod, service, pool, seconds) => {
                    let live = &mut self.live[service];
                    live.queue.add(now, pod, pool, &mut live.ledger);
                    self.started.push((service, pool, seconds));
                }
                Event::Drain(pod, service, pool) => self.live[service].queue.drain(now, pod, pool),
            }
        }
    }

    pub(super) fn decide(&mut self, now: f64, policy: &mut dyn Policy) {
        let mut want = std::mem::take(&mut self.want);
        for (pools, live) in want.iter_mut().zip(&self.live) {
            pools.iter_mut().zip(&live.slots).for_each(|(desired, slot)| *desired = slot.desired);
        }
        policy.decide(now, &Scene { setup: self.setup, live: &self.live, started: &self.started }, &mut want);
        self.started.clear();
        let (mut events, mut moved) = (Vec::new(), !self.pods.rests(now));
        for (service, pools) in want.iter().enumerate() {
            for (pool, desired) in pools.iter().enumerate() {
                let slot = &mut self.live[service].slots[pool];
                slot.desired = *desired;
                // Pods that were taken back are made anew.
                if slot.ready as usize + slot.starting.len() + slot.refused.len() != *desired as usize {
                    self.pods.want(now, (service, pool), *desired, &mut events);
                    moved = true;
                }
            }
        }
        self.want = want;
        if moved {
            self.happen(now, &events);
            self.pods.pass(now, &mut events);
            self.count();
        }
    }

    /// Counts pods by slot.
    fn count(&mut self) {
        for live in &mut self.live {
            for slot in &mut live.slots {
                (slot.ready, slot.terminating) = (0, 0);
                slot.starting.clear();
                slot.refused.clear();
            }
        }
        let mut held = vec![0; self.most.len()];
        for pod in &self.pods.all {
            let slot = &mut self.live[pod.service].slots[pod.pool];
            held[pod.pool] += u32::from(pod.stage != Stage::Waiting);
            if pod.bridge {
                continue;
            }
            match pod.stage {
                Stage::Waiting => slot.refused.extend(Pods::refused_since(pod)),
                Stage::Starting(_) => slot.starting.push(pod.made),
                Stage::Ready => slot.ready += 1,
                Stage::Draining => slot.terminating += 1,
            }
        }
        for (most, held) in self.most.iter_mut().zip(held) {
            *most = (*most).max(held);
        }
    }

    pub(super) fn late(&self) -> f64 {
        self.live.iter().map(|live| live.ledger.late).sum()
    }

    pub(super) fn dollars(&self, now: f64) -> f64 {
        self.pods
            .seconds(now)
            .iter()
            .zip(&self.setup.pools)
            .map(|(seconds, pool)| seconds / 3_600.0 * pool.hourly)
            .sum()
    }

    pub(super) fn outcome(self, end: f64) -> Outcome {
        let sum = |figure: fn(&Ledger) -> f64| self.live.iter().map(|live| figure(&live.ledger)).sum::<f64>();
        let (requests, in_time, late) = (sum(|l| l.measured), sum(|l| l.in_time), sum(|l| l.late));
        let hours: Vec<f64> = self.pods.seconds(end).iter().map(|seconds| seconds / 3_600.0).collect();
        let dollars: f64 = hours.iter().zip(&self.setup.pools).map(|(hours, pool)| hours * pool.hourly).sum();
        let main = &self.live[0].ledger;
        let there = |ledger: &Ledger| match self.setup.mode {
            Mode::Events => ledger.in_flight + ledger.held,
            // The steady part of what is in flight is drawn from Little's law, not from a count.
            Mode::Fluid(_) => ledger.held,
        };
        let kept: f64 = self
            .live
            .iter()
            .map(|live| match self.setup.mode {
                Mode::Events => there(&live.ledger),
                Mode::Fluid(_) => there(&live.ledger) + live.queue.waiting(),
            })
            .sum();
        Outcome {
            requests,
            in_time,
            attainment: if in_time + late > 0.0 { in_time / (in_time + late) } else { 1.0 },
            dollars,
            dollars_per_1000: dollars / requests.max(1.0) * 1e3,
            starts: self.pods.starts,
            most: self.most,
            latency: [0.5, 0.99, 0.999].map(|share| main.quantile(share)),
            by_service: self.live.iter().map(|live| live.ledger.attainment()).collect(),
            lost: sum(|l| l.arrivals) - sum(|l| l.answered) - sum(|l| l.expired) - kept,
            hours,
            series: self.series,
        }
    }
}
