//! A service's decision while it is being made: targets that start as what is asked for now.

use crate::decide::Cause;
use crate::forecast::{Ability, Need, need};
use crate::memory::{REFUSED_AFTER, refused_after};
use crate::speeds::{NOTHING, Speed, Speeds};
use crate::{PoolName, Profile, Revision, Service, Slot};
use litemap::LiteMap;

/// A decision in the making.
#[derive(Debug)]
pub struct Draft<'a> {
    /// Whose.
    pub service: &'a Service,
    /// The time.
    pub now: f64,
    /// What is needed; `None`: not known.
    pub need: Option<Need>,
    /// Seconds for which a rise or fall is held.
    pub hold: f64,
    /// Replicas asked for.
    pub targets: LiteMap<Slot, u32>,
    /// Why, in the order of weight.
    pub causes: Vec<(Cause, String)>,
    /// Why nothing more is done: no place for a replica, a ceiling, a pause.
    pub blocked: Option<(Cause, String)>,
    /// Whether no further replica is tried in this pass.
    pub done: bool,
    /// Replicas that the serving revision takes over from the one before.
    pub carry: u64,
    /// What replicas do.
    speeds: Speeds<'a>,
}

impl<'a> Draft<'a> {
    /// The draft that changes nothing.
    pub fn open(now: f64, service: &'a Service) -> Self {
        let mut draft = Self {
            service,
            now,
            need: None,
            hold: service.memory.hold_seconds(&service.plan, &service.replicas),
            targets: service.replicas.iter().map(|(slot, count)| (slot.clone(), count.desired)).collect(),
            causes: Vec::new(),
            blocked: None,
            done: false,
            carry: 0,
            speeds: Speeds::of(service),
        };
        draft.need = need(service.signals.as_ref(), draft.ability());
        draft
    }

