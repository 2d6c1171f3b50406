//! All that is known of one service: what gateways say, its traffic, its service times, and what decisions left.

use crate::counter::{Counter, Life};
use crate::cover::Cover;
use crate::experience::Experience;
use crate::reach::Reach;
use crate::rehearse::Terms;
use crate::state::Gateway;
use crate::traffic::{Answered, Traffic};
use crate::{Accelerator, Learner, Memory, PoolName, Profile, ProfileKey, ServicePlan, ServiceSample};
use litemap::LiteMap;

/// Profiles kept of one service: its last revisions, on each kind of accelerator.
pub(crate) const PROFILES: usize = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) traffic: Traffic,
    pub(crate) memory: Memory,
    /// What replays have taught.
    pub(crate) experience: Experience,
    /// When there was last nothing to be learned.
    pub(crate) spared: f64,
    /// Recent forecasts that still hold, the highest first, with their times.
    pub(crate) crest: Vec<(f64, f64)>,
    /// What replays go by; absent before the first pass.
    pub(crate) terms: Option<Terms>,
    /// Until when it is kept without a plan: a predecessor told of it.
    pub(crate) graced: Option<f64>,
    /// What replicas have turned out to sustain, and the answers that tell it.
    pub(crate) reach: Reach,
    pub(crate) cover: Cover,
    /// What each gateway said last, at the gateway's place.
    seen: Vec<Seen>,
    pub(crate) learners: LiteMap<ProfileKey, Box<Learner>>,
}

/// What one gateway said of one service. There are many: it is kept small.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// In which of the gateway's reports; 0: in none.
    report: u32,
    pub(crate) in_flight: u32,
    pub(crate) held: u32,
    pub(crate) idle_seconds: Option<f32>,
    pub(crate) arrivals: Counter,
    /// Answers, and the late ones by the target in seconds that they were counted by; no number: by none.
    answered: Answered,
    target: f32,
}

impl Known {
    /// What `gateway` said in its last report; `None`: it knows no such service.
    pub(crate) fn seen(&self, gateway: &Gateway) -> Option<&Seen> {
        self.seen.get(gateway.place).filter(|seen| seen.report == gateway.report)
    }

    /// What the gateway at `place` said, now or before.
    pub(crate) fn seen_at(&mut self, place: usize) -> &mut Seen {
        if self.seen.len() <= place {
            self.seen.reserve_exact(place + 1 - self.seen.len());
            self.seen.resize(place + 1, Seen::default());
        }
        &mut self.seen[place]
    }

    /// Forgets the gateway at `place`, which another one will have.
    pub(crate) fn forget(&mut self, place: usize) {
        if let Some(seen) = self.seen.get_mut(place) {
            *seen = Seen::default();
        }
    }

    /// Takes in what `gateway` says; `bounds` are those of its latency buckets.
    pub(crate) fn hear(&mut self, now: f64, gateway: &Gateway, sample: &ServiceSample, bounds: &[f64]) {
        let short = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let life = gateway.started_at;
        let target = self.terms.and_then(|terms| terms.objective).map_or(f64::NAN, |objective| objective.target);
        let answered = Answered::of(&sample.latency, bounds, target);
        let target = target as f32;
        let seen = self.seen_at(gateway.place);
        let follows = seen.arrivals.follows(now, life);
        let increase = seen.arrivals.advance(now, life, sample.arrivals);
        // Before the first pass, or after a change of target, there is nothing to count from.
        let risen = match follows {
            Life::GoesOn if seen.target == target => answered.since(seen.answered),
            Life::Anew if target.is_finite() => answered,
            _ => Answered::default(),
        };
        (seen.answered, seen.target) = (answered, target);
        seen.report = gateway.report;
        (seen.in_flight, seen.held) = (short(sample.in_flight), short(sample.held));
        let idle = sample.idle_seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        seen.idle_seconds = idle.map(|seconds| seconds as f32);
        let last = idle.map(|seconds| now - seconds);
        if let Some(increase) = increase {
            self.traffic.add(increase);
        }
        self.traffic.note_answers(now, risen);
        if let Some(last) = last {
            self.traffic.last_arrival = Some(self.traffic.last_arrival.unwrap_or(f64::MIN).max(last));
        }
    }

    /// The learner of a revision on a kind of accelerator.
    pub(crate) fn learner(&mut self, key: ProfileKey) -> &mut Learner {
        if self.learners.len() >= PROFILES && !self.learners.contains_key(&key) {
            let oldest = self.learners.iter().min_by(|a, b| a.1.at.total_cmp(&b.1.at)).map(|(key, _)| key.clone());
            oldest.map(|key| self.learners.remove(&key));
        }
        if self.learners.is_empty() {
            // Most services have run one revision on one kind of accelerator.
            self.learners = LiteMap::with_capacity(1);
        }
        self.learners.entry(key).or_default()
    }

    /// Profiles of the serving revision for each pool of the plan: measured, else moved from what was measured elsewhere.
    pub(crate) fn profiles(&self, plan: &ServicePlan) -> LiteMap<PoolName, Profile> {
        let revision = plan.revisions.loaded();
        let of = |accelerator: &Accelerator| {
            let is = |key: &ProfileKey| key.revision == *revision && key.accelerator == *accelerator;
            self.learners.iter().find(|(key, _)| is(key)).and_then(|(_, learner)| learner.profile())
        };
        let measured = plan.pools.iter().find_map(|pool| of(&pool.accelerator).map(|p| (p, pool.relative_speed)));
        let each = plan.pools.iter().map(|pool| {
            let moved = || measured.map(|(profile, speed)| profile.moved(speed, pool.relative_speed));
            let profile = of(&pool.accelerator).or_else(moved).unwrap_or_else(|| Profile::prior(pool.relative_speed));
            (pool.name.clone(), profile)
        });
        each.collect()
    }
}
