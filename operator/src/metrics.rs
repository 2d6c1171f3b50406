//! What the operator counts. Labels come from closed sets only.

mod starts;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use starts::StartSeries;
use std::time::Duration;

/// Which controller, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    controller: &'static str,
    outcome: &'static str,
}

/// What came of giving a standby server to a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lent {
    outcome: &'static str,
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciled: Family<Ended, Counter>,
    duration: Histogram,
    leader: Gauge,
    urgent: Histogram,
    starts: StartSeries,
    lent: Family<Lent, Counter>,
    lending: Histogram,
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
        let urgent = Histogram::new([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]);
        registry.register(
            "urgent_scale_seconds",
            "Time from a gateway's urgent report to the end of the scaling that it led to",
            urgent.clone(),
        );
        let starts = StartSeries::new(&mut registry);
        let lent = Family::<Lent, Counter>::default();
        let lending = Histogram::new([0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0]);
        registry.register("standbys_lent", "Standby servers given to services, by outcome", lent.clone());
        registry.register(
            "standby_assignment_seconds",
            "Time from the choice of a standby server until it serves",
            lending.clone(),
        );
        Self { registry, reconciled, duration, leader, urgent, starts, lent, lending }
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

    /// Counts a standby server that was given to a service; `outcome` is one of `serving`, with the time that it took, and
    /// `failed`.
    pub fn lent(&self, outcome: &'static str, time: Option<Duration>) {
        self.lent.get_or_create(&Lent { outcome }).inc();
        if let Some(time) = time {
            self.lending.observe(time.as_secs_f64());
        }
    }

    /// States whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Adds the time from a report that a gateway hurried to the end of the writes that it led to.
    pub fn hurried(&self, time: Duration) {
        self.urgent.observe(time.as_secs_f64());
    }

    /// Adds the phases of a start of a service (namespace, name) on a pool, in seconds.
    pub fn started(&self, service: (&str, &str), pool: &str, phases: &[(&'static str, f64)]) {
        self.starts.add(service, pool, phases);
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
