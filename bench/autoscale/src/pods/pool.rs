//! A pool as it is set up.

use crate::model::{Curve, ServiceModel, Start};

/// A pool.
#[derive(Clone, Debug)]
pub struct PoolSetup {
    /// Its name.
    pub name: String,
    /// Its product.
    pub accelerator: String,
    /// Accelerators that there are, or may be grown to.
    pub capacity: u32,
    /// Dollars for one accelerator and hour.
    pub hourly: f64,
    /// Preference of its location: lower first.
    pub tier: u32,
    /// How long a start takes once the accelerator is there.
    pub start: Start,
    /// Seconds that a node takes to come; absent: all are there.
    pub grows: Option<f64>,
    /// Mean seconds until a spot accelerator is taken back.
    pub spot: Option<f64>,
    /// Between these times it gives nothing, and spot accelerators are taken back when it begins.
    pub closed: Option<(f64, f64)>,
    /// Standby servers, shared by all services.
    pub standby: u32,
}

impl PoolSetup {
    /// A pool with room enough and a fixed price.
    #[must_use]
    pub fn plain(name: &str, capacity: u32, hourly: f64, start: Start) -> Self {
        let (name, accelerator) = (name.to_owned(), name.to_uppercase());
        Self { name, accelerator, capacity, hourly, tier: 0, start, grows: None, spot: None, closed: None, standby: 0 }
    }

    /// How many times as fast as an L40S one of its accelerators is.
    #[must_use]
    pub fn speed(&self, model: &ServiceModel) -> f64 {
        if self.accelerator == "H100" { model.h100 } else { 1.0 }
    }

    pub(super) fn open(&self, now: f64) -> bool {
        !self.closed.is_some_and(|(from, to)| now >= from && now < to)
    }
}

/// Service times on each pool.
#[must_use]
pub fn curves(model: &ServiceModel, pools: &[PoolSetup]) -> Vec<Curve> {
    pools.iter().map(|pool| model.curve.faster(pool.speed(model))).collect()
}
