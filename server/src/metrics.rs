//! Counters for Prometheus, for the protocol's statistics and for the scaler's report: written in one place, read in three.

use crate::{
    error::Error,
    gpu::{Gpu, GpuMetrics},
};
use millrace_crds::report::{BatchReport, LATENCY_BOUNDS};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Labels of the count of requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    model: String,
    code: u32,
}

/// Label of one model of several.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelLabel {
    model: String,
}

/// Engine runs of each model, for services of several.
#[derive(Clone)]
struct Models {
    duration: Family<ModelLabel, Histogram, fn() -> Histogram>,
    batch_size: Family<ModelLabel, Histogram, fn() -> Histogram>,
}

/// What one model of several counts beside all of them.
struct Part {
    whole: Arc<Metrics>,
    duration: Histogram,
    batch_size: Histogram,
}

/// Label of refusals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    reason: String,
}

/// A count and a sum of time, as the protocol's statistics have them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// How many.
    pub count: u64,
    /// Their sum in nanoseconds.
    pub nanos: u64,
}

impl Span {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.nanos += u64::try_from(time.as_nanos()).unwrap_or(0);
    }
}

/// Totals since the start.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Milliseconds since the epoch of the last request.
    pub last: u64,
    /// Rows.
    pub rows: u64,
    /// Requests that ended, well or not.
    pub completed: u64,
    /// Requests that ended well.
    pub success: Span,
    /// Requests that failed.
    pub fail: Span,
    /// Time in the queue.
    pub queue: Span,
    /// Decoding and pre-processing.
    pub input: Span,
    /// In the engine.
    pub infer: Span,
    /// Post-processing and encoding.
    pub output: Span,
    /// Engine runs by rows.
    pub batches: BTreeMap<usize, Span>,
}

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
    /// Post-processing and encoding.
    pub output: Duration,
}

impl Times {
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
    model: String,
    requests: Family<RequestLabels, Counter>,
    /// The one of those that count nearly all: what is looked up for each request costs as much as the rest.
    answered: Counter,
    rejected: Family<ReasonLabel, Counter>,
    duration: Histogram,
    /// Time in the queue.
    pub queue_duration: Histogram,
    compute_duration: Histogram,
    batch_size: Histogram,
    queue_depth: Gauge,
    in_flight: Gauge,
    load: Gauge<f64, AtomicU64>,
    totals: Mutex<Totals>,
    models: Option<Models>,
    part: Option<Part>,
}

fn durations() -> Histogram {
    Histogram::new(LATENCY_BOUNDS)
}

fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 11))
}