    /// The revision that load is for.
    pub fn serving(&self) -> &'a Revision {
        self.service.plan.revisions.loaded()
    }

    /// Replicas asked for in `slot`.
    pub fn target(&self, slot: &Slot) -> u32 {
        self.targets.get(slot).copied().unwrap_or(0)
    }

    /// Replicas asked for of `revision`, on the pools that the plan allows.
    pub fn of(&self, revision: &Revision) -> u64 {
        let targets = self.targets.iter().filter(|(slot, _)| slot.revision == *revision && self.allows(&slot.pool));
        targets.map(|(_, count)| u64::from(*count)).sum()
    }

    /// Replicas asked for, of all revisions on all pools.
    pub fn total(&self) -> u64 {
        self.targets.values().map(|count| u64::from(*count)).sum()
    }

    /// Whether the plan has `pool`.
    pub fn allows(&self, pool: &PoolName) -> bool {
        self.service.plan.pool(pool).is_some()
    }

    /// What one replica on `pool` does.
    pub fn speed(&self, pool: &PoolName) -> Speed {
        self.speeds.on(pool).unwrap_or(NOTHING)
    }

    /// Replicas in `slot` that the scheduler has refused for too long, while they are still asked for.
    pub fn refused(&self, slot: &Slot) -> u32 {
        let Some(count) = self.service.replicas.get(slot) else { return 0 };
        let patience = self.service.plan.pool(&slot.pool).map_or(REFUSED_AFTER, refused_after);
        let refused = count.unschedulable.iter().filter(|since| self.now - **since >= patience).count();
        // What this pass has taken away from the slot were refused ones first.
        let taken = count.desired.saturating_sub(self.target(slot));
        // What is ready isn't refused, where the list of pods is older than what is asked for.
        (refused as u32).saturating_sub(taken).min(self.target(slot).saturating_sub(count.ready))
    }

    /// Replicas in `slot` that count for nothing: refused ones, and overdue ones as long as another is ready. If none is, more
    /// of the same won't help.
    pub fn failed(&self, slot: &Slot) -> u32 {
        let overdue = if self.ready(&slot.revision) > 0 { self.overdue(slot) } else { 0 };
        self.refused(slot).saturating_add(overdue)
    }

    /// Requests per second that the serving revision's replicas sustain, once those that start are ready.
    pub fn capacity(&self) -> f64 {
        self.together(|slot, target| target.saturating_sub(self.failed(slot)))
    }

    /// Requests per second that the serving revision's replicas sustain now.
    pub fn ready_capacity(&self) -> f64 {
        self.speeds.serving(self.service).0
    }

    /// The same with those that will be ready in so many seconds.
    pub fn capacity_in(&self, seconds: f64) -> f64 {
        let memory = &self.service.memory;
        self.together(|slot, target| {
            let pool = self.service.plan.pool(&slot.pool);
            let Some((pool, count)) = pool.zip(self.service.replicas.get(slot)) else { return 0 };
            let soon = memory.awaited(pool, count).filter(|ready| *ready <= self.now + seconds).count() as u32;
            // What was asked for a moment ago has no pod yet.
            let pods = count.ready.saturating_add(count.awaited() as u32);
            let new = if memory.comes_in(pool) <= seconds { target.saturating_sub(pods) } else { 0 };
            let there = [count.standbys, soon, new].into_iter().fold(count.ready, u32::saturating_add);
            there.min(target.saturating_sub(self.failed(slot)))
        })
    }

    /// What so many replicas of each slot of the serving revision sustain, by the slot and its target.
    fn together(&self, replicas: impl Fn(&Slot, u32) -> u32) -> f64 {
        let serving = self.serving();
        let slots = self.targets.iter().filter(|(slot, _)| slot.revision == *serving && self.allows(&slot.pool));
        self.speeds.together(slots.map(|(slot, target)| (slot, replicas(slot, *target))).collect())
    }

    /// What is asked for, without the spare replicas that `minWarm` keeps beyond need.
    pub fn spared_capacity(&self) -> f64 {
        let replicas = self.of(self.serving()) as f64;
        let spare = f64::from(self.service.plan.bounds.min_warm);
        if replicas > 0.0 { self.capacity() * (1.0 - spare / replicas).max(0.0) } else { 0.0 }
    }

    /// Whether what is asked for sustains the load that must be left after a step down; not, if nobody knows it.
    pub fn fits(&self) -> bool {
        self.need.and_then(|need| need.floor).is_some_and(|floor| self.spared_capacity() >= floor)
    }

    /// Requests per second that are wanted beyond what replicas sustain; 0: none, or nobody knows.
    pub fn deficit(&self) -> f64 {
        self.need.map_or(0.0, |need| (need.rate - self.spared_capacity()).max(0.0))
    }

    /// Whether replicas are asked for on a pool that the plan no longer has.
    pub fn forbidden(&self) -> bool {
        self.targets.iter().any(|(slot, target)| *target > 0 && !self.allows(&slot.pool))
    }

    /// Ready replicas of `revision` on pools that the plan allows.
    pub fn ready(&self, revision: &Revision) -> u32 {
        let slots = self.service.replicas.iter().filter(|(slot, _)| slot.revision == *revision);
        slots.filter(|(slot, _)| self.allows(&slot.pool)).fold(0, |sum, (_, c)| sum.saturating_add(c.ready))
    }

    fn overdue(&self, slot: &Slot) -> u32 {
        let (Some(pool), Some(count)) = (self.service.plan.pool(&slot.pool), self.service.replicas.get(slot)) else {
            return 0;
        };
        if count.starting.is_empty() {
            return 0;
        }
        let patience = self.service.memory.patience(pool);
        let overdue = count.starting.iter().filter(|made| self.now - **made > patience).count();
        (overdue as u32).min(self.target(slot).saturating_sub(count.ready))
    }

    fn ability(&self) -> Ability {
        let (rate, ready) = self.speeds.serving(self.service);
        let lone = self.speeds.all().map(|speed| speed.lone).fold(f64::INFINITY, f64::min);
        let lone = if lone.is_finite() { lone } else { 0.01 };
        let late = self.service.signals.as_ref().is_some_and(|signals| signals.late.is_some_and(|share| share > 0.0));
        let profile = Profile { measured: false, ..Profile::measured(lone, 0.0) };
        Ability {
            rate,
            asked: (late && self.service.plan.pools.len() > 1).then(|| self.capacity()),
            ready,
            lone,
            start: self.hold,
            objective: Some(profile.objective_or_default(self.service.plan.objective)),
        }
    }

    /// Adds one replica.
    pub fn raise(&mut self, slot: &Slot) {
        let target = self.targets.entry(slot.clone()).or_default();
        *target = target.saturating_add(1);
    }

    /// Takes `replicas` away.
    pub fn lower(&mut self, slot: &Slot, replicas: u32) {
        if let Some(target) = self.targets.get_mut(slot) {
            *target = target.saturating_sub(replicas);
        }
    }

    /// Says why, once.
    pub fn because(&mut self, cause: Cause, why: impl Into<String>) {
        if !self.causes.iter().any(|(said, _)| *said == cause) {
            self.causes.push((cause, why.into()));
        }
    }

    /// Whether `at` lies within the time for which a rise or fall is held.
    pub fn holds(&self, at: Option<f64>) -> bool {
        at.is_some_and(|at| self.now - at < self.hold)
    }
}
