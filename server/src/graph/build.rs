//! A replica of a graph, put together from its models.

use super::Graph;
use crate::{
    admit::Admission,
    engine::ort::provide::Provided,
    error::StartError,
    load::{self, Threads},
    metrics::Metrics,
    model::{self, Fetched},
    node::Asked,
    pipeline::Target,
    queue::Bounds,
    replica::{Facts, Replica, Served},
    unit::Unit,
    warm_up::WarmUp,
    worker::WorkOptions,
};
use millrace_crds::{conditions::reason, manifest::Manifest};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// A model of several, loaded.
pub struct Loaded {
    /// What steps call it.
    pub name: String,
    /// Its engines; one at least.
    pub provided: Provided,
    /// Its files.
    pub fetched: Arc<Fetched>,
}

/// Checks the graph against its models, which each run once on each bucket before the replica is ready.
///
/// # Errors
/// A step doesn't fit a model or another step, or a model fails on zeros.
pub fn build(
    manifest: &Manifest,
    models: Vec<Loaded>,
    [fetch, load]: [Duration; 2],
) -> Result<(Arc<Replica>, Threads), StartError> {
    let spec = &manifest.spec;
    let told: Vec<_> = models.iter().map(|model| Told::of(model, manifest)).collect::<Result<_, _>>()?;
    let few_lengths = Asked::alone(manifest).few_lengths();
    let targets = models.iter().zip(&told).map(|(model, told)| {
        let Told { signature, max_rows, metadata, .. } = told;
        let (max_rows, files) = (*max_rows, &model.fetched.files);
        (model.name.as_str(), Target { signature, max_rows, few_lengths, files, metadata })
    });
    let graph = Graph::compile(&spec.pipeline.steps, &targets.collect::<Vec<_>>())?;
    let digests = models.iter().map(|model| (model.name.as_str(), model.fetched.digest.as_str()));
    let metrics = Arc::new(Metrics::new(&manifest.metadata.name, &model::together(digests)));
    let most = usize::try_from(graph.most_bytes()).unwrap_or(usize::MAX);
    let bounds = load::bounds(manifest, 1)?;
    // Room for the largest images of one request, beside the bodies of all.
    let held = bounds.bytes.saturating_add(most);
    let running: usize =
        models.iter().zip(&told).map(|(model, told)| model.provided.engines.len() * told.max_rows).sum();
    let admitted = bounds.entries.saturating_add(running);
    let (mut units, mut threads) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    for (at, (model, told)) in models.into_iter().zip(told).enumerate() {
        let Told { signature, max_rows, buckets, metadata: _ } = told;
        // Whoever was let in finds room in the queue of each model for all that it has there at a time.
        let entries = admitted.saturating_mul(Unit::most_side_by_side(max_rows));
        let options = WorkOptions {
            bounds: Bounds { entries, bytes: held, rows: max_rows, ..bounds },
            warm_up: WarmUp { buckets, lengths: graph.lengths(at), sample: None },
            inline: false,
            processor: !few_lengths,
            hang: load::HANG,
        };
        let (unit, own_threads) = Unit::start(signature, model.provided, options, metrics.runs_of(&model.name))
            .map_err(|error| StartError { message: format!("model {}: {}", model.name, error.message), ..error })?;
        units.push(unit);
        threads.extend(own_threads);
    }
    let warm_up = begun.elapsed();
    metrics.loaded(fetch + load + warm_up);
    let facts = Facts { platform: "ensemble", ..load::facts(manifest, graph.signature(), 1, [fetch, load, warm_up])? };
    let door = Admission::new(admitted as u64, held as u64);
    Ok((Arc::new(Replica::new(facts, Served::Graph(Arc::new(graph)), units, door, metrics)), threads))
}

/// What a model says of itself.
struct Told {
    signature: crate::protocol::tensor::Signature,
    max_rows: usize,
    buckets: Vec<usize>,
    metadata: BTreeMap<String, String>,
}

impl Told {
    fn of(model: &Loaded, manifest: &Manifest) -> Result<Self, StartError> {
        let first = model.provided.engines.first();
        let engine = first.ok_or_else(|| StartError::new(reason::INVALID, "runtime.instances is 0"))?;
        let signature = engine.signature().clone();
        let named = manifest.spec.models.iter().find(|named| named.name.as_str() == model.name);
        let asked = named.map_or(Asked::alone(manifest), |named| Asked::of(manifest, named));
        let max_rows = asked.max_rows(&signature);
        Ok(Self { max_rows, buckets: asked.buckets(max_rows), signature, metadata: engine.metadata() })
    }
}
