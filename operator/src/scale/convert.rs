//! Reports from the wire as the scaler takes them; pure.

use millrace_crds::report::{GatewayReport, ServerReport};
use millrace_scaler::{BatchSample, GatewaySample, ServerSample, ServiceId, ServiceSample};

/// A gateway's report.
pub fn gateway(report: &GatewayReport) -> GatewaySample {
    let services = report.services.iter().map(|service| ServiceSample {
        service: ServiceId::new(&service.namespace, &service.name),
        arrivals: service.arrivals,
        in_flight: service.in_flight,
        held: service.held,
        idle_seconds: service.idle_seconds,
        latency: service.latency.buckets.iter().take(64).copied().collect(),
    });
    GatewaySample { started_at: report.started_at, generation: report.generation, services: services.collect() }
}

/// A server's report.
pub fn server(report: &ServerReport) -> ServerSample {
    let batches =
        report.batches.iter().map(|batch| BatchSample { size: batch.size, count: batch.count, seconds: batch.seconds });
    ServerSample { started_at: report.started_at, queue_depth: report.queue_depth, batches: batches.collect() }
}
