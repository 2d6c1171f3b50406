//! What is reported, and what is made of it for one service.

use serde::{Deserialize, Serialize};

/// One report of a gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewaySample {
    /// Start of the gateway's process: names the life in which its counters rise.
    pub started_at: f64,
    /// Version of its routing table, counted by itself; 0: it has none yet.
    pub generation: u64,
    /// Per service.
    pub services: Vec<ServiceSample>,
}

/// What one gateway saw of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceSample {
    /// The service.
    pub service: crate::ServiceId,
    /// Requests that came in, monotonic.
    pub arrivals: u64,
    /// Forwarded and not ended.
    pub in_flight: u64,
    /// Waiting for a replica.
    pub held: u64,
    /// Seconds since the last arrival; `None`: none since start.
    pub idle_seconds: Option<f64>,
    /// Answers by latency bucket (not cumulative), monotonic; bounds are [`crate::State`]'s.
    pub latency: Vec<u64>,
}

/// One report of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerSample {
    /// Start of the server's process.
    pub started_at: f64,
    /// Requests queued for the engine.
    pub queue_depth: u64,
    /// Engine runs by batch size, monotonic.
    pub batches: Vec<BatchSample>,
}

/// Engine runs of one batch size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchSample {
    /// Rows.
    pub size: u64,
    /// Runs, monotonic.
    pub count: u64,
    /// Their time in seconds, monotonic.
    pub seconds: f64,
}

/// The traffic of one service, over all gateways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// Every gateway's report is fresh, and every gateway routes the service. If not, the figures are lower bounds: good for more replicas, never for fewer.
    pub complete: bool,
    /// It hasn't been watched for long enough to say what is no longer needed.
    #[serde(default)]
    pub young: bool,
    /// Requests per second over the last ten seconds.
    #[serde(with = "crate::figure")]
    pub arrivals_short: f64,
    /// Requests per second over the last minute.
    #[serde(with = "crate::figure")]
    pub arrivals_long: f64,
    /// The highest ten-second rate since a start-up time ago.
    #[serde(with = "crate::figure")]
    pub arrivals_peak: f64,
    /// Requests in flight, now.
    pub in_flight: u64,
    /// Requests in flight, mean of the last ten seconds.
    #[serde(with = "crate::figure")]
    pub in_flight_mean: f64,
    /// Requests that wait for a replica, now.
    pub held: u64,
    /// Requests queued in servers; `None`: not known.
    pub queued: Option<u64>,
    /// Share of answers later than the objective, over half a minute; `None`: no answers.
    #[serde(with = "crate::figure::option", default)]
    pub late: Option<f64>,
    /// Requests per second that it should be ready for once a replica that is asked for now is; `None`: not known.
    #[serde(with = "crate::figure::option", default)]
    pub forecast: Option<f64>,
    /// Seconds since the last request at any gateway; only if all gateways say so, freshly.
    #[serde(with = "crate::figure::option", default)]
    pub idle_for: Option<f64>,
}

impl Signals {
    /// These signals, or `None` if a figure is no number.
    #[must_use]
    pub fn sound(&self) -> Option<&Self> {
        let figures = [self.arrivals_short, self.arrivals_long, self.arrivals_peak, self.in_flight_mean];
        let finite = figures.iter().all(|figure| figure.is_finite() && *figure >= 0.0);
        let optional = [self.late, self.idle_for, self.forecast].iter().flatten().all(|figure| figure.is_finite());
        (finite && optional).then_some(self)
    }
}
