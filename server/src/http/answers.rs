//! What is answered besides inferences, as types: what is sent is made of them, and so is its schema in the OpenAPI document.

use crate::metrics::Span;
use schemars::JsonSchema;
use serde::Serialize;

/// What a failed request is answered.
#[derive(Serialize, JsonSchema)]
pub struct Failure<'a> {
    /// What is wrong, and how to mend it.
    pub error: &'a str,
}

/// The server lives.
#[derive(Serialize, JsonSchema)]
pub struct Live {
    /// Always true: a server that doesn't live doesn't answer.
    pub live: bool,
}

/// The server takes requests.
#[derive(Serialize, JsonSchema)]
pub struct Ready {
    /// Always true: a server that isn't ready answers 503.
    pub ready: bool,
}

/// The model takes requests.
#[derive(Serialize, JsonSchema)]
pub struct ModelReady<'a> {
    /// Its name, as the caller wrote it.
    pub name: &'a str,
    /// Always true: a model that isn't ready is answered 503.
    pub ready: bool,
}

/// What the server is.
#[derive(Serialize, JsonSchema)]
pub struct ServerMetadata {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Parts of the protocol beyond its core.
    pub extensions: &'static [&'static str],
}

/// A tensor that the model takes or gives.
#[derive(Serialize, JsonSchema)]
pub struct TensorMetadata<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its element type.
    pub datatype: &'static str,
    /// Its dimensions; -1: any.
    pub shape: &'a [i64],
}

/// What the model takes and gives.
#[derive(Serialize, JsonSchema)]
pub struct ModelMetadata<'a> {
    /// Its name, as the caller wrote it.
    pub name: &'a str,
    /// The versions that are served: one.
    pub versions: [&'a str; 1],
    /// What kind of model it is.
    pub platform: &'static str,
    /// What it takes.
    pub inputs: Vec<TensorMetadata<'a>>,
    /// What it gives.
    pub outputs: Vec<TensorMetadata<'a>>,
}

/// A tensor as Triton's configuration states it.
#[derive(Serialize, JsonSchema)]
pub struct TensorConfig<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its element type.
    pub data_type: String,
    /// Its dimensions without the batch; -1: any.
    pub dims: Vec<i64>,
}

/// Requests are put together to batches.
#[derive(Serialize, JsonSchema)]
pub struct DynamicBatching {}

/// The configuration of the model, as clients of Triton read it.
#[derive(Serialize, JsonSchema)]
pub struct ModelConfig<'a> {
    /// Its name, as the caller wrote it.
    pub name: &'a str,
    /// What kind of model it is.
    pub platform: &'static str,
    /// What runs it.
    pub backend: &'static str,
    /// Rows of a batch at most; 0: it has none.
    pub max_batch_size: usize,
    /// What it takes.
    pub input: Vec<TensorConfig<'a>>,
    /// What it gives.
    pub output: Vec<TensorConfig<'a>>,
    /// There if requests are put together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_batching: Option<DynamicBatching>,
}

/// A count and a sum of time.
#[derive(Serialize, JsonSchema)]
pub struct StatisticDuration {
    /// How many.
    pub count: u64,
    /// Their sum in nanoseconds.
    pub ns: u64,
}

impl From<&Span> for StatisticDuration {
    fn from(span: &Span) -> Self {
        Self { count: span.count, ns: span.nanos }
    }
}

/// Where the time of requests went.
#[derive(Serialize, JsonSchema)]
pub struct InferStatistics {
    /// Requests that ended well.
    pub success: StatisticDuration,
    /// Requests that failed.
    pub fail: StatisticDuration,
    /// In the queue.
    pub queue: StatisticDuration,
    /// Decoding and pre-processing.
    pub compute_input: StatisticDuration,
    /// In the engine.
    pub compute_infer: StatisticDuration,
    /// Post-processing and encoding.
    pub compute_output: StatisticDuration,
    /// Answers are never cached.
    pub cache_hit: StatisticDuration,
    /// Answers are never cached.
    pub cache_miss: StatisticDuration,
}

/// Runs of one size.
#[derive(Serialize, JsonSchema)]
pub struct BatchStatistics {
    /// Rows.
    pub batch_size: usize,
    /// Counted with the requests.
    pub compute_input: StatisticDuration,
    /// In the engine.
    pub compute_infer: StatisticDuration,
    /// Counted with the requests.
    pub compute_output: StatisticDuration,
}

/// Statistics of one model since the server's start.
#[derive(Serialize, JsonSchema)]
pub struct ModelStatistics<'a> {
    /// Its name, as the caller wrote it.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Milliseconds since the epoch of the last request; 0: none.
    pub last_inference: u64,
    /// Rows.
    pub inference_count: u64,
    /// Runs of the engine.
    pub execution_count: u64,
    /// Where the time of requests went.
    pub inference_stats: InferStatistics,
    /// Runs by their rows.
    pub batch_stats: Vec<BatchStatistics>,
}

/// Statistics since the server's start.
#[derive(Serialize, JsonSchema)]
pub struct Statistics<'a> {
    /// One for each model: there is one.
    pub model_stats: [ModelStatistics<'a>; 1],
}

/// A model in the index.
#[derive(Serialize, JsonSchema)]
pub struct IndexedModel<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// READY.
    pub state: &'static str,
    /// Empty.
    pub reason: &'static str,
}

/// A model as OpenAI lists it.
#[derive(Serialize, JsonSchema)]
pub struct ListedModel<'a> {
    /// Its name.
    pub id: &'a str,
    /// `model`
    pub object: &'static str,
    /// 0: models have no date.
    pub created: u64,
    /// `millrace`
    pub owned_by: &'static str,
}

/// The model, for KServe's clients and for OpenAI's in one object.
#[derive(Serialize, JsonSchema)]
pub struct Models<'a> {
    /// Names, for KServe's clients.
    pub models: [&'a str; 1],
    /// `list`
    pub object: &'static str,
    /// The same for OpenAI's.
    pub data: [ListedModel<'a>; 1],
}
