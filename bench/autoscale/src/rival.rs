//! The rivals' settings that are tried.

use crate::policy::Policy;
use crate::policy::hpa::{self, Hpa, Metric};
use crate::policy::keda::{self, Keda};
use crate::policy::kpa::{self, Kpa};
use crate::policy::saturation::{self, Saturation};
use crate::policy::unit::Unit;
use serde::Serialize;

/// A rival with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rival {
    /// HorizontalPodAutoscaler.
    Hpa(hpa::Settings),
    /// Knative.
    Kpa(kpa::Settings),
    /// KEDA.
    Keda(keda::Settings),
    /// Saturation law.
    Saturation(saturation::Settings),
}

/// Their names, in the order of the table.
pub const NAMES: [&str; 4] = ["HPA", "KPA", "KEDA", "saturation"];

impl Rival {
    /// Its place in [`NAMES`].
    #[must_use]
    pub fn family(&self) -> usize {
        match self {
            Self::Hpa(_) => 0,
            Self::Kpa(_) => 1,
            Self::Keda(_) => 2,
            Self::Saturation(_) => 3,
        }
    }

    /// As a policy that fills pools in `order`.
    #[must_use]
    pub fn policy(&self, unit: Unit, order: Vec<usize>) -> Box<dyn Policy> {
        match *self {
            Self::Hpa(settings) => Box::new(Hpa::new(settings, unit, order)),
            Self::Kpa(settings) => Box::new(Kpa::new(settings, unit, order)),
            Self::Keda(settings) => Box::new(Keda::new(settings, unit, order)),
            Self::Saturation(settings) => Box::new(Saturation::new(settings, unit, order)),
        }
    }
}

const TARGETS: [f64; 6] = [0.4, 0.5, 0.6, 0.7, 0.85, 1.0];
const FLOORS: [u32; 3] = [1, 3, 6];

/// All settings that are tried, for all rivals.
#[must_use]
pub fn grid() -> Vec<Rival> {
    let mut all = Vec::new();
    for target in TARGETS {
        for stabilization in [60.0, 300.0, 900.0] {
            for min in FLOORS {
                for metric in [Metric::Rate, Metric::Concurrency] {
                    all.push(Rival::Hpa(hpa::Settings { metric, target, window: 30.0, stabilization, min }));
                }
                let (activation, cooldown, window) = (0.0, 300.0, 30.0);
                all.push(Rival::Keda(keda::Settings { target, activation, cooldown, window, stabilization, min }));
            }
        }
        for stable in [60.0, 180.0, 600.0] {
            for panic in [2.0, 10.0] {
                for delay in [0.0, 300.0] {
                    for min in [1, 4] {
                        all.push(Rival::Kpa(kpa::Settings { target, stable, panic, delay, min }));
                    }
                }
            }
        }
    }
    for saturated in [0.5, 0.65, 0.8, 0.9] {
        for spare in [0.1, 0.2, 0.3] {
            for interval in [15.0, 60.0] {
                for min in [1, 4] {
                    all.push(Rival::Saturation(saturation::Settings { saturated, queue: 5.0, spare, interval, min }));
                }
            }
        }
    }
    all
}
