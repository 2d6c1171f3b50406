//! What goes wrong between reporters and the scaler.

use crate::random::Random;
use millrace_scaler::{GatewaySample, ServerSample};

/// Faults of a run; none by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Share of reports that never come.
    pub loss: f64,
    /// Seconds by which each report is late.
    pub delay: f64,
    /// A gateway that is silent between two times.
    pub silent: Option<(usize, f64, f64)>,
    /// Seconds by which the reporters' clocks differ: one is ahead, the next behind.
    pub skew: f64,
    /// Share of reports in which a figure is no number.
    pub nan: f64,
    /// Seconds for which a new pod isn't to be seen: the one who makes pods is behind.
    pub unseen: f64,
}

impl Faults {
    /// Whether the report of gateway `index` is heard.
    pub fn heard(&self, now: f64, index: usize, random: &mut Random) -> bool {
        let silent = self.silent.is_some_and(|(which, from, to)| which == index && now >= from && now < to);
        !silent && (self.loss <= 0.0 || random.unit() >= self.loss)
    }

    /// Bends a gateway's report.
    pub fn bend(&self, index: usize, sample: &mut GatewaySample, random: &mut Random) {
        sample.started_at += if index.is_multiple_of(2) { self.skew } else { -self.skew };
        if self.nan > 0.0 && random.unit() < self.nan {
            sample.started_at = f64::NAN;
            sample.services.iter_mut().for_each(|service| service.idle_seconds = Some(f64::NAN));
        }
    }

    /// Bends a server's report.
    pub fn bend_server(&self, sample: &mut ServerSample, random: &mut Random) {
        if self.nan > 0.0 && random.unit() < self.nan {
            sample.batches.iter_mut().for_each(|batch| batch.seconds = f64::NAN);
        }
    }
}
