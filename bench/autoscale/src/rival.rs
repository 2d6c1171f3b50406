//! The rivals' settings that are tried.

use crate::policy::Policy;
use crate::policy::hpa::{self, Hpa, Metric};
use crate::policy::keda::{self, Keda};
use crate::policy::kpa::{self, Kpa};
use crate::policy::saturation::{self, Saturation};
use crate::policy::unit::Unit;
use serde::{Deserialize, Serialize};

/// A rival with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

/// Values that are tried, from the cheap end to the dear one.
const TARGETS: [f64; 11] = [1.15, 1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1];
const FLOORS: [u32; 6] = [1, 2, 3, 4, 6, 8];
const STABILIZATIONS: [f64; 4] = [60.0, 300.0, 900.0, 1_800.0];
const STABLES: [f64; 3] = [60.0, 180.0, 600.0];
const PANICS: [f64; 3] = [10.0, 4.0, 2.0];
const DELAYS: [f64; 4] = [0.0, 60.0, 300.0, 900.0];
const SATURATED: [f64; 6] = [0.9, 0.8, 0.65, 0.5, 0.45, 0.4];
const SPARES: [f64; 3] = [0.1, 0.2, 0.3];
const INTERVALS: [f64; 3] = [60.0, 30.0, 15.0];

/// The settings that every case is tried with, for all rivals; from the best ones a search goes on in finer steps.
#[must_use]
pub fn grid() -> Vec<Rival> {
    let mut all = Vec::new();
    for target in [0.85, 0.5, 0.3, 0.15] {
        for min in [1, 4] {
            for stabilization in [60.0, 300.0, 900.0] {
                for metric in [Metric::Rate, Metric::Concurrency] {
                    all.push(Rival::Hpa(hpa::Settings { metric, target, window: 30.0, stabilization, min }));
                }
                let (activation, cooldown, window) = (0.0, 300.0, 30.0);
                all.push(Rival::Keda(keda::Settings { target, activation, cooldown, window, stabilization, min }));
            }
            for (stable, delay) in [(60.0, 0.0), (60.0, 300.0), (600.0, 0.0)] {
                all.push(Rival::Kpa(kpa::Settings { target, stable, panic: 2.0, delay, min }));
            }
        }
    }
    // Less what is spare, as far down as the others' targets.
    for saturated in [0.8, 0.5, 0.45] {
        for spare in [0.1, 0.3] {
            for interval in [60.0, 15.0] {
                for min in [1, 4] {
                    all.push(Rival::Saturation(saturation::Settings { saturated, queue: 5.0, spare, interval, min }));
                }
            }
        }
    }
    all
}

impl Rival {
    /// How many of its settings are searched.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        match self {
            Self::Hpa(_) | Self::Keda(_) => 3,
            Self::Kpa(_) => 5,
            Self::Saturation(_) => 4,
        }
    }

    /// The same with one setting a step further, to the cheap side or to the dear one; nothing at the end.
    #[must_use]
    pub fn moved(&self, dimension: usize, dearer: bool) -> Option<Self> {
        let mut next = *self;
        let moved = match (&mut next, dimension) {
            (Self::Hpa(hpa::Settings { target, .. }), 0) => step(&TARGETS, target, dearer),
            (Self::Hpa(hpa::Settings { stabilization, .. }), 1) => step(&STABILIZATIONS, stabilization, dearer),
            (Self::Hpa(hpa::Settings { min, .. }), _) => step(&FLOORS, min, dearer),
            (Self::Keda(keda::Settings { target, .. }), 0) => step(&TARGETS, target, dearer),
            (Self::Keda(keda::Settings { stabilization, .. }), 1) => step(&STABILIZATIONS, stabilization, dearer),
            (Self::Keda(keda::Settings { min, .. }), _) => step(&FLOORS, min, dearer),
            (Self::Kpa(kpa::Settings { target, .. }), 0) => step(&TARGETS, target, dearer),
            (Self::Kpa(kpa::Settings { stable, .. }), 1) => step(&STABLES, stable, dearer),
            (Self::Kpa(kpa::Settings { panic, .. }), 2) => step(&PANICS, panic, dearer),
            (Self::Kpa(kpa::Settings { delay, .. }), 3) => step(&DELAYS, delay, dearer),
            (Self::Kpa(kpa::Settings { min, .. }), _) => step(&FLOORS, min, dearer),
            (Self::Saturation(saturation::Settings { saturated, .. }), 0) => step(&SATURATED, saturated, dearer),
            (Self::Saturation(saturation::Settings { spare, .. }), 1) => step(&SPARES, spare, dearer),
            (Self::Saturation(saturation::Settings { interval, .. }), 2) => step(&INTERVALS, interval, dearer),
            (Self::Saturation(saturation::Settings { min, .. }), _) => step(&FLOORS, min, dearer),
        };
        moved.then_some(next)
    }
}

/// Moves `value` to its neighbour in `values`, if there is one.
fn step<T: PartialEq + Copy>(values: &[T], value: &mut T, up: bool) -> bool {
    let Some(index) = values.iter().position(|known| known == value) else { return false };
    let next = if up { Some(index + 1) } else { index.checked_sub(1) };
    let Some(found) = next.and_then(|next| values.get(next)) else { return false };
    *value = *found;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_moves_both_ways_and_comes_back() {
        for rival in grid() {
            for dimension in 0..rival.dimensions() {
                let both = [false, true].map(|dearer| (dearer, rival.moved(dimension, dearer)));
                assert!(both.iter().any(|(_, moved)| moved.is_some()), "{rival:?} {dimension}");
                for (dearer, moved) in both.into_iter().filter_map(|(dearer, moved)| Some((dearer, moved?))) {
                    assert_ne!(moved, rival);
                    assert_eq!(moved.moved(dimension, !dearer), Some(rival));
                }
            }
        }
    }
}
