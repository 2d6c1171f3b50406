//! Steady states of the kinds of service, measured once for a process.

use crate::model::{Curve, SERVICES, ServiceModel};
use crate::queue::table::Table;
use std::sync::Arc;

/// Requests for each entry of a table.
const SAMPLE: u32 = 10_000;

/// Tables of some kinds of service.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    all: Vec<(&'static str, [Arc<Table>; 2])>,
}

impl Tables {
    /// Measures the kinds named, on an H100 too only if `both`.
    #[must_use]
    pub fn measure(models: &[ServiceModel], both: bool) -> Self {
        let one = |model: &ServiceModel| {
            let table = |curve: Curve| Arc::new(Table::measure(curve, model.target, SAMPLE));
            let l40s = table(model.curve);
            let h100 = if both { table(model.curve.faster(model.h100)) } else { l40s.clone() };
            (model.name, [l40s, h100])
        };
        let threads: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = models.iter().map(|model| scope.spawn(move || one(model))).collect();
            started.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        Self { all: threads }
    }

    /// The table of a kind on an L40S and on an H100 (if that was measured).
    ///
    /// # Panics
    /// If it was not measured.
    #[must_use]
    pub fn of(&self, model: &ServiceModel) -> &[Arc<Table>; 2] {
        let found = self.all.iter().find(|(name, _)| *name == model.name);
        &found.expect("every kind that is simulated was measured before").1
    }
}

/// The kind of that name.
#[must_use]
pub fn model(name: &str) -> Option<ServiceModel> {
    SERVICES.into_iter().find(|model| model.name == name)
}
