//! What the protocol says of a model: metadata, configuration, statistics.

use crate::{
    metrics::{Span, Totals},
    protocol::tensor::TensorSpec,
    replica::Facts,
};
use serde_json::{Value, json};

/// The platform's name, as clients of the protocol know it.
pub const PLATFORM: &str = "onnxruntime_onnx";
/// The engine's name.
pub const BACKEND: &str = "onnxruntime";
/// Parts of the protocol beyond its core that are served.
pub const EXTENSIONS: [&str; 4] = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"];

/// Server metadata.
#[must_use]
pub fn server() -> Value {
    json!({"name": "millrace", "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS})
}

/// Model metadata.
#[must_use]
pub fn metadata(facts: &Facts, name: &str) -> Value {
    let tensor = |spec: &TensorSpec| json!({"name": spec.name, "datatype": spec.datatype.name(), "shape": spec.shape});
    json!({
        "name": name,
        "versions": [facts.version],
        "platform": PLATFORM,
        "inputs": facts.signature.inputs.iter().map(tensor).collect::<Vec<_>>(),
        "outputs": facts.signature.outputs.iter().map(tensor).collect::<Vec<_>>(),
    })
}

/// The most rows of a batch, 0 for models without; and a tensor's dimensions without the batch.
#[must_use]
pub fn max_batch(facts: &Facts) -> usize {
    if facts.signature.batches() { facts.max_rows } else { 0 }
}

/// Dimensions as the configuration states them: without the batch.
#[must_use]
pub fn dims(facts: &Facts, spec: &TensorSpec) -> Vec<i64> {
    spec.shape.iter().skip(usize::from(facts.signature.batches())).copied().collect()
}

/// Model configuration.
#[must_use]
pub fn config(facts: &Facts, name: &str) -> Value {
    let data_type = |spec: &TensorSpec| match spec.datatype.name() {
        "BYTES" => "TYPE_STRING".to_owned(),
        other => format!("TYPE_{other}"),
    };
    let tensor =
        |spec: &TensorSpec| json!({"name": spec.name, "data_type": data_type(spec), "dims": dims(facts, spec)});
    let mut config = json!({
        "name": name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "max_batch_size": max_batch(facts),
        "input": facts.signature.inputs.iter().map(tensor).collect::<Vec<_>>(),
        "output": facts.signature.outputs.iter().map(tensor).collect::<Vec<_>>(),
    });
    if facts.signature.batches() {
        config["dynamic_batching"] = json!({});
    }
    config
}

/// Model statistics.
#[must_use]
pub fn stats(facts: &Facts, name: &str, totals: &Totals) -> Value {
    let span = |span: &Span| json!({"count": span.count, "ns": span.nanos});
    let batch = |(&rows, time): (&usize, &Span)| {
        let none = Span { count: time.count, nanos: 0 };
        json!({"batch_size": rows, "compute_input": span(&none), "compute_infer": span(time), "compute_output": span(&none)})
    };
    json!({"model_stats": [{
        "name": name,
        "version": facts.version,
        "last_inference": totals.last,
        "inference_count": totals.rows,
        "execution_count": totals.batches.values().map(|time| time.count).sum::<u64>(),
        "inference_stats": {
            "success": span(&totals.success),
            "fail": span(&totals.fail),
            "queue": span(&totals.queue),
            "compute_input": span(&totals.input),
            "compute_infer": span(&totals.infer),
            "compute_output": span(&totals.output),
            "cache_hit": {"count": 0, "ns": 0},
            "cache_miss": {"count": 0, "ns": 0},
        },
        "batch_stats": totals.batches.iter().map(batch).collect::<Vec<_>>(),
    }]})
}
