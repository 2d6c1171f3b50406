//! A replica of a graph, put together from its models.

use super::Graph;
use crate::{
    admit::Admission,
    engine::ort::provide::Provided,
    error::StartError,
    load::{self, Threads},
    metrics::Metrics,
    model::{self, Fetched},
    pipeline::Target,
    queue::Bounds,
    replica::{Facts, Replica, Served},
    unit::Unit,
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

/// Checks the graph against its models, and runs each of them once on each bucket before the replica is ready.
///
/// # Errors
/// A step doesn't fit a model or another step, or a model fails on zeros.
pub fn build(
    manifest: &Manifest,
    mut models: Vec<Loaded>,
    [fetch, load]: [Duration; 2],
) -> Result<(Arc<Replica>, Threads), StartError> {
    let spec = &manifest.spec;
    let told: Vec<_> = models.iter().map(|model| Told::of(model, manifest)).collect::<Result<_, _>>()?;
    let targets = models.iter().zip(&told).map(|(model, told)| {
        let Told { signature, max_rows, metadata } = told;
        (model.name.as_str(), Target { signature, max_rows: *max_rows, files: &model.fetched.files, metadata })
    });
    let graph = Graph::compile(&spec.pipeline.steps, &targets.collect::<Vec<_>>())?;
    let begun = Instant::now();
    for (at, (model, told)) in models.iter_mut().zip(&told).enumerate() {
        let buckets = load::buckets(manifest, told.max_rows);
        for engine in &mut model.provided.engines {
            model::warm_up(&mut **engine, &buckets, &graph.lengths(at)).map_err(|error| {
                tracing::error!(%error, model = model.name, "warm-up");
                let message = format!("the model {} was loaded, and fails when it is run on zeros", model.name);
                StartError::new(reason::MODEL_INVALID, message)
            })?;
        }
    }
    let warm_up = begun.elapsed();
    let digests = models.iter().map(|model| (model.name.as_str(), model.fetched.digest.as_str()));
    let metrics = Arc::new(Metrics::new(&manifest.metadata.name, &model::together(digests)));
    metrics.loaded(fetch + load + warm_up);
    let most = usize::try_from(graph.most_bytes()).unwrap_or(usize::MAX);
    let bounds = load::bounds(manifest, 1)?;
    // Room for the largest images of one request, beside the bodies of all.
    let held = bounds.bytes.saturating_add(most);
    let running: usize =
        models.iter().zip(&told).map(|(model, told)| model.provided.engines.len() * told.max_rows).sum();
    let admitted = bounds.entries.saturating_add(running);
    let (mut units, mut threads) = (Vec::new(), Vec::new());
    for (model, Told { signature, max_rows, metadata: _ }) in models.into_iter().zip(told) {
        // Whoever was let in finds room in the queue of each model for all that it has there at a time.
        let entries = admitted.saturating_mul(Unit::most_side_by_side(max_rows));
        let options = WorkOptions {
            bounds: Bounds { entries, bytes: held, rows: max_rows, ..bounds },
            buckets: load::buckets(manifest, max_rows),
            inline: false,
            hang: load::hang(warm_up),
        };
        let (unit, own_threads) = Unit::start(signature, model.provided, options, metrics.runs_of(&model.name))?;
        units.push(unit);
        threads.extend(own_threads);
    }
    let facts = Facts { platform: "ensemble", ..load::facts(manifest, graph.signature(), 1, [fetch, load, warm_up])? };
    let door = Admission::new(admitted as u64, held as u64);
    Ok((Arc::new(Replica::new(facts, Served::Graph(Arc::new(graph)), units, door, metrics)), threads))
}

/// What a model says of itself.
struct Told {
    signature: crate::protocol::tensor::Signature,
    max_rows: usize,
    metadata: BTreeMap<String, String>,
}

impl Told {
    fn of(model: &Loaded, manifest: &Manifest) -> Result<Self, StartError> {
        let first = model.provided.engines.first();
        let engine = first.ok_or_else(|| StartError::new(reason::INVALID, "runtime.instances is 0"))?;
        let signature = engine.signature().clone();
        let own = manifest.spec.models.iter().find(|own| own.name.as_str() == model.name);
        let most = own.and_then(|own| own.max_batch_size).and_then(|most| usize::try_from(most).ok());
        let max_rows = load::max_rows(manifest, &signature).min(most.unwrap_or(usize::MAX));
        Ok(Self { max_rows, signature, metadata: engine.metadata() })
    }
}
