//! Counters for Prometheus, for the protocol's statistics and for the scaler's report: written in one place, read in three.

mod expose;
mod stripes;
mod tally;

pub use tally::{Span, Totals};

use crate::{
    error::Error,
    gpu::{Gpu, GpuMetrics},
};
use expose::{Exposed, Models};
use millrace_crds::report::BatchReport;
use prometheus_client::{
    encoding::text::encode,
    metrics::{gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use std::{
    sync::{Arc, PoisonError, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use stripes::Stripes;
use tally::Tally;

/// Times of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Rows.
    pub rows: usize,
    /// From arrival to the answer.
    pub total: Duration,
    /// Decoding and pre-processing.
    pub input: Duration,
    /// In the queue.
    pub queue: Duration,
    /// In the engine.
    pub infer: Duration,
}

impl Times {
    /// Post-processing and encoding: what the rest leaves.
    #[must_use]
    pub fn output(&self) -> Duration {
        self.total.saturating_sub(self.input + self.queue + self.infer)
    }

    /// Of runs side by side: they took as long as the longest of them.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        let (queue, infer) = (self.queue.max(other.queue), self.infer.max(other.infer));
        Self { rows: self.rows + other.rows, queue, infer, ..self }
    }

    /// Of one run after the other.
    #[must_use]
    pub fn after(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            queue: self.queue + other.queue,
            infer: self.infer + other.infer,
            ..self
        }
    }
}

/// All that is counted.
pub struct Metrics {
    registry: Registry,
    gpu: Option<GpuMetrics>,
    queue_depth: Gauge,
    in_flight: Gauge,
    load: Gauge<f64, AtomicU64>,
    tallies: Arc<Stripes<Tally>>,
    models: Arc<Models>,
}

/// Where a model's engine threads count. All that is counted is counted for the service; of one of several models for itself
/// as well.
#[derive(Clone, Debug)]
pub struct Runs {
    all: Arc<Stripes<Tally>>,
    own: Option<Arc<Stripes<Tally>>>,
}

impl Metrics {
    /// Counters of a service.
    #[must_use]
    pub fn new(service: &str, digest: &str) -> Self {
        let mut registry = Registry::default();
        let (tallies, models) = (Arc::new(Stripes::default()), Arc::new(Models::default()));
        let exposed = Exposed { service: service.to_owned(), all: Arc::clone(&tallies), models: Arc::clone(&models) };
        registry.register_collector(Box::new(exposed));
        let (queue_depth, in_flight, load) = (Gauge::default(), Gauge::default(), Gauge::<f64, AtomicU64>::default());
        registry.register("inference_queue_depth", "Requests that wait for the engine", queue_depth.clone());
        registry.register("inference_in_flight", "Requests inside", in_flight.clone());
        registry.register_with_unit("model_load", "Fetch, load and warm-up of the model", Unit::Seconds, load.clone());
        let gpu = Gpu::first().map(|gpu| GpuMetrics::new(gpu, &mut registry));
        let labels = [("model".to_owned(), service.to_owned()), ("digest".to_owned(), digest.to_owned())];
        registry.register("model", "The model", Info::new(labels));
        Self { registry, gpu, queue_depth, in_flight, load, tallies, models }
    }

    /// For the engine threads of the only model.
    #[must_use]
    pub fn runs(&self) -> Runs {
        Runs { all: Arc::clone(&self.tallies), own: None }
    }

    /// For the engine threads of one model of several.
    #[must_use]
    pub fn runs_of(&self, model: &str) -> Runs {
        let own = Arc::new(Stripes::default());
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.push((model.to_owned(), Arc::clone(&own)));
        Runs { own: Some(own), ..self.runs() }
    }

    /// The totals.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.tallies.sum().totals
    }

    /// The start took so long.
    pub fn loaded(&self, took: Duration) {
        self.load.set(took.as_secs_f64());
    }

    /// A request that was answered.
    pub fn succeeded(&self, times: &Times) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut tally = self.tallies.own();
        tally.duration.add(times.total);
        let totals = &mut tally.totals;
        totals.last = now.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0));
        totals.rows += times.rows as u64;
        totals.completed += 1;
        totals.success.add(times.total);
        totals.queue.add(times.queue);
        totals.input.add(times.input);
        totals.infer.add(times.infer);
        totals.output.add(times.output());
    }

    /// A request that failed, with a status code (gRPC: its HTTP counterpart).
    pub fn failed(&self, took: Duration, error: &Error) {
        let mut tally = self.tallies.own();
        *tally.reasons.entry(error.reason()).or_default() += 1;
        *tally.codes.entry(error.status().as_u16()).or_default() += 1;
        tally.totals.completed += 1;
        tally.totals.fail.add(took);
    }

    /// Engine runs by size, for the scaler.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn batches(&self) -> Vec<BatchReport> {
        let one = |(rows, span): (usize, Span)| BatchReport {
            size: rows as u64,
            count: span.count,
            seconds: span.nanos as f64 / 1e9,
        };
        self.totals().batches.into_iter().map(one).collect()
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn render(&self, depth: usize, in_flight: u64) -> String {
        self.queue_depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        if let Some(gpu) = &self.gpu {
            gpu.refresh();
        }
        let mut text = String::new();
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Runs {
    /// Requests that waited so long.
    pub fn queued(&self, waits: impl IntoIterator<Item = Duration>) {
        let mut tally = self.all.own();
        waits.into_iter().for_each(|wait| tally.queued.add(wait));
    }

    /// A run of the engine.
    pub fn ran(&self, rows: usize, took: Duration) {
        for tallies in [Some(&self.all), self.own.as_ref()].into_iter().flatten() {
            let mut tally = tallies.own();
            tally.computed.add(took);
            tally.totals.batches.entry(rows).or_default().add(took);
        }
    }
}
