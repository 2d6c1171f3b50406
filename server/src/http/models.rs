//! What the protocol says of a model: metadata, configuration, statistics.

use super::answers::{
    BatchStatistics, DynamicBatching, InferStatistics, ModelConfig, ModelMetadata, ModelStatistics, ServerMetadata,
    StatisticDuration, Statistics, TensorConfig, TensorMetadata,
};
use crate::{
    metrics::{Span, Totals},
    protocol::tensor::TensorSpec,
    replica::Facts,
};

/// The platform's name of a model, as clients of the protocol know it.
pub const PLATFORM: &str = "onnxruntime_onnx";
/// The engine's name.
pub const BACKEND: &str = "onnxruntime";
/// Parts of the protocol beyond its core that are served.
pub const EXTENSIONS: [&str; 4] = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"];

/// Server metadata.
#[must_use]
pub fn server() -> ServerMetadata {
    ServerMetadata { name: "millrace", version: env!("CARGO_PKG_VERSION"), extensions: &EXTENSIONS }
}

/// Model metadata.
#[must_use]
pub fn metadata<'a>(facts: &'a Facts, name: &'a str) -> ModelMetadata<'a> {
    ModelMetadata {
        name,
        versions: [&facts.version],
        platform: facts.platform,
        inputs: facts.signature.inputs.iter().map(tensor_metadata).collect(),
        outputs: facts.signature.outputs.iter().map(tensor_metadata).collect(),
    }
}

fn tensor_metadata(spec: &TensorSpec) -> TensorMetadata<'_> {
    TensorMetadata { name: &spec.name, datatype: spec.datatype.name(), shape: &spec.shape }
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
pub fn config<'a>(facts: &'a Facts, name: &'a str) -> ModelConfig<'a> {
    ModelConfig {
        name,
        platform: facts.platform,
        backend: BACKEND,
        max_batch_size: max_batch(facts),
        input: facts.signature.inputs.iter().map(|spec| tensor_config(facts, spec)).collect(),
        output: facts.signature.outputs.iter().map(|spec| tensor_config(facts, spec)).collect(),
        dynamic_batching: facts.signature.batches().then_some(DynamicBatching {}),
    }
}

fn tensor_config<'a>(facts: &Facts, spec: &'a TensorSpec) -> TensorConfig<'a> {
    let data_type = match spec.datatype.name() {
        "BYTES" => "TYPE_STRING".to_owned(),
        other => format!("TYPE_{other}"),
    };
    TensorConfig { name: &spec.name, data_type, dims: dims(facts, spec) }
}

/// Model statistics.
#[must_use]
pub fn stats<'a>(facts: &'a Facts, name: &'a str, totals: &Totals) -> Statistics<'a> {
    let never = || StatisticDuration { count: 0, ns: 0 };
    let inference_stats = InferStatistics {
        success: (&totals.success).into(),
        fail: (&totals.fail).into(),
        queue: (&totals.queue).into(),
        compute_input: (&totals.input).into(),
        compute_infer: (&totals.infer).into(),
        compute_output: (&totals.output).into(),
        cache_hit: never(),
        cache_miss: never(),
    };
    let batch = |(&rows, time): (&usize, &Span)| {
        let elsewhere = || StatisticDuration { count: time.count, ns: 0 };
        BatchStatistics {
            batch_size: rows,
            compute_input: elsewhere(),
            compute_infer: time.into(),
            compute_output: elsewhere(),
        }
    };
    Statistics {
        model_stats: [ModelStatistics {
            name,
            version: &facts.version,
            last_inference: totals.last,
            inference_count: totals.rows,
            execution_count: totals.batches.values().map(|time| time.count).sum(),
            inference_stats,
            batch_stats: totals.batches.iter().map(batch).collect(),
        }],
    }
}
