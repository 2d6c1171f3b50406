//! What replicas of a service do on the pools of its plan.

use crate::profile::Sustained;
use crate::{PoolName, PoolPlan, Profile, Service, Slot};

/// What one replica on a pool does.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Requests per second within the objective, alone.
    pub rate: f64,
    /// The same, and among others.
    pub sustained: Sustained,
    /// Seconds of a lone request.
    pub lone: f64,
    /// Whether a lone request is in time.
    pub meets: bool,
}

/// Of a pool that the plan doesn't have.
pub const NOTHING: Speed = Speed { rate: 1e-9, sustained: Sustained::flat(1e-9), lone: f64::MAX, meets: false };

impl Service {
    /// What is known of a pool, or else what it is said to be.
    pub(crate) fn profile(&self, pool: &PoolPlan) -> Profile {
        let known = self.profiles.get(&pool.name).copied();
        known.unwrap_or_else(|| Profile::prior(pool.relative_speed)).sound_or_prior(pool.relative_speed)
    }

    /// What replicas with this profile sustain, as far as they have turned out to.
    pub(crate) fn sustained(&self, profile: Profile) -> Sustained {
        profile.sustained(self.plan.objective, self.plan.max_batch).reaching(self.reach.unwrap_or(1.0))
    }
}

/// That of each pool of a plan.
#[derive(Debug)]
pub struct Speeds<'a>(Vec<(&'a PoolName, Speed)>);

impl<'a> Speeds<'a> {
    /// By what is known of the service, or else by how fast its pools are said to be.
    pub fn of(service: &'a Service) -> Self {
        let plan = &service.plan;
        let pools = plan.pools.iter().map(|pool| {
            let profile = service.profile(pool);
            let sustained = service.sustained(profile);
            let (lone, meets) = (profile.time(1.0), profile.meets(plan.objective));
            (&pool.name, Speed { rate: sustained.one(), sustained, lone, meets })
        });
        Self(pools.collect())
    }

    /// All of them, in the plan's order.
    pub fn all(&self) -> impl Iterator<Item = Speed> {
        self.0.iter().map(|(_, speed)| *speed)
    }

    /// That of a pool; `None`: the plan doesn't have it.
    pub fn on(&self, pool: &PoolName) -> Option<Speed> {
        self.0.iter().find(|(name, _)| *name == pool).map(|(_, speed)| *speed)
    }

    /// Requests per second that so many replicas sustain together; none on pools that the plan doesn't have.
    pub fn together(&self, counts: Vec<(&Slot, u32)>) -> f64 {
        let all: f64 = counts.iter().map(|(_, count)| f64::from(*count)).sum();
        let rates = counts.iter().filter(|(_, count)| *count > 0);
        rates.filter_map(|(slot, count)| Some(f64::from(*count) * self.on(&slot.pool)?.sustained.each(all))).sum()
    }

    /// Requests per second that what serves now sustains, standby servers that bridge a start included, and how many that is.
    pub fn serving(&self, service: &Service) -> (f64, f64) {
        let slots = service.replicas.iter().filter(|(slot, _)| slot.revision == *service.plan.revisions.loaded());
        let serving = slots.filter(|(slot, _)| self.on(&slot.pool).is_some());
        let counts: Vec<(&Slot, u32)> = serving.map(|(slot, count)| (slot, count.ready + count.bridging)).collect();
        let ready = counts.iter().map(|(_, count)| f64::from(*count)).sum();
        (self.together(counts), ready)
    }
}
