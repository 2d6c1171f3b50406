//! What the operator counts. Labels come from closed sets only.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// Which controller, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    controller: &'static str,
    outcome: &'static str,
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciled: Family<Ended, Counter>,
    duration: Histogram,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("millrace_operator");
        let reconciled = Family::<Ended, Counter>::default();
        let duration = Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]);
        let leader = Gauge::default();
        registry.register("reconciliations", "Reconciliations by controller and outcome", reconciled.clone());
        registry.register("reconcile_duration_seconds", "Time of one reconciliation of a service", duration.clone());
        registry.register("leader", "1 if this replica holds the lease", leader.clone());
        Self { registry, reconciled, duration, leader }
    }
}

impl Metrics {
    /// Counts a reconciliation; `outcome` is one of `done`, `refused`, `failed`.
    pub fn reconciled(&self, controller: &'static str, outcome: &'static str) {
        self.reconciled.get_or_create(&Ended { controller, outcome }).inc();
    }

    /// Adds the time that one took.
    pub fn took(&self, time: Duration) {
        self.duration.observe(time.as_secs_f64());
    }

    /// States whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        _ = encode(&mut text, &self.registry);
        text
    }
}