impl Metrics {
    /// Counters of a model.
    #[must_use]
    pub fn new(model: &str, digest: &str) -> Self {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter>::default();
        let answered = requests.get_or_create(&RequestLabels { model: model.to_owned(), code: 200 }).clone();
        let rejected = Family::default();
        let (duration, queue_duration, compute_duration) = (durations(), durations(), durations());
        let batch_size = sizes();
        let (queue_depth, in_flight, load) = (Gauge::default(), Gauge::default(), Gauge::<f64, AtomicU64>::default());
        registry.register("inference_requests", "Requests by status code", requests.clone());
        registry.register("inference_rejected", "Requests that were refused, by reason", rejected.clone());
        let seconds = |registry: &mut Registry, name: &str, help: &str, metric: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        };
        seconds(&mut registry, "inference_request_duration", "Time from arrival to the answer", &duration);
        seconds(&mut registry, "inference_queue_duration", "Time in the queue", &queue_duration);
        seconds(&mut registry, "inference_compute_duration", "Time of engine runs", &compute_duration);
        registry.register("inference_batch_size", "Rows of engine runs", batch_size.clone());
        registry.register("inference_queue_depth", "Requests that wait for the engine", queue_depth.clone());
        registry.register("inference_in_flight", "Requests inside", in_flight.clone());
        registry.register_with_unit("model_load", "Fetch, load and warm-up of the model", Unit::Seconds, load.clone());
        let gpu = Gpu::first().map(|gpu| GpuMetrics::new(gpu, &mut registry));
        registry.register(
            "model",
            "The model",
            Info::new([("model".to_owned(), model.to_owned()), ("digest".to_owned(), digest.to_owned())]),
        );
        Self {
            registry,
            gpu,
            model: model.to_owned(),
            requests,
            answered,
            rejected,
            duration,
            queue_duration,
            compute_duration,
            batch_size,
            queue_depth,
            in_flight,
            load,
            totals: Mutex::default(),
            models: None,
            part: None,
        }
    }

    /// With engine runs of each model besides those of all together.
    #[must_use]
    pub fn with_models(mut self) -> Self {
        let models = Models {
            duration: Family::new_with_constructor(durations as fn() -> Histogram),
            batch_size: Family::new_with_constructor(sizes as fn() -> Histogram),
        };
        self.registry.register_with_unit(
            "inference_model_compute_duration",
            "Time of engine runs of one model",
            Unit::Seconds,
            models.duration.clone(),
        );
        let help = "Rows of engine runs of one model";
        self.registry.register("inference_model_batch_size", help, models.batch_size.clone());
        self.models = Some(models);
        self
    }

    /// Counters for one model of several: all that is counted here is counted in `whole`.
    #[must_use]
    pub fn of_model(whole: &Arc<Self>, model: &str) -> Self {
        let label = ModelLabel { model: model.to_owned() };
        let part = whole.models.as_ref().map(|models| Part {
            whole: Arc::clone(whole),
            duration: models.duration.get_or_create(&label).clone(),
            batch_size: models.batch_size.get_or_create(&label).clone(),
        });
        Self { part, queue_duration: whole.queue_duration.clone(), ..Self::new(model, "") }
    }

    fn totals_mut(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the totals.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals_mut().clone()
    }

    /// The start took so long.
    pub fn loaded(&self, took: Duration) {
        self.load.set(took.as_secs_f64());
    }

    /// A run of the engine.
    // Rows are few.
    #[allow(clippy::cast_precision_loss)]
    pub fn ran(&self, rows: usize, took: Duration) {
        if let Some(part) = &self.part {
            part.duration.observe(took.as_secs_f64());
            part.batch_size.observe(rows as f64);
            return part.whole.ran(rows, took);
        }
        self.compute_duration.observe(took.as_secs_f64());
        self.batch_size.observe(rows as f64);
        self.totals_mut().batches.entry(rows).or_default().add(took);
    }

    /// A request that was answered.
    pub fn succeeded(&self, times: &Times) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut totals = self.totals_mut();
        totals.last = now.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0));
        totals.rows += times.rows as u64;
        totals.completed += 1;
        totals.success.add(times.total);
        totals.queue.add(times.queue);
        totals.input.add(times.input);
        totals.infer.add(times.infer);
        totals.output.add(times.output);
        drop(totals);
        self.duration.observe(times.total.as_secs_f64());
        self.answered.inc();
    }

    /// A request that failed, with a status code (gRPC: its HTTP counterpart).
    pub fn failed(&self, took: Duration, error: &Error) {
        self.rejected.get_or_create(&ReasonLabel { reason: error.reason().to_owned() }).inc();
        let code = u32::from(error.status().as_u16());
        self.requests.get_or_create(&RequestLabels { model: self.model.clone(), code }).inc();
        let mut totals = self.totals_mut();
        totals.completed += 1;
        totals.fail.add(took);
    }

    /// Engine runs by size, for the scaler.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn batches(&self) -> Vec<BatchReport> {
        let one = |(&rows, span): (&usize, &Span)| BatchReport {
            size: rows as u64,
            count: span.count,
            seconds: span.nanos as f64 / 1e9,
        };
        self.totals_mut().batches.iter().map(one).collect()
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
