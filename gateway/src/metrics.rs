//! Prometheus metrics. Those of services are read from the counters that the report uses, so both always agree.

use crate::fleet::Fleet;
use crate::front::Gateway;
use crate::report::Counters;
use millrace_crds::report::LATENCY_BOUNDS;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

type Labels = [(&'static str, &'static str); 1];

/// Counters of the process.
#[derive(Debug, Default)]
pub struct Totals {
    /// Second attempts.
    pub retries: Counter,
    /// Pods that served before Kubernetes called them ready.
    pub early: Counter,
    /// Open client connections.
    pub connections: Gauge,
    refusals: Family<Labels, Counter>,
}

impl Totals {
    /// Counts a refusal by its reason, which is of a closed set.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&[("reason", reason)]).inc();
    }
}

#[derive(Debug)]
struct Services(Arc<Gateway>);

/// The registry of a gateway.
#[must_use]
pub fn registry(gateway: &Arc<Gateway>) -> Registry {
    let mut registry = Registry::with_prefix("millrace_gateway");
    let totals = &gateway.totals;
    registry.register("retries", "Requests sent again because no server had taken them in", totals.retries.clone());
    registry.register("early", "Replicas routed to before Kubernetes called them ready", totals.early.clone());
    registry.register("connections", "Open client connections", totals.connections.clone());
    registry.register("refusals", "Requests that the gateway answered with an error", totals.refusals.clone());
    registry.register_collector(Box::new(Services(Arc::clone(gateway))));
    registry
}

/// The text that Prometheus reads.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a String can't fail; an empty page would be seen by the scraper.
    let _ = text::encode(&mut text, registry);
    text
}

impl Collector for Services {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let fleet = &self.0.fleet;
        counter(fleet, &mut encoder, ("arrivals", "Requests let in"), |c| &c.arrivals)?;
        counter(fleet, &mut encoder, ("completed", "Requests ended"), |c| &c.completed)?;
        counter(fleet, &mut encoder, ("failed", "Requests failed by the platform"), |c| &c.failed)?;
        gauge(fleet, &mut encoder, ("in_flight", "Requests let in and not ended"), |c| &c.in_flight)?;
        gauge(fleet, &mut encoder, ("held", "Requests that wait for a replica"), |c| &c.held)?;
        let name = "request_duration_seconds";
        let mut family =
            encoder.encode_descriptor(name, "From arrival to the last byte", None, MetricType::Histogram)?;
        each(fleet, |labels, counters| {
            let read = counters.latency.read();
            let bounds = LATENCY_BOUNDS.iter().copied().chain([f64::MAX]);
            let buckets: Vec<_> = bounds.zip(read.buckets.iter().copied()).collect();
            let count = read.buckets.iter().sum();
            family.encode_family(labels)?.encode_histogram::<[(&str, &str); 0]>(read.sum, count, &buckets, None)
        })?;
        ConstGauge::new(i64::try_from(fleet.load().generation).unwrap_or(i64::MAX)).encode(encoder.encode_descriptor(
            "table_generation",
            "Changes of the routing table",
            None,
            MetricType::Gauge,
        )?)
    }
}

type Field = fn(&Counters) -> &AtomicU64;

fn each(fleet: &Fleet, mut write: impl FnMut(&[(&str, &str); 2], &Counters) -> fmt::Result) -> fmt::Result {
    let live = fleet.load();
    let mut services = live.services.values();
    services.try_for_each(|service| {
        let id = &service.route.id;
        write(&[("namespace", id.namespace.as_str()), ("service", id.name.as_str())], &service.state.counters)
    })
}

fn counter(
    fleet: &Fleet,
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    field: Field,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    each(fleet, |labels, c| ConstCounter::new(field(c).load(Relaxed)).encode(family.encode_family(labels)?))
}

fn gauge(fleet: &Fleet, encoder: &mut DescriptorEncoder<'_>, (name, help): (&str, &str), field: Field) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    each(fleet, |labels, c| {
        let now = i64::try_from(field(c).load(Relaxed)).unwrap_or(i64::MAX);
        ConstGauge::new(now).encode(family.encode_family(labels)?)
    })
}
