//! What survives a change of leader, and how a successor takes it over.

use crate::counter::Counter;
use crate::known::Known;
use crate::{Accelerator, Experience, History, Memory, ProfileKey, Reach, Reporter, Revision, ServiceId, State};
use serde::{Deserialize, Serialize};

/// Services that a successor was told of are kept so long without a plan: the controller plans them one by one.
const GRACE: f64 = 300.0;
/// Seconds between two checkpoints of a service of which there is news.
const PERIOD: f64 = 60.0;

/// What survives a change of leader.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    /// When it was made, seconds since the epoch.
    pub at: f64,
    /// Service by service.
    pub services: Vec<Remembered>,
}

/// What is remembered of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// Which one.
    pub service: ServiceId,
    /// What earlier decisions left.
    pub memory: Memory,
    /// What replays have taught.
    pub experience: Experience,
    /// What replicas have turned out to sustain.
    pub reach: Reach,
    /// Recent forecasts that still hold, the highest first, with their times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crest: Vec<(f64, f64)>,
    /// Its arrivals; absent: none in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Where each gateway's counter of arrivals stood: what came meanwhile isn't lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<(Reporter, Counter)>,
    /// The last arrival that any gateway told of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_arrival: Option<f64>,
    /// Share of the answers of the last half minute that were late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<f64>,
    /// Measured service times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Learned>,
}

/// Measured service times of a revision on a kind of accelerator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// The revision.
    pub revision: Revision,
    /// The accelerator.
    pub accelerator: Accelerator,
    /// By rows of a batch.
    pub sizes: Vec<LearnedSize>,
}

/// Measured times of one batch size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearnedSize {
    /// Rows.
    pub rows: u64,
    /// Median of the measured means, in seconds.
    pub seconds: f64,
    /// How many means it is the median of.
    pub samples: u32,
    /// Batches that have run.
    pub runs: u64,
}

impl State {
    /// What a successor should know of the services for which `keep` holds.
    #[must_use]
    pub fn checkpoint(&self, now: f64, keep: impl Fn(&ServiceId) -> bool) -> Checkpoint {
        let kept = self.services.iter().filter(|(service, _)| keep(service));
        Checkpoint { at: now, services: kept.map(|(service, known)| self.remember(now, service, known)).collect() }
    }

    fn remember(&self, now: f64, service: &ServiceId, known: &Known) -> Remembered {
        let learned = known.learners.iter().map(|(key, learner)| Learned {
            revision: key.revision.clone(),
            accelerator: key.accelerator.clone(),
            sizes: learner.sizes.iter().map(|(rows, times)| times.written(*rows)).collect(),
        });
        let seen =
            self.gateways.iter().filter_map(|(name, gateway)| Some((name.clone(), known.seen(gateway)?.arrivals)));
        let mut remembered = Remembered {
            service: service.clone(),
            memory: known.memory.clone(),
            experience: known.experience.clone(),
            reach: known.reach,
            crest: known.crest.clone(),
            counters: seen.collect(),
            last_arrival: known.traffic.last_arrival.filter(|at| at.is_finite()),
            times: learned.collect(),
            ..Remembered::default()
        };
        remembered.history = known.traffic.history.clone().filter(|history| !history.is_silent());
        if remembered.history.is_some() {
            remembered.late = known.traffic.recent(now);
        } else {
            // Of who slept all day nothing changes, so that nothing has to be written again.
            remembered.counters.iter_mut().for_each(|(_, counter)| *counter = counter.asleep());
        }
        remembered
    }

    /// Takes over what a predecessor knew. Moments from its future, by our clock, are now.
    pub fn restore(&mut self, now: f64, checkpoint: Checkpoint) {
        for remembered in checkpoint.services {
            let Remembered { service, memory, experience, reach, crest, history, counters, last_arrival, late, times } =
                remembered;
            // What slept at the last write has been called since then, or not at all.
            let from = if history.is_some() { f64::MIN } else { now - PERIOD };
            let places: Vec<usize> = counters.iter().map(|(gateway, _)| self.gateway(gateway).place).collect();
            let known = self.known(&service);
            for Learned { revision, accelerator, sizes } in times {
                known.learner(ProfileKey { revision, accelerator }).restore(now, checkpoint.at.min(now), &sizes);
            }
            for (place, (_, counter)) in places.into_iter().zip(counters) {
                known.seen_at(place).arrivals = counter.not_after(now).not_before(from);
            }
            known.traffic.history = history.filter(|history| history.until <= now + 60.0);
            known.traffic.last_arrival = last_arrival.filter(|at| at.is_finite()).map(|at| at.min(now));
            known.traffic.inherit(now, late);
            known.memory = memory.not_after(now);
            known.crest = crest.into_iter().map(|(at, value)| (at.min(now), value)).collect();
            known.experience = experience;
            known.reach = reach.sound();
            known.experience.at = known.experience.at.min(now);
            known.graced = Some(now + GRACE);
        }
    }
}
