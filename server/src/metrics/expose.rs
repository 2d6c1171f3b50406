//! Tallies as Prometheus reads them.

use super::{
    stripes::Stripes,
    tally::{Bars, Span, Tally},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Unit,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Bounds of the rows of engine runs; a last one without bound follows.
const ROWS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Tallies of one model of several, by its name.
pub type Models = Mutex<Vec<(String, Arc<Stripes<Tally>>)>>;

/// What is read.
#[derive(Debug)]
pub struct Exposed {
    /// The service's name.
    pub service: String,
    /// All requests.
    pub all: Arc<Stripes<Tally>>,
    /// Engine runs of each model, where there are several.
    pub models: Arc<Models>,
}

impl Collector for Exposed {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let tally = self.all.sum();
        let mut counter =
            to.encode_descriptor("inference_requests", "Requests by status code", None, MetricType::Counter)?;
        let answered = [(200, tally.totals.success.count)];
        for (code, count) in answered.into_iter().chain(tally.codes) {
            count_of(&mut counter, &[("model", &self.service), ("code", &code.to_string())], count)?;
        }
        let help = "Requests that were refused, by reason";
        let mut counter = to.encode_descriptor("inference_rejected", help, None, MetricType::Counter)?;
        for (reason, count) in tally.reasons {
            count_of(&mut counter, &[("reason", reason)], count)?;
        }
        let times = [
            ("inference_request_duration", "Time from arrival to the answer", &tally.duration),
            ("inference_queue_duration", "Time in the queue", &tally.queued),
            ("inference_compute_duration", "Time of engine runs", &tally.computed),
        ];
        for (name, help, bars) in times {
            bars_of(&mut to.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?, bars)?;
        }
        let help = "Rows of engine runs";
        let mut sizes = to.encode_descriptor("inference_batch_size", help, None, MetricType::Histogram)?;
        rows_of(&mut sizes, &tally.totals.batches)?;
        self.models(&mut to)
    }
}

impl Exposed {
    fn models(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.is_empty() {
            return Ok(());
        }
        let models: Vec<(&str, Tally)> = models.iter().map(|(name, tally)| (name.as_str(), tally.sum())).collect();
        let (name, help) = ("inference_model_compute_duration", "Time of engine runs of one model");
        let mut times = to.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (model, tally) in &models {
            bars_of(&mut times.encode_family(&[("model", *model)])?, &tally.computed)?;
        }
        let (name, help) = ("inference_model_batch_size", "Rows of engine runs of one model");
        let mut sizes = to.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (model, tally) in &models {
            rows_of(&mut sizes.encode_family(&[("model", *model)])?, &tally.totals.batches)?;
        }
        Ok(())
    }
}

fn count_of<const N: usize>(to: &mut MetricEncoder<'_>, labels: &[(&'static str, &str); N], count: u64) -> fmt::Result {
    to.encode_family(labels)?.encode_counter(&count, None::<&Exemplar<NoLabelSet, u64>>)
}

fn bars_of(to: &mut MetricEncoder<'_>, bars: &Bars) -> fmt::Result {
    let buckets: Vec<(f64, u64)> = bars.buckets().collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    to.encode_histogram::<NoLabelSet>(bars.seconds(), count, &buckets, None)
}

// Rows are few.
#[allow(clippy::cast_precision_loss)]
fn rows_of(to: &mut MetricEncoder<'_>, batches: &BTreeMap<usize, Span>) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> = ROWS.into_iter().chain([f64::MAX]).map(|bound| (bound, 0)).collect();
    for (rows, span) in batches {
        buckets[ROWS.partition_point(|bound| *bound < *rows as f64)].1 += span.count;
    }
    let rows: f64 = batches.iter().map(|(rows, span)| *rows as f64 * span.count as f64).sum();
    let count = batches.values().map(|span| span.count).sum();
    to.encode_histogram::<NoLabelSet>(rows, count, &buckets, None)
}
