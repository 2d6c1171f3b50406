//! Decisions and what they rested on, written down so that they can be repeated.

use crate::{Decision, Fleet, decide};
use serde::{Deserialize, Serialize};

/// One pass over the fleet: what it saw, and what it decided. One line of JSON each in a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When, in seconds since the epoch.
    pub now: f64,
    /// Everything that the pass rested on.
    pub fleet: Fleet,
    /// What it decided, in the order of the fleet's services.
    pub decisions: Vec<Decision>,
}

/// A decision that comes out differently now.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// When it was made.
    pub now: f64,
    /// As it was recorded; `None`: there was none.
    pub recorded: Option<Decision>,
    /// As it comes out now.
    pub replayed: Option<Decision>,
}

impl Record {
    /// Decides again, and gives what comes out differently: nothing, for the same law.
    ///
    /// Read recordings with exact floats (serde_json's feature `float_roundtrip`): half a bit may tip a decision.
    #[must_use]
    pub fn replay(&self) -> Vec<Difference> {
        let again = decide(self.now, &self.fleet);
        let count = again.len().max(self.decisions.len());
        let pairs = (0..count).map(|index| (self.decisions.get(index), again.get(index)));
        let differ = pairs.filter(|(recorded, replayed)| match (recorded, replayed) {
            (Some(recorded), Some(replayed)) => !same(recorded, replayed),
            _ => true,
        });
        differ
            .map(|(recorded, replayed)| Difference {
                now: self.now,
                recorded: recorded.cloned(),
                replayed: replayed.cloned(),
            })
            .collect()
    }
}

/// Whether two decisions are the same: a need that is no number is the same as another.
fn same(one: &Decision, other: &Decision) -> bool {
    let Decision { service, outcome, cause, need, metrics_fresh } = one;
    let figures = need.total_cmp(&other.need).is_eq() || *need == other.need;
    figures
        && *service == other.service
        && *outcome == other.outcome
        && *cause == other.cause
        && *metrics_fresh == other.metrics_fresh
}
