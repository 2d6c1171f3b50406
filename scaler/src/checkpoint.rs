//! What survives a change of leader, and how a successor takes it over.

use crate::counter::Counter;
use crate::learn::Times;
use crate::{Accelerator, History, Memory, ProfileKey, Reporter, Revision, ServiceId, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Services that a successor was told of are kept so long without a plan: the controller plans them one by one.
const GRACE: f64 = 300.0;

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
    /// Its arrivals; absent: none in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Where each gateway's counter of arrivals stood: what came meanwhile isn't lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<(Reporter, Counter)>,
    /// The last arrival that any gateway told of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_arrival: Option<f64>,
    /// Answers of the last half minute by latency bucket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<u64>,
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
        let mut services: BTreeMap<&ServiceId, Remembered> = BTreeMap::new();
        for (service, memory) in self.memories.iter().filter(|(service, _)| keep(service)) {
            services.entry(service).or_default().memory = memory.clone();
        }
        for (service, traffic) in self.traffic.iter().filter(|(service, _)| keep(service)) {
            let remembered = services.entry(service).or_default();
            remembered.last_arrival = traffic.last_arrival.filter(|at| at.is_finite());
            // Of who slept all day nothing changes, so that nothing has to be written again.
            let Some(history) = traffic.history.as_ref().filter(|history| !history.is_silent()) else { continue };
            remembered.history = Some(history.clone());
            remembered.answers = traffic.recent(now);
            let seen = self.gateways.iter().filter_map(|(name, gateway)| Some((name, gateway.services.get(service)?)));
            remembered.counters = seen.map(|(name, seen)| (name.clone(), seen.arrivals)).collect();
        }
        for (key, learner) in self.learners.iter().filter(|(key, _)| keep(&key.service)) {
            let sizes = learner.sizes.iter().map(|(rows, times)| times.written(*rows)).collect();
            let (revision, accelerator) = (key.revision.clone(), key.accelerator.clone());
            services.entry(&key.service).or_default().times.push(Learned { revision, accelerator, sizes });
        }
        let named =
            services.into_iter().map(|(service, remembered)| Remembered { service: service.clone(), ..remembered });
        Checkpoint { at: now, services: named.collect() }
    }

    /// Takes over what a predecessor knew. Moments from its future, by our clock, are now.
    pub fn restore(&mut self, now: f64, checkpoint: Checkpoint) {
        for remembered in checkpoint.services {
            let Remembered { service, memory, history, counters, last_arrival, answers, times } = remembered;
            for Learned { revision, accelerator, sizes } in times {
                let key = ProfileKey { service: service.clone(), revision, accelerator };
                let learner = self.learners.entry(key).or_default();
                learner.sizes = sizes.iter().filter_map(|size| Some((size.rows, Times::read(size)?))).collect();
                (learner.at, learner.restored) = (checkpoint.at.min(now), Some(now));
            }
            for (gateway, counter) in counters {
                let known = self.gateways.entry(gateway).or_default();
                known.services.entry(service.clone()).or_default().arrivals = counter.not_after(now);
            }
            let traffic = self.traffic.entry(service.clone()).or_default();
            traffic.history = history.filter(|history| history.until <= now + 60.0);
            traffic.last_arrival = last_arrival.filter(|at| at.is_finite()).map(|at| at.min(now));
            traffic.inherit(now, answers);
            self.memories.insert(service.clone(), memory.not_after(now));
            self.graced.insert(service, now + GRACE);
        }
    }
}
